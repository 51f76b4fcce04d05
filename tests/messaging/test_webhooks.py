"""Status callbacks over HTTP: authenticated first, then stored raw, then applied."""

import json
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from messaging import webhooks
from messaging.models import Message, PhoneNumber, ProviderCallback
from messaging.request_bodies import read_bounded
from providers import callback_tokens, registry
from tests.database_faults import passing_faults
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.api.conftest import HANDLER, assert_problem

pytestmark = pytest.mark.django_db
DELIVERED = {"message_id": "p1", "status": "delivered"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client() -> Client:
    client = Client(raise_request_exception=False)
    client.handler = HANDLER
    return client


@pytest.fixture
def sent(account):
    message = MessageFactory(sent=True, provider=account, provider_message_id="p1")
    return AttemptFactory(message=message, provider=account, provider_message_id="p1")


def address(slug: str = "acme", attempt_id: str = "", signed_for: str | None = None) -> str:
    token = callback_tokens.make(slug=signed_for or slug, attempt_id=attempt_id, keys=registry.callback_keys())
    return f"/webhooks/{slug}/status/?{urlencode({'token': token})}"


def send(client: Client, path: str, body=DELIVERED, **headers: str) -> HttpResponse:
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    content_type = headers.pop("content_type", "application/json")
    return client.generic("POST", path, data, content_type=content_type, headers=headers)


def assert_nothing_stored() -> None:
    assert not ProviderCallback.objects.exists()
    assert Message.objects.values_list("status", flat=True).get() == "sent"


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize("slash", ["/", ""])
def test_an_authenticated_receipt_is_applied_at_every_url(client, sent, prefix: str, slash: str) -> None:
    path, _, query = address().partition("?")

    response = send(client, f"{prefix}{path.rstrip('/')}{slash}?{query}")

    assert (response.status_code, response.json()) == (200, {"result": "applied"})
    sent.message.refresh_from_db()
    assert sent.message.status == "delivered"


def test_a_receipt_counts_from_when_its_body_was_read(client, sent, monkeypatch) -> None:
    read_at = []

    def read_slowly(*args: object) -> bytes:
        body = read_bounded(*args)
        read_at.append(timezone.now())
        return body

    monkeypatch.setattr(webhooks, "read_bounded", read_slowly)

    send(client, address())

    sent.message.refresh_from_db()
    assert sent.message.delivered_at >= read_at[0]


def test_the_body_is_stored_as_received(client, sent) -> None:
    send(client, address(), b'{"message_id" : "p1",\n"status":"delivered", "more": "\xc3\xa9"}')

    kept = ProviderCallback.objects.get()
    assert kept.body == '{"message_id" : "p1",\n"status":"delivered", "more": "é"}'
    assert (kept.state, kept.word, kept.message, kept.attempt) == ("applied", "delivered", sent.message, sent)


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/acme/status/",
        "/webhooks/acme/status/?token=",
        "/webhooks/acme/status/?token=x",
        "/webhooks/acme/status/?token=%00",
        "/webhooks/acme/status/?token=%C3%A9",
        "/webhooks/acme/status/?token=%FF",
        "/webhooks/acme/status/?token=" + "x" * 5000,
    ],
)
def test_without_authentication_nothing_is_stored(client, sent, path: str) -> None:
    assert_problem(send(client, path), 403, "permission_denied")

    assert_nothing_stored()


def test_another_accounts_token_is_refused(client, sent) -> None:
    AccountFactory(slug="other")

    assert_problem(send(client, address("acme", signed_for="other")), 403, "permission_denied")

    assert_nothing_stored()


def test_a_token_signed_with_the_previous_key_is_valid(client, sent, settings) -> None:
    old = address()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new one"
    registry.close_outdated([])

    try:
        assert send(client, old).status_code == 200
    finally:
        registry.close_outdated([])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\x00", b'{"status": "delivered"}', b'{"message_id": "p1"}', b"[" * 50_000,
     b'{"message_id": "' + b"p" * 129 + b'", "status": "delivered"}', b'{"message_id": {}, "status": "delivered"}'],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_an_authenticated_malformed_body_is_stored(client, sent, body: bytes) -> None:
    response = send(client, address(), body)

    assert_problem(response, 400, "parse_error")
    assert ProviderCallback.objects.values_list("state", flat=True).get() == "malformed"
    sent.message.refresh_from_db()
    assert sent.message.status == "sent"


def test_a_late_receipt_is_reported_as_ignored(client, sent) -> None:
    responses = [send(client, address(), {**DELIVERED, "status": word}) for word in ("delivered", "failed", "failed")]

    assert [(response.status_code, response.json()["result"]) for response in responses] == [
        (200, "applied"),
        (200, "ignored"),
        (200, "ignored"),
    ]
    sent.message.refresh_from_db()
    assert sent.message.status == "delivered"


def test_a_receipt_with_an_unknown_id_is_stored_for_later(client, sent) -> None:
    response = send(client, address(), {"message_id": "p2", "status": "delivered"})

    assert (response.status_code, response.json()) == (202, {"result": "kept"})
    kept = ProviderCallback.objects.get()
    assert (kept.state, kept.provider_message_id, kept.message) == ("unmatched", "p2", None)


