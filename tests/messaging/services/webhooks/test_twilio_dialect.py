"""Callbacks in Twilio's form: fields, signature, credential, redirects."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from twilio.request_validator import RequestValidator

from media_store.models import MediaAsset
from messaging.models import Attachment, Message, TwilioAccount, WebhookDelivery, WebhookEndpoint
from messaging.sealing import seal
from messaging.services.webhooks import Deliverer
from messaging.services.webhooks.claim import claim
from messaging.services.webhooks.settle import Result
from messaging.states import Status
from messaging.twilio_ids import media_sid, message_sid, service_sid
from providers.http.transport import HttpResponse
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    QueueFactory,
    UserFactory,
    WebhookDeliveryFactory,
    lose_the_key,
)
from tests.messaging.services.webhooks.conftest import TOKEN, AtOnceExecutor, Call, Receiver, status, twilio_account

pytestmark = pytest.mark.django_db

PERSON, OURS = "+14155550101", "+15005550006"


def image() -> MediaAsset:
    return MediaAsset.objects.create(
        sha256=f"{MediaAsset.objects.count():064x}", content_type="image/png", size=1, width=1, height=1, created_at=NOW
    )


def form_of(call: Call) -> dict[str, str]:
    text = call.body.decode() if call.method == "POST" else urlsplit(call.url).query
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


def is_signed(call: Call, token: str = TOKEN) -> bool:
    fields = form_of(call) if call.method == "POST" else {}
    return RequestValidator(token).validate(call.url, fields, call.headers["X-Twilio-Signature"])


def endpoint(owner: User, **values: Any) -> WebhookEndpoint:
    return EndpointFactory(owner=owner, dialect="twilio", url="https://app.example.com/sms", **values)


def received(owner: User, **values: Any) -> Message:
    return MessageFactory(
        inbound=True,
        status=Status.PROCESSED,
        owner=owner,
        from_number=PERSON,
        to_number=OURS,
        **{"text": "Yes, please 👍\nnow", **values},
    )


def tell(message: Message, *, event_type: str = "message.received", **snapshot: Any) -> None:
    ClientEventFactory(message=message, type=event_type, snapshot={"status": message.status, **snapshot})


@pytest.fixture
def owner() -> User:
    owner = UserFactory()
    twilio_account(owner)
    return owner


def test_an_inbound_text_is_posted_as_twilio_does(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    endpoint(owner)
    message = received(owner, segments=2)
    tell(message)

    assert deliverer.run() == 1

    [call] = receiver.calls
    sid = message_sid(message)
    assert (call.method, call.url) == ("POST", "https://app.example.com/sms")
    assert form_of(call) == {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "SmsStatus": "received",
        "AccountSid": TwilioAccount.objects.get().sid,
        "ApiVersion": "2010-04-01",
        "From": PERSON,
        "To": OURS,
        "Body": "Yes, please 👍\nnow",
        "NumMedia": "0",
        "NumSegments": "2",
        "FromCountry": "US",
        "ToCountry": "US",
    }
    assert is_signed(call)
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert call.headers["I-Twilio-Idempotency-Token"] == str(WebhookDelivery.objects.get().event.public_id)
    assert "webhook-signature" not in call.headers
    assert WebhookDelivery.objects.get().state == "succeeded"


def test_files_are_addresses_of_our_api(owner: User, deliverer: Deliverer, receiver: Receiver, settings) -> None:
    settings.PUBLIC_URL = "https://sms.example.org"
    endpoint(owner)
    message = received(owner, media_count=3, text="")
    assets = [image(), image()]
    for position, asset in enumerate([*assets, None]):  # the last one could not be fetched
        Attachment.objects.create(
            message=message, position=position, asset=asset, source_url="" if asset else "http://x"
        )
    tell(message)

    deliverer.run()

    form = form_of(receiver.calls[0])
    account = TwilioAccount.objects.get().sid
    folder = f"https://sms.example.org/2010-04-01/Accounts/{account}/Messages/MM{message.pk.hex}/Media"
    assert {name: value for name, value in form.items() if "Media" in name} == {
        "NumMedia": "2",
        "MediaUrl0": f"{folder}/{media_sid(assets[0].pk)}",
        "MediaUrl1": f"{folder}/{media_sid(assets[1].pk)}",
        "MediaContentType0": assets[0].content_type,
        "MediaContentType1": assets[1].content_type,
    }
    assert form["Body"] == ""


@pytest.mark.parametrize(
    ("event_type", "snapshot", "told"),
    [
        ("message.sent", {"status": "sent", "from_number": OURS}, {"MessageStatus": "sent"}),
        ("message.unknown", {"status": "unknown", "from_number": OURS}, {"MessageStatus": "sent"}),
        ("message.delivered", {"status": "delivered", "from_number": OURS}, {"MessageStatus": "delivered"}),
        ("message.canceled", {"status": "canceled", "from_number": OURS}, {"MessageStatus": "canceled"}),
        (
            "message.failed",
            {"status": "failed", "from_number": OURS, "error_code": "recipient_opted_out"},
            {"MessageStatus": "failed", "ErrorCode": "21610"},
        ),
        (
            "message.undelivered",
            {"status": "undelivered", "from_number": OURS, "error_code": "something_else"},
            {"MessageStatus": "undelivered", "ErrorCode": "30008"},
        ),
    ],
)
def test_a_status_callback_tells_the_message_as_it_was(
    deliverer: Deliverer, receiver: Receiver, event_type: str, snapshot: dict, told: dict
) -> None:
    owner = UserFactory()
    twilio_account(owner)
    message = MessageFactory(
        delivered=True, owner=owner, callback_url="https://app.example.com:8443/st;?a=1", callback_dialect="twilio"
    )
    tell(message, event_type=event_type, **snapshot)

    deliverer.run()

    [call] = receiver.calls
    sid = message_sid(message)
    assert call.url == "https://app.example.com:8443/st%3B?a=1"
    assert form_of(call) == {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsStatus": told["MessageStatus"],
        "AccountSid": TwilioAccount.objects.get().sid,
        "ApiVersion": "2010-04-01",
        "From": OURS,
        "To": message.to_number,
        **told,
    }
    assert is_signed(call)


def test_a_queue_of_its_own_is_a_messaging_service(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    queue = QueueFactory(paced=True)
    message = MessageFactory(
        delivered=True, owner=owner, queue=queue, callback_url="https://app.example.com/", callback_dialect="twilio"
    )
    tell(message, event_type="message.delivered")

    deliverer.run()

    assert form_of(receiver.calls[0])["MessagingServiceSid"] == service_sid("paced")


def test_only_events_of_messages_are_told(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    endpoint(owner)
    ClientEventFactory(
        message=None,
        owner=owner,
        message_id=None,
        has_callback_url=False,
        type="schedule.completed",
        snapshot={"data": {}},
    )

    assert deliverer.run() == 0

    assert not WebhookDelivery.objects.exists()


def test_an_endpoint_of_one_number_is_told_of_that_one(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    endpoint(owner, number=OURS)
    for number in (OURS, "+15005550007"):
        tell(MessageFactory(inbound=True, status=Status.PROCESSED, owner=owner, to_number=number))

    deliverer.run()

    assert [form_of(call)["To"] for call in receiver.calls] == [OURS]


@pytest.mark.parametrize("missing", ["never issued", "revoked", "unreadable", "empty"])
def test_without_a_credential_nothing_is_sent(
    owner: User, deliverer: Deliverer, receiver: Receiver, missing: str
) -> None:
    endpoint(owner)
    tell(received(owner))
    accounts = TwilioAccount.objects.filter(user=owner)
    match missing:
        case "never issued":
            accounts.delete()
        case "revoked":
            accounts.update(revoked_at=NOW)
        case "unreadable":
            accounts.update(auth_token="gAAAAA")
        case _:
            accounts.update(auth_token="")

    deliverer.run()

    delivery = WebhookDelivery.objects.get()
    assert receiver.calls == []
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == ("pending", 1, NOW + timedelta(seconds=5))
    assert delivery.error == "The owner has no valid Twilio credential to sign with."


def test_the_secondary_token_never_signs(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    other = "f" * 32
    TwilioAccount.objects.update(secondary_token=seal("twilio-auth-tokens", other))
    endpoint(owner)
    tell(received(owner))

    deliverer.run()

    [call] = receiver.calls
    assert (is_signed(call), is_signed(call, other)) == (True, False)


def test_a_text_that_cannot_be_decrypted_waits(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    endpoint(owner)
    message = received(owner)
    tell(message)
    lose_the_key(message)

    assert deliverer.run() == 0

    assert WebhookDelivery.objects.get().error == "The message's text cannot be opened."


def test_two_owners_sign_with_their_own_tokens_in_as_many_queries_as_one(
    owner: User, deliverer: Deliverer, receiver: Receiver
) -> None:
    def due(owner: User) -> None:
        target = endpoint(owner)
        message = received(owner, media_count=1)
        Attachment.objects.create(message=message, position=0, asset=image())
        event = ClientEventFactory(message=message, type="message.received", sequence=message.pk.int % 1_000_000)
        WebhookDeliveryFactory(endpoint=target, event=event)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            claim(limit=8, in_flight=[], now=NOW, lease=timedelta(seconds=60))
        return len(found)

    due(owner)
    one = queries()
    other = UserFactory()
    twilio_account(other, token="e" * 32)
    WebhookDelivery.objects.update(state="pending", claim_id=None, lease_until=None, next_attempt_at=NOW)
    due(other)
    due(other)

    assert queries() <= one + 2  # the claim asks each endpoint for its deliveries


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {"SmsStatus": "received", "Body": "This is a test.", "From": OURS, "To": "+15005550007"}),
        (
            ["message.delivered"],
            {"MessageStatus": "delivered", "SmsStatus": "delivered", "From": "+15005550007", "To": OURS},
        ),
    ],
)
def test_a_test_delivery_is_about_a_message_that_does_not_exist(
    owner: User, deliverer: Deliverer, receiver: Receiver, events: list[str], expected: dict
) -> None:
    target = endpoint(owner, events=events, number="+15005550007")
    delivery = WebhookDelivery.objects.create(endpoint=target, next_attempt_at=NOW, created_at=NOW)

    deliverer.run()

    [call] = receiver.calls
    form = form_of(call)
    assert form["MessageSid"] == f"SM{delivery.pk.hex}"
    assert {name: form.get(name) for name in expected} == expected
    assert is_signed(call)
    delivery.refresh_from_db()
    assert delivery.state == "succeeded"


class TestRedirects:
    def run(
        self,
        clock,
        owner: User,
        answers: dict[str, HttpResponse],
        *,
        event_type: str = "message.received",
        text: str = "Hi",
    ):
        """Deliver one event; return the calls and what there was to obey."""
        receiver = Receiver(clock, lambda url: answers[url.partition("?")[0]])
        obeyed: list[Result] = []

        def obey(results):
            obeyed.extend(results)
            return {}

        deliverer = Deliverer(
            receiver,  # type: ignore[arg-type]
            clock=clock,
            executor_factory=AtOnceExecutor,
            position=lambda: 0.5,
            obey=obey,
        )
        endpoint(owner)
        is_text = event_type == "message.received"
        message = received(owner, text=text) if is_text else MessageFactory(delivered=True, owner=owner)
        tell(message, event_type=event_type)
        deliverer.run()
        return receiver.calls, obeyed

    def test_its_fields_go_to_the_next_address_and_all_answers_are_kept(self, clock, owner: User) -> None:
        calls, [obeyed] = self.run(
            clock,
            owner,
            {
                "https://app.example.com/sms": twiml("<Message>1</Message><Redirect>/two?x=1</Redirect>"),
                "https://app.example.com/two": twiml('<Redirect method="GET">three?y=2#z</Redirect>'),
                "https://app.example.com/three": twiml('<Redirect method="POST">http://o.example.com:8080</Redirect>'),
                "http://o.example.com:8080/": twiml("<Message>4</Message>"),
            },
        )

        assert [(call.method, call.url.partition("&")[0]) for call in calls] == [
            ("POST", "https://app.example.com/sms"),
            ("POST", "https://app.example.com/two?x=1"),
            ("GET", "https://app.example.com/three?y=2"),
            ("POST", "http://o.example.com:8080/"),
        ]
        assert all(is_signed(call) for call in calls)
        forms = [form_of(call) for call in calls]
        assert forms[2] == {"y": "2", **forms[0]}
        assert (forms[1], forms[3]) == (forms[0], forms[0])
        assert calls[2].body == b""
        assert "Content-Type" not in calls[2].headers
        assert [answer.url.partition("?")[0] for answer in obeyed.answers] == [
            "https://app.example.com/sms",
            "https://app.example.com/two",
            "https://app.example.com/three",
            "http://o.example.com:8080/",
        ]

    def test_a_text_that_is_too_long_for_an_address_is_posted(self, clock, owner: User) -> None:
        calls, [obeyed] = self.run(
            clock,
            owner,
            {
                "https://app.example.com/sms": twiml('<Redirect method="GET">/two</Redirect>'),
                "https://app.example.com/two": twiml("<Message>1</Message>"),
            },
            text="👍" * 200,
        )

        assert [(call.method, call.url) for call in calls][1] == ("POST", "https://app.example.com/two")
        assert form_of(calls[1])["Body"] == "👍" * 200
        assert is_signed(calls[1])
        assert len(obeyed.answers) == 2

    def test_a_circle_ends_and_is_a_failure(self, clock, owner: User) -> None:
        calls, obeyed = self.run(clock, owner, {"https://app.example.com/sms": twiml("<Redirect/>")})

        assert (len(calls), obeyed) == (6, [])
        assert WebhookDelivery.objects.get().error == ("Not delivered: the answers lead from one address to the next.")

    def test_a_next_address_that_fails_fails_the_delivery(self, clock, owner: User) -> None:
        calls, obeyed = self.run(
            clock,
            owner,
            {
                "https://app.example.com/sms": twiml("<Message>1</Message><Redirect>/two</Redirect>"),
                "https://app.example.com/two": HttpResponse(500, {}, b"oops"),
            },
        )

        delivery = WebhookDelivery.objects.get()
        assert (len(calls), obeyed, delivery.state, delivery.response_status) == (2, [], "pending", 500)

    def test_the_answer_to_a_status_callback_is_not_followed(self, clock, owner: User) -> None:
        calls, _ = self.run(
            clock,
            owner,
            {"https://app.example.com/sms": twiml("<Redirect>/two</Redirect>")},
            event_type="message.delivered",
        )

        assert len(calls) == 1
        assert WebhookDelivery.objects.get().state == "succeeded"


def twiml(inner: str) -> HttpResponse:
    return HttpResponse(200, {"content-type": "text/xml"}, f"<Response>{inner}</Response>".encode())


def test_as_much_of_an_answer_is_read_as_shows_that_it_is_too_long(
    owner: User, deliverer: Deliverer, receiver: Receiver
) -> None:
    endpoint(owner)
    tell(received(owner))

    deliverer.run()

    assert receiver.calls[0].max_bytes == 65_537


def test_a_410_disables_the_endpoint_as_of_every_dialect(owner: User, deliverer: Deliverer, receiver: Receiver) -> None:
    receiver.reply = status(410)
    endpoint(owner)
    tell(received(owner))

    deliverer.run()

    assert not WebhookEndpoint.objects.get().is_enabled
