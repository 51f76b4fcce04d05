"""Applications that answer texts with TwiML."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User

from messaging.models import Message, WebhookDelivery
from messaging.services.twilio import replies
from messaging.services.webhooks import Deliverer
from messaging.services.webhooks.concurrency import WebhookJob
from messaging.services.webhooks.dialects import ClientCall
from messaging.services.webhooks.settle import ResponseBody, Result
from messaging.states import Direction, Status
from providers.http.public_addresses import Guard
from providers.http.transport import HttpResponse
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.services.webhooks.conftest import AtOnceExecutor, Clock, Receiver

PERSON, OURS = "+14155550101", "+15005550006"
LEASE = timedelta(seconds=60)


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
        self.fetch: Callable[[Result], Mapping[str, UUID]] = lambda _result: {}

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
            fetch=self.fetch,
        )
        deliverer.run()
        assert not WebhookDelivery.objects.exclude(state="succeeded").exists()
        return " ".join(WebhookDelivery.objects.order_by("pk").values_list("error", flat=True))


def sent() -> list[tuple[str, str, str]]:
    rows = Message.objects.filter(direction=Direction.OUTBOUND).order_by("pk")
    return [(row.from_number, row.to_number, row.text) for row in rows]


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
