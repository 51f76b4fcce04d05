"""Inbound texts over HTTP: authenticated first, never refused for length or rate, each stored once."""

import json
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from twilio.request_validator import RequestValidator

from messaging import webhooks
from messaging.models import Message, ProviderCallback, Suppression
from messaging.request_bodies import read_bounded
from providers import callback_tokens, registry
from tests.factories import AccountFactory
from tests.messaging.api.conftest import HANDLER, assert_problem

pytestmark = pytest.mark.django_db
PERSON, OURS, SECRET = "+14155550101", "+15005550006", "the-auth-token"
FORM = "application/x-www-form-urlencoded"
TEXT = {"from": PERSON, "to": OURS, "message": "Hello", "id": "in-1"}


class Carrier:
    """A generic provider that sends callbacks with its token, as JSON or with `form` as a form."""

    def __init__(self, account) -> None:
        self.account = account
        self.client = Client(raise_request_exception=False)
        self.client.handler = HANDLER

    def bring(self, body, *, form: bool = False, token: str | None = None) -> HttpResponse:
        if token is None:
            token = callback_tokens.make(slug=self.account.slug, attempt_id="", keys=registry.callback_keys())
        data = body if isinstance(body, bytes) else (urlencode(body) if form else json.dumps(body)).encode()
        path = f"/webhooks/{self.account.slug}/inbound/?{urlencode({'token': token})}"
        return self.client.generic("POST", path, data, content_type=FORM if form else "application/json")


class TwilioCarrier:
    def __init__(self) -> None:
        config = {"account_sid": "AC00", "auth_token": SECRET, "from_number": OURS}
        self.account = AccountFactory(slug="twilio", backend="twilio", config=config)
        self.client = Client(raise_request_exception=False)
        self.client.handler = HANDLER

    def bring(self, secret: str = SECRET, **fields: str) -> HttpResponse:
        form = {"MessageSid": "SM1", "From": PERSON, "To": OURS, "Body": "Hello", "NumMedia": "0", **fields}
        path = "/webhooks/twilio/inbound/"
        signature = RequestValidator(secret).compute_signature(f"http://public.example{path}", form)
        headers = {"X-Twilio-Signature": signature}
        return self.client.generic("POST", path, urlencode(form), content_type=FORM, headers=headers)


@pytest.fixture
def carrier() -> Carrier:
    config = {"url": "http://127.0.0.1:9/", "inbound": {"id": "id", "media": "media"}}
    return Carrier(AccountFactory(slug="acme", config=config))


@pytest.fixture
def twilio(settings) -> TwilioCarrier:
    settings.PUBLIC_URL = "http://public.example"
    return TwilioCarrier()


def assert_nothing_stored() -> None:
    assert not Message.objects.exists()


def test_a_text_is_received_when_its_body_was_read(carrier, monkeypatch) -> None:
    read_at = []

    def read_slowly(*args: object) -> bytes:
        body = read_bounded(*args)
        read_at.append(timezone.now())
        return body

    monkeypatch.setattr(webhooks, "read_bounded", read_slowly)

    carrier.bring(TEXT)

    assert Message.objects.get().received_at >= read_at[0]


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_text_is_stored_and_workers_are_notified(carrier, broker, form: bool) -> None:
    if form:
        carrier.account.config |= {"format": "form"}
        carrier.account.save()

    response = carrier.bring(TEXT, form=form)

    assert (response.status_code, response.json()) == (200, {"result": "stored"})
    assert response.headers["Content-Type"] == "application/json"
    message = Message.objects.get()
    assert (message.from_number, message.to_number, message.text) == (PERSON, OURS, "Hello")
    assert (message.status, message.provider, message.provider_message_id) == ("received", carrier.account, "in-1")
    assert broker.inbound_notifications == ["messaging.process_inbound"]
    assert not ProviderCallback.objects.exists()


def test_the_same_id_twice_is_200_and_one_row(carrier) -> None:
    carrier.bring(TEXT)

    assert carrier.bring(TEXT).status_code == 200
    assert carrier.bring({**TEXT, "message": "changed"}).status_code == 200
    assert Message.objects.values_list("text", flat=True).get() == "Hello"


def test_a_text_is_never_refused_for_rate_or_length(carrier) -> None:
    responses = [carrier.bring({**TEXT, "id": f"in-{n}", "message": "x" * (160 + n)}) for n in range(7)]
    responses.append(carrier.bring({**TEXT, "id": "long", "message": "x" * 1600}))

    assert {response.status_code for response in responses} == {200}
    marks = Message.objects.order_by("pk").values_list("error_code", flat=True)
    assert list(marks) == ["", *["too_long"] * 7]


