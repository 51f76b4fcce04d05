"""Replies that applications give as TwiML."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging import tasks
from messaging.inbound_limits import inbound_limits
from messaging.models import Message, WebhookDelivery
from messaging.services.inbound import process
from messaging.services.inbound.marks import RATE_LIMITED
from messaging.services.inbound.receive import ingest
from messaging.services.recipients import suppressions
from messaging.services.twilio import replies
from messaging.services.twilio.replies import reply_id
from messaging.services.webhooks import Deliverer, redelivery
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.concurrency import WebhookJob
from messaging.services.webhooks.dialects import ClientCall
from messaging.services.webhooks.settle import ResponseBody, Result, settle
from messaging.states import Direction, Status
from providers.contract.messages import InboundMessage
from providers.http.public_addresses import Guard
from providers.http.transport import HttpResponse
from providers.models import ProviderAccount
from tests.factories import (
    NOW,
    AccountFactory,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.services.webhooks.conftest import AtOnceExecutor, Clock, Receiver, twilio_account

pytestmark = pytest.mark.django_db

PERSON, OURS = "+14155550101", "+15005550006"
LEASE = timedelta(seconds=60)


@pytest.fixture
def owner() -> User:
    owner = UserFactory()
    owner.user_permissions.add(Permission.objects.get(codename="add_message", content_type__app_label="messaging"))
    twilio_account(owner)
    QueueFactory()
    SenderFactory(number=OURS, owner=owner)
    return owner


def text_of(owner: User, **values: Any) -> Message:
    """A text of a person, which is to be delivered to an application."""
    message = MessageFactory(
        inbound=True,
        **{"status": Status.PROCESSED, "owner": owner, "from_number": PERSON, "to_number": OURS, **values},
    )
    endpoint = EndpointFactory(owner=owner, dialect="twilio")
    event = ClientEventFactory(
        message=message, type="message.received", snapshot={"status": "processed"}, sequence=message.pk.int % 10**9
    )
    WebhookDeliveryFactory(endpoint=endpoint, event=event)
    return message


class Application:
    """Answers each request with `answer`, as XML unless the content type says otherwise."""

    def __init__(self, clock: Clock) -> None:
        self.answer: str | bytes = ""
        self.content_type = "text/xml"
        self.clock = clock
        self.receiver = Receiver(clock, self._reply)
        self.obeyed = 0

    def _reply(self, _url: str) -> HttpResponse:
        body = self.answer if isinstance(self.answer, bytes) else self.answer.encode()
        return HttpResponse(200, {"content-type": self.content_type}, body)

    def _obey(self, results):
        done = replies.obey(results, default_queue="express", guard=Guard(), now=self.clock.now)
        self.obeyed += done.stored
        return done.notes

    def run(self, inner: str | None = None) -> str:
        """Deliver what is due; return what is noted on the deliveries."""
        if inner is not None:
            self.answer = f"<Response>{inner}</Response>"
        deliverer = Deliverer(
            self.receiver,  # type: ignore[arg-type]
            clock=self.clock,
            executor_factory=AtOnceExecutor,
            position=lambda: 0.5,
            obey=self._obey,
        )
        deliverer.run()
        assert not WebhookDelivery.objects.exclude(state="succeeded").exists()
        return " ".join(WebhookDelivery.objects.order_by("pk").values_list("error", flat=True))


@pytest.fixture
def application() -> Application:
    return Application(Clock())


def sent() -> list[tuple[str, str, str]]:
    rows = Message.objects.filter(direction=Direction.OUTBOUND).order_by("pk")
    return [(row.from_number, row.to_number, row.text) for row in rows]


def test_a_reply_goes_to_the_sender_from_the_number_that_received_the_text(owner: User, application) -> None:
    text_of(owner)

    assert application.run("<Message>Thanks!</Message>") == ""

    message = Message.objects.get(direction=Direction.OUTBOUND)
    assert sent() == [(OURS, PERSON, "Thanks!")]
    assert (message.owner, message.queue_id, message.status, message.valid_for) == (owner, "express", "queued", 14_400)
    assert (message.is_automatic, message.callback_url, message.callback_dialect, message.reference) == (
        False,
        "",
        "",
        "",
    )
    assert message.expires_at == NOW + timedelta(seconds=14_400)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.error, delivery.response_status) == ("succeeded", "", 200)


def test_plain_text_is_a_reply(owner: User, application) -> None:
    text_of(owner)
    application.answer, application.content_type = "Thanks!", "text/plain; charset=utf-8"

    assert application.run() == ""

    assert sent() == [(OURS, PERSON, "Thanks!")]


def test_several_messages_leave_in_their_order_to_whom_they_name(owner: User, application) -> None:
    SenderFactory(number="+15005550007", owner=owner)
    SenderFactory(number="Example", owner=owner)
    text_of(owner)

    note = application.run(
        '<Message>1</Message><Message to="+1 (415) 555-0102">2</Message><Sms to="4155550103">3</Sms>'
        '<Message from="+15005550007">4</Message><Message from="Example">5</Message>'
    )

    assert note == ""
    assert sent() == [
        (OURS, PERSON, "1"),
        (OURS, "+14155550102", "2"),
        (OURS, "+14155550103", "3"),
        ("+15005550007", PERSON, "4"),
        ("Example", PERSON, "5"),
    ]


def test_a_status_callback_is_told_in_twilios_form(owner: User, application) -> None:
    text_of(owner)

    note = application.run('<Message statusCallback="/status?a=b">Hi</Message>')

    message = Message.objects.get(direction=Direction.OUTBOUND)
    endpoint = WebhookDelivery.objects.get().endpoint
    assert (note, message.callback_dialect) == ("", "twilio")
    assert message.callback_url == endpoint.url.removesuffix("/hook") + "/status?a=b"


@pytest.mark.parametrize(
    ("status_callback", "reason"),
    [
        ("http://127.0.0.1/", "this is not a public address"),
        ("ftp://app.example.com/", "only http and https addresses are called"),
        ("https://app.example.com/" + "a" * 500, "it is longer than 500 characters"),
    ],
)
def test_without_a_usable_status_callback_the_message_is_sent_all_the_same(
    owner: User, application, status_callback: str, reason: str
) -> None:
    text_of(owner)

    note = application.run(f'<Message statusCallback="{status_callback}">Hi</Message>')

    assert note == f"A `statusCallback` is not called: {reason}."
    assert Message.objects.get(direction=Direction.OUTBOUND).callback_url == ""


def opt_out(_owner: User) -> None:
    suppressions.add_by_keyword(number=PERSON, sender=OURS, reason="STOP", posted_by=None, now=NOW)


def block(_owner: User) -> None:
    PhoneNumberFactory(number=PERSON, inactive=True)


def forbid(owner: User) -> None:
    owner.user_permissions.clear()


def deactivate(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)


@pytest.mark.parametrize(
    ("change", "inner", "note"),
    [
        (opt_out, "<Message>Hi</Message>", "opted out"),
        (block, "<Message>Hi</Message>", "inactive"),
        (forbid, "<Message>Hi</Message>", replies.NO_PERMISSION),
        (deactivate, "<Message>Hi</Message>", replies.NO_PERMISSION),
        (None, '<Message to="whatsapp:+14155550102">Hi</Message>', "international notation"),
        (None, '<Message to="12345">Hi</Message>', "international notation"),
        (None, '<Message from="+15005550009">Hi</Message>', "not one of your senders"),
        (None, '<Message from="A name that is too long">Hi</Message>', "at most 11 characters"),
        (None, f'<Message to="{OURS}">Hi</Message>', "the number that it comes from"),
        (None, f"<Message>{'é€' * 800}</Message>", "segments"),
        (None, "<Message><Media>https://m.example.com/a.png</Media></Message>", replies.NO_MEDIA),
        (None, "<Message>", "not well-formed XML"),
        (None, "<Say>Hi</Say>", "<Say> is ignored."),
        (None, "<Message/>", "A message without text is not sent."),
    ],
)
def test_what_is_not_sent_is_noted_on_the_delivery(
    owner: User, application, change: Callable[[User], None] | None, inner: str, note: str
) -> None:
    text_of(owner)
    if change is not None:
        change(owner)

    assert note in application.run(inner)

    assert sent() == []
    assert len(application.receiver.calls) == 1
    endpoint = WebhookDelivery.objects.get().endpoint
    assert (endpoint.is_enabled, endpoint.failing_since) == (True, None)


def test_one_reply_that_cannot_be_sent_does_not_stop_the_others(owner: User, application) -> None:
    text_of(owner)
    suppressions.add_by_keyword(number="+14155550102", sender="", reason="STOP", posted_by=None, now=NOW)

    note = application.run(
        '<Message>1</Message><Message to="+14155550102">2</Message><Message to="x">3</Message><Message>4</Message>'
    )

    assert [text for _, _, text in sent()] == ["1", "4"]
    assert "opted out" in note
    assert "international notation" in note


def test_media_are_left_out_of_a_message_with_text(owner: User, application) -> None:
    text_of(owner)

    note = application.run("<Message><Body>Hi</Body><Media>https://m.example.com/a.png</Media></Message>")

    assert (sent(), note) == ([(OURS, PERSON, "Hi")], replies.NO_MEDIA)


@pytest.mark.parametrize("event_type", ["message.delivered", "message.failed"])
def test_the_answer_to_a_status_callback_means_nothing(owner: User, application, event_type: str) -> None:
    message = MessageFactory(
        delivered=True, owner=owner, callback_url="https://app.example.com/", callback_dialect="twilio"
    )
    ClientEventFactory(message=message, type=event_type, snapshot={"status": event_type.removeprefix("message.")})

    assert application.run("<Message>Hi</Message>") == ""

    assert len(sent()) == 1  # the message itself


def test_the_answer_to_a_test_delivery_means_nothing(owner: User, application) -> None:
    endpoint = EndpointFactory(owner=owner, dialect="twilio")
    WebhookDelivery.objects.create(endpoint=endpoint, next_attempt_at=NOW, created_at=NOW)

    assert application.run("<Message>Hi</Message>") == ""

    assert sent() == []


def test_the_answer_of_an_endpoint_of_our_own_form_means_nothing(owner: User) -> None:
    message = text_of(owner)
    result = result_of(message, "<Response><Message>Hi</Message></Response>", dialect="")

    assert replies.obey([result], default_queue="express", guard=Guard(), now=NOW).stored == 0


class TestTheNumberThatReceivedTheText:
    def test_an_accounts_own_number_may_be_used(self, owner: User, application) -> None:
        account = AccountFactory(config={"url": "http://127.0.0.1:9/send", "from_number": "+15005550011"})
        text_of(owner, to_number="+15005550011", provider=account)

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("+15005550011", PERSON, "Hi")]

    def test_a_text_that_names_no_number_is_answered_from_that_of_its_account(self, owner: User, application) -> None:
        account = AccountFactory(config={"url": "http://127.0.0.1:9/send", "from_number": "+15005550011"})
        text_of(owner, to_number="", provider=account)

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("+15005550011", PERSON, "Hi")]

    def test_a_number_that_is_not_ours_is_not_used(self, owner: User, application) -> None:
        text_of(owner, to_number="+15005550012", provider=AccountFactory())

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("", PERSON, "Hi")]

    def test_a_number_of_another_owner_is_not_used(self, owner: User, application) -> None:
        SenderFactory(number="+15005550013", owner=UserFactory())
        text_of(owner, to_number="+15005550013")

        assert "not one of your senders" in application.run("<Message>Hi</Message>")

        assert sent() == []


class TestLoops:
    def test_a_text_over_the_rate_limit_gets_no_reply(self, owner: User, application) -> None:
        text_of(owner, error_code=RATE_LIMITED.code, error_detail=RATE_LIMITED.detail)

        assert application.run("<Message>Hi</Message>") == RATE_LIMITED.detail

        assert sent() == []

    def test_two_applications_that_answer_each_other_come_to_an_end(self, owner: User, application) -> None:
        """Each reply arrives as a text at the other number within the same minute."""
        other = "+15005550007"
        SenderFactory(number=other, owner=owner)
        account = AccountFactory()
        application.answer = "<Response><Message>Hi</Message></Response>"
        EndpointFactory(owner=owner, dialect="twilio")
        arrives(account, other, OURS, "0")

        for round_number in range(1, 30):
            process.process(default_queue="express", now=NOW)
            before = len(sent())
            application.run()
            fresh = sent()[before:]
            for sender, recipient, _ in fresh:
                arrives(account, sender, recipient, str(round_number))
            if not fresh:
                break

        assert len(sent()) == 2 * inbound_limits().messages


class TestExactlyOnce:
    def test_a_lost_claim_obeys_nothing(self, owner: User) -> None:
        message = text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        WebhookDelivery.objects.update(claim_id=uuid4())  # another worker has it
        result = Result(job, status=200, answers=(hello(),))

        settle([result], now=NOW, positions=[0.5], obey=obey)

        assert sent() == []
        assert WebhookDelivery.objects.get().state == "sending"
        assert message.status == "processed"

    def test_the_same_result_twice_is_obeyed_once(self, owner: User) -> None:
        text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        result = Result(job, status=200, answers=(hello(),))

        for _ in range(2):
            settle([result], now=NOW, positions=[0.5], obey=obey)

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_repeated_call_after_a_lost_worker_is_obeyed_once(self, owner: User, application) -> None:
        """The worker died after the call: nothing was obeyed, so the repeat is."""
        text_of(owner)
        claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        application.clock.forward(minutes=2)
        application.answer = "<Response><Message>Hello</Message></Response>"
        return_expired_claims(now=application.clock.now)
        application.clock.forward(minutes=1)
        application.run()

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_nothing_is_stored_if_the_delivery_is_not(self, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
        text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)

        def fail(*_: object) -> None:
            raise OperationalError("the connection is lost")

        monkeypatch.setattr("messaging.services.webhooks.settle.save_together", fail)
        with pytest.raises(OperationalError):
            settle([Result(job, status=200, answers=(hello(),))], now=NOW, positions=[0.5], obey=obey)

        assert sent() == []
        assert WebhookDelivery.objects.get().state == "sending"

    def test_a_redelivery_is_not_obeyed_again(self, owner: User, application) -> None:
        text_of(owner)
        application.run("<Message>Hello</Message>")
        application.clock.forward(days=1)
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=application.clock.now)

        application.run("<Message>Hello again</Message><Message>and again</Message>")

        assert len(application.receiver.calls) == 2
        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_redelivery_is_obeyed_if_nothing_could_be_sent_before(self, owner: User, application) -> None:
        text_of(owner)
        application.run("<Message>")
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=NOW)

        assert application.run("<Message>Hello</Message>") == ""

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_bug_does_not_repeat_the_call(
        self, owner: User, application, monkeypatch: pytest.MonkeyPatch, caplog
    ) -> None:
        text_of(owner)

        def fail(**_: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO messaging_message (id) VALUES (NULL)")

        monkeypatch.setattr(replies, "submit_many", fail)

        assert application.run("<Message>Hello</Message>") == replies.OUR_FAILURE

        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
            "TwiML replies could not be stored: IntegrityError"
        ]

    def test_ids_of_replies_are_stable_ordered_and_distinct(self) -> None:
        one, other = uuid7(), uuid7()
        ids = [reply_id(one, position) for position in range(100)]

        assert ids == sorted(ids) == [reply_id(one, position) for position in range(100)]
        assert len({*ids, reply_id(other, 0)}) == 101
        assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
        assert all(each.bytes[:6] == one.bytes[:6] for each in ids)


def test_the_number_of_queries_does_not_depend_on_the_number_of_replies(owner: User) -> None:
    def queries(count: int, inner: str) -> int:
        results = [result_of(text_of(owner), f"<Response>{inner}</Response>") for _ in range(count)]
        with CaptureQueriesContext(connection) as found:
            replies.obey(results, default_queue="express", guard=Guard(), now=NOW)
        return len(found)

    queries(1, "<Message>warm</Message>")

    assert queries(1, "<Message>a</Message>") == queries(5, "<Message>a</Message><Message>b</Message>")


def test_the_task_wires_it_and_notifies_the_queue_after_the_commit(
    owner: User, broker, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
) -> None:
    message = text_of(owner)
    result = result_of(message, "<Response><Message>Hello</Message></Response>")

    with django_capture_on_commit_callbacks() as callbacks:
        assert tasks.deliverer._obey([result]) == {}
        assert broker.notified == []
    for callback in callbacks:
        callback()

    assert broker.notified == ["express"]
    assert sent() == [(OURS, PERSON, "Hello")]


def arrives(account: ProviderAccount, sender: str, recipient: str, words: str) -> None:
    text = InboundMessage(f"in-{sender}-{words}", sender, recipient, f"Hi {words}")
    ingest(text, account=account, limits=inbound_limits(), now=NOW)


def hello() -> ResponseBody:
    return ResponseBody("https://app.example.com/sms", b"<Response><Message>Hello</Message></Response>", "text/xml")


def obey(results):
    return replies.obey(results, default_queue="express", guard=Guard(), now=NOW).notes


def result_of(message: Message, answer: str, *, dialect: str = "twilio") -> Result:
    delivery = WebhookDelivery.objects.get(event__message_id=message.pk)
    job = WebhookJob(
        delivery_id=delivery.pk,
        endpoint_id=delivery.endpoint_id,
        owner_id=delivery.endpoint.owner_id,
        claim_id=uuid4(),
        webhook_id=str(uuid4()),
        dialect=dialect,
        request=ClientCall("POST", "https://app.example.com/sms", {}, b""),
        secrets=("x",),
        message_id=message.pk,
    )
    return Result(job, status=200, answers=(ResponseBody(job.request.url, answer.encode(), "text/xml"),))
