"""Dialects in the delivery engine: who is told what, and what an answer causes, once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from messaging.event_types import EventType
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services.webhooks import Deliverer, dialects, event_log
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.deliverer import MAX_HOPS
from messaging.services.webhooks.dialects import ClientCall, Dialect, Occasion
from messaging.services.webhooks.settle import Obey, ResponseBody, Result, settle
from providers.http.transport import HttpResponse
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.services.webhooks.conftest import AtOnceExecutor, Receiver

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=60)
SEQUENCE = count(3_000_000)
ANSWER = ResponseBody("https://client.example.com/a", b"taken")
OUR_NUMBER, OTHER_NUMBER = "+15005550100", "+15005550101"


class Spoken(Dialect):
    """Wants what its options name, is confirmed by "taken", and goes where "next …" leads."""

    max_response_bytes = 100

    def wants(self, event_type: str, options: str) -> bool:
        return not options or event_type == f"message.{options}"

    def request(self, occasion: Occasion) -> ClientCall | None:
        return ClientCall("GET", f"{occasion.url}?options={occasion.options}", {"X-Spoken": "yes"}, b"")

    def is_confirmed(self, response: HttpResponse) -> bool:
        return super().is_confirmed(response) and response.body.startswith((b"taken", b"next"))

    def follow(self, first: ClientCall, request: ClientCall, response: HttpResponse) -> ClientCall | None:
        if not response.body.startswith(b"next "):
            return None
        return ClientCall("GET", response.body.removeprefix(b"next ").decode(), {}, b"")


@pytest.fixture(autouse=True)
def _spoken(monkeypatch) -> None:
    monkeypatch.setitem(dialects._DIALECTS, "spoken", Spoken())


def body(text: str) -> Callable[[str], HttpResponse]:
    return lambda _url: HttpResponse(200, {"content-type": "text/plain"}, text.encode())


def noted(obeyed: list[Result]) -> Obey:
    def obey(results: Sequence[Result]) -> Mapping[UUID, str]:
        obeyed.extend(results)
        return {}

    return obey


def due(**endpoint) -> WebhookDelivery:
    row = EndpointFactory(dialect="spoken", **endpoint)
    return WebhookDeliveryFactory(
        endpoint=row, event=ClientEventFactory(owner=row.owner, sequence=next(SEQUENCE)), next_attempt_at=NOW
    )


class TestWhoIsTold:
    def numbered(self, message, event_type: EventType = EventType.MESSAGE_DELIVERED) -> set[WebhookEndpoint]:
        has_callback_url = bool(message.callback_url)
        ClientEventFactory(message=message, type=event_type, sequence=None, has_callback_url=has_callback_url)
        event_log.number(now=NOW)
        return {delivery.endpoint for delivery in WebhookDelivery.objects.all()}

    def test_an_endpoint_of_a_number_is_told_what_that_number_sends_or_receives(self) -> None:
        sent = MessageFactory(delivered=True, from_number=OUR_NUMBER)
        mine = EndpointFactory(owner=sent.owner, number=OUR_NUMBER)
        EndpointFactory(owner=sent.owner, number=OTHER_NUMBER)
        every = EndpointFactory(owner=sent.owner)

        assert self.numbered(sent) == {mine, every}

    def test_a_received_text_belongs_to_the_number_that_received_it(self) -> None:
        text = MessageFactory(owner=UserFactory(), inbound=True, to_number=OTHER_NUMBER, from_number=OUR_NUMBER)
        EndpointFactory(owner=text.owner, number=OUR_NUMBER)
        theirs = EndpointFactory(owner=text.owner, number=OTHER_NUMBER)

        assert self.numbered(text, EventType.MESSAGE_RECEIVED) == {theirs}

    @pytest.mark.parametrize(("options", "is_told"), [("delivered", True), ("failed", False)])
    def test_the_dialect_of_a_callback_url_chooses_the_events(self, options: str, is_told: bool) -> None:
        message = MessageFactory(
            delivered=True, callback_url="https://client.example.com/a", callback_dialect=f"spoken:{options}"
        )

        assert bool(self.numbered(message)) is is_told


class TestTheCall:
    def test_it_is_made_as_the_dialect_says(self, deliverer: Deliverer, receiver: Receiver) -> None:
        message = MessageFactory(
            delivered=True, callback_url="https://client.example.com/a", callback_dialect="spoken:delivered"
        )
        ClientEventFactory(message=message, sequence=None, has_callback_url=True)
        receiver.reply = body("taken")

        deliverer.run()

        [call] = receiver.calls
        assert (call.method, call.url, call.body) == ("GET", "https://client.example.com/a?options=delivered", b"")
        assert (call.headers, call.max_bytes) == ({"X-Spoken": "yes"}, 100)
        assert WebhookDelivery.objects.get().state == "succeeded"

    def test_an_answer_that_does_not_confirm_is_a_failure(self, deliverer: Deliverer, receiver: Receiver) -> None:
        delivery = due()
        receiver.reply = body("what?")

        deliverer.run()

        delivery.refresh_from_db()
        assert (delivery.state, delivery.response_status) == ("pending", 200)
        assert delivery.error == "The endpoint's answer does not acknowledge the call."

    def test_an_answer_may_lead_on_and_not_for_ever(self, deliverer: Deliverer, receiver: Receiver) -> None:
        delivery = due()
        receiver.reply = body("next https://client.example.com/again")

        deliverer.run()

        delivery.refresh_from_db()
        assert [call.url for call in receiver.calls[1:]] == ["https://client.example.com/again"] * (MAX_HOPS - 1)
        assert delivery.error == "Not delivered: the answers lead from one address to the next."


class TestWhatAnAnswerCauses:
    def run(self, clock, receiver: Receiver, obey: Obey) -> None:
        Deliverer(receiver, clock=clock, executor_factory=AtOnceExecutor, obey=obey).run()  # type: ignore[arg-type]

    def test_answers_are_obeyed(self, clock, receiver: Receiver) -> None:
        delivery, obeyed = due(), []
        receiver.reply = body("taken: do this")

        self.run(clock, receiver, noted(obeyed))

        [result] = obeyed
        [answer] = result.answers
        assert (result.job.delivery_id, answer.body, answer.content_type) == (
            delivery.pk,
            b"taken: do this",
            "text/plain",
        )

    @pytest.mark.parametrize("answer", ["", "what?"])
    def test_without_a_confirming_answer_nothing_is_obeyed(self, clock, receiver: Receiver, answer: str) -> None:
        due()
        obeyed: list[Result] = []
        receiver.reply = body(answer)

        self.run(clock, receiver, noted(obeyed))

        assert obeyed == []

    def test_of_two_calls_of_one_delivery_one_answer_is_obeyed(self) -> None:
        due()
        obeyed: list[Result] = []
        [late] = claim(limit=1, in_flight=(), now=NOW, lease=LEASE)
        return_expired_claims(now=NOW + LEASE)
        [again] = claim(limit=1, in_flight=(), now=NOW + 2 * LEASE, lease=LEASE)

        for job in (late, again, again):
            settle([Result(job, 200, answers=(ANSWER,))], now=NOW + 2 * LEASE, positions=[0.5], obey=noted(obeyed))

        assert [result.job for result in obeyed] == [again]

    def test_a_fault_while_obeying_leaves_the_delivery_to_be_repeated(self) -> None:
        delivery = due()
        [job] = claim(limit=1, in_flight=(), now=NOW, lease=LEASE)

        def fail(_results) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            settle([Result(job, 200, answers=(ANSWER,))], now=NOW, positions=[0.5], obey=fail)

        delivery.refresh_from_db()
        assert (delivery.state, delivery.claim_id) == ("sending", job.claim_id)