@pytest.mark.parametrize(
    "changes",
    [
        {"message": None},
        {"message": "a\x00b"},
        {"message": "\ud800"},
        {"from": ""},
        {"id": "x" * 129},
    ],
    ids=lambda changes: repr(changes)[:30],
)
def test_a_text_that_no_row_can_hold_is_400_and_stored_raw(carrier, broker, changes: dict) -> None:
    assert_problem(carrier.bring({**TEXT, **changes}), 400, "parse_error")

    assert_nothing_stored()
    kept = ProviderCallback.objects.get()
    assert (kept.kind, kept.state, kept.provider) == ("inbound", "malformed", carrier.account)
    assert broker.inbound_notifications == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\x00", b"[" * 30_000], ids=lambda body: repr(body[:8]))
def test_a_malformed_body_is_400_and_stored_raw(carrier, body: bytes) -> None:
    assert_problem(carrier.bring(body), 400, "parse_error")

    assert ProviderCallback.objects.values_list("state", flat=True).get() == "malformed"


@pytest.mark.parametrize("token", ["", "x", "é", "x" * 5000])
def test_without_authentication_nothing_is_stored(carrier, token: str) -> None:
    assert_problem(carrier.bring(TEXT, token=token), 403, "permission_denied")

    assert_nothing_stored()
    assert not ProviderCallback.objects.exists()


def test_an_unknown_provider_is_404(carrier) -> None:
    carrier.account.slug = "nobody"

    assert_problem(carrier.bring(TEXT), 404, "not_found")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0014155550101", PERSON), ("+1 415 555 0101", PERSON), ("12345", "12345"), ("ACME", "ACME"), ("80888", "80888")],
)
def test_numbers_are_normalised_to_e164_and_names_are_unchanged(carrier, given: str, kept: str) -> None:
    assert carrier.bring({**TEXT, "from": given}).status_code == 200

    assert Message.objects.values_list("from_number", "error_code").get() == (kept, "")


@pytest.mark.parametrize("given", ["9195550101", "6465593995", "14155550101", "s@example.com"])
def test_a_stop_from_a_number_that_cannot_be_read_blocks_that_very_string(carrier, given: str) -> None:
    assert carrier.bring({**TEXT, "from": given, "message": "STOP"}).status_code == 200

    assert Message.objects.values_list("from_number", "error_code").get() == (given, "unreadable_number")
    assert Suppression.objects.values_list("number", "sender").get() == (given, OURS)


def test_a_text_that_is_too_long_for_a_message_is_stored_cut_and_kept_whole(carrier) -> None:
    assert carrier.bring({**TEXT, "message": "x" * 1601}).status_code == 200

    message = Message.objects.get()
    assert (message.text, message.error_code) == ("x" * 1600, "too_long")
    assert json.loads(ProviderCallback.objects.get(message=message).body) == {"text": "x" * 1601}


def test_media_are_stored_once_and_fetched_by_their_own_task(carrier, broker) -> None:
    url = "https://a.example/1.png"

    assert carrier.bring({**TEXT, "message": "", "media": [url, url]}).status_code == 200

    message = Message.objects.get()
    assert message.media_count == 1
    assert list(message.attachments.values_list("source_url", flat=True)) == [url]
    assert broker.inbound_notifications == ["messaging.process_inbound", "messaging.fetch_inbound_media"]


def test_an_internal_error_is_500_so_that_the_provider_retries(carrier, monkeypatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("messaging.webhooks.receive.receive_from_provider", fail)

    assert_problem(carrier.bring(TEXT), 500, "server_error")


def test_twilio_gets_an_empty_twiml_response(twilio) -> None:
    response = twilio.bring()

    assert (response.status_code, response.content) == (200, b"<Response/>")
    assert response.headers["Content-Type"] == "text/xml"
    message = Message.objects.get()
    assert (message.text, message.provider_message_id, message.is_automatic) == ("Hello", "SM1", False)


def test_a_keyword_answered_by_twilio_is_marked_automatic(twilio) -> None:
    twilio.bring(Body="STOP", OptOutType="STOP")

    assert Message.objects.get().is_automatic is True


@pytest.mark.parametrize("fields", [{"Body": "Stop"}, {"Body": "Arrêt", "OptOutType": "STOP"}], ids=["text", "type"])
def test_a_stop_by_twilio_is_applied_before_the_response(twilio, fields: dict[str, str]) -> None:
    assert twilio.bring(**fields).status_code == 200

    assert Suppression.objects.values_list("number", "sender", "source").get() == (PERSON, OURS, "keyword")


def test_a_stop_by_a_carrier_is_applied_before_the_response(carrier) -> None:
    assert carrier.bring({**TEXT, "message": "stop"}).status_code == 200

    assert Suppression.objects.values_list("number", "sender", "source").get() == (PERSON, OURS, "keyword")


def test_a_wrong_twilio_signature_is_403(twilio) -> None:
    assert_problem(twilio.bring("another-token"), 403, "permission_denied")

    assert_nothing_stored()


def test_an_image_by_twilio_waits_to_be_fetched(twilio) -> None:
    url = "https://api.twilio.com/2010-04-01/Accounts/AC00/Messages/SM1/Media/ME1"

    assert twilio.bring(Body="", NumMedia="1", MediaUrl0=url).status_code == 200

    assert Message.objects.get().attachments.get().source_url == url