def test_the_same_receipt_twice_is_200_twice_and_one_row(client, sent) -> None:
    responses = [send(client, address()).status_code for _ in range(2)]

    assert responses == [200, 200]
    assert ProviderCallback.objects.count() == 1
    assert sent.message.events.count() == 1


def test_the_token_of_an_unknown_attempt_settles_it(client, account) -> None:
    attempt = AttemptFactory(message__status="unknown", provider=account, outcome="unknown")

    response = send(client, address(attempt_id=str(attempt.pk)))

    assert response.status_code == 200
    attempt.message.refresh_from_db()
    assert (attempt.message.status, attempt.message.provider_message_id) == ("delivered", "p1")


@pytest.mark.parametrize("attempt_id", ["not-a-uuid", "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"])
def test_a_token_that_names_no_attempt_authenticates_too(client, sent, attempt_id: str) -> None:
    assert send(client, address(attempt_id=attempt_id)).status_code == 200


def test_an_invalid_recipient_makes_the_number_inactive(client, sent) -> None:
    send(client, address(), {"message_id": "p1", "status": "invalid"})

    number = PhoneNumber.objects.get(number=sent.message.to_number)
    assert (number.status, number.reason) == ("inactive", "acme: recipient_invalid")


def test_an_unknown_status_is_accepted_and_changes_nothing(client, sent) -> None:
    response = send(client, address(), {"message_id": "p1", "status": "glorious"})

    assert (response.status_code, response.json()) == (200, {"result": "ignored"})
    sent.message.refresh_from_db()
    assert sent.message.status == "sent"
    assert ProviderCallback.objects.get().state == "ignored"


def test_a_huge_body_is_refused_and_not_stored(client, sent) -> None:
    assert_problem(send(client, address(), b"x" * (webhooks.MAX_BODY_BYTES + 1)), 413, "body_too_large")

    assert_nothing_stored()


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=0.9", "nonsense", "", "*/*"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", FORM, "x", ""])
def test_any_headers_are_accepted(client, sent, accept: str, content_type: str) -> None:
    response = send(client, address(), Accept=accept, content_type=content_type)

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


def test_a_disabled_account_still_receives_receipts(client, sent, account) -> None:
    account.is_enabled = False
    account.save()

    assert send(client, address()).status_code == 200


@pytest.mark.parametrize("slug", ["nobody", "ACME", "a" * 60])
def test_an_unknown_account_is_404(client, sent, slug: str) -> None:
    assert_problem(send(client, address(slug)), 404, "not_found")

    assert_nothing_stored()


@pytest.mark.parametrize("kind", ["status", "inbound"])
def test_an_account_without_callbacks_is_404(client, send_only, kind: str) -> None:
    assert_problem(send(client, f"/webhooks/{send_only.slug}/{kind}/"), 404, "not_found")
    assert_problem(send(client, address(send_only.slug).replace("status", kind)), 404, "not_found")

    assert not ProviderCallback.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_only_get_and_post_are_allowed(client, sent, method: str) -> None:
    assert_problem(client.generic(method, address(), json.dumps(DELIVERED)), 405, "method_not_allowed")

    assert_nothing_stored()


def test_an_internal_error_is_500_so_that_the_provider_retries(client, sent, monkeypatch) -> None:
    def fail(*_args, **_options) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("messaging.webhooks.receipts.apply", fail)

    response = send(client, address())

    assert_problem(response, 500, "server_error")
    assert ProviderCallback.objects.get().state == "unmatched"


def test_a_missing_secret_is_an_internal_error(client, monkeypatch) -> None:
    monkeypatch.delenv("PROVIDER_ACME_SECRET", raising=False)
    config = {"url": "http://127.0.0.1:9/", "callback_auth": "hmac", "callback_secret": {"env": "PROVIDER_ACME_SECRET"}}
    AccountFactory(slug="acme", config=config)

    assert_problem(send(client, "/webhooks/acme/status/"), 500, "server_error")


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("step", ["record", "apply"])
def test_an_unavailable_database_is_503(client, sent, monkeypatch, fault, step) -> None:
    def unavailable(*_args, **_options) -> None:
        raise fault

    monkeypatch.setattr(f"messaging.webhooks.receipts.{step}", unavailable)

    response = send(client, address())

    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
def test_an_inbound_text_while_the_database_is_unavailable_is_503(client, sent, monkeypatch, fault) -> None:
    def unavailable(*_args, **_options) -> None:
        raise fault

    monkeypatch.setattr("messaging.webhooks.receive.receive_from_provider", unavailable)
    text = {"message_id": "in-1", "from": "+14155550199", "to": "+15005550006", "message": "STOP"}

    response = send(client, "/webhooks/acme/inbound/?token=" + address().partition("token=")[2], text)

    assert_problem(response, 503, "unavailable")


def test_no_callback_content_is_logged(client, sent, caplog) -> None:
    caplog.set_level("DEBUG")
    for body in (
        {**DELIVERED, "status": "odd-word-4711"},
        b"\xffgarbage-4712",
        {"message_id": "id-4713", "status": "failed"},
    ):
        send(client, address(), body)
    send(client, "/webhooks/acme/status/?token=secret-4714")

    text = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("messaging", "providers"))
    )
    assert not [mark for mark in ("4711", "4712", "4713", "4714") if mark in text]
