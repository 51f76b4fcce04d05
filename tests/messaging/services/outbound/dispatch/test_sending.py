"""One call: what the backend gets, and how every outcome becomes a result."""

import logging
from contextlib import nullcontext

import pytest

from messaging.services.outbound.dispatch import sending
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers import callback_tokens, registry, send_gate
from providers.contract.messages import Accepted
from providers.contract.sender import Capabilities
from providers.errors import CredentialsRefused, Misconfigured, OutcomeUnknown, Unavailable
from providers.state import rate_limit
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECRET = "the secret text"


class Backend:
    capabilities = Capabilities(callbacks=True)

    def __init__(self, result: Accepted | Exception) -> None:
        self.result = result
        self.texts = []

    def send(self, text):
        self.texts.append(text)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def send(monkeypatch, now):
    """Makes one call through this backend."""

    def send(backend: Backend, **message):
        MessageFactory(text=SECRET, **message)
        [call] = start_attempts(claim(queue_name="express", limit=1, now=now, lease=LEASE), now=now, lease=LEASE)
        monkeypatch.setattr(
            "messaging.services.outbound.dispatch.sending.registry.backend_for", lambda _account: nullcontext(backend)
        )
        return call, sending.send(call, clock=lambda: now)

    return send


def test_the_backend_gets_the_message_and_a_callback_address_of_the_attempt(account, send, settings) -> None:
    settings.PUBLIC_URL = "https://sms.example"
    backend = Backend(Accepted("p1"))

    call, result = send(backend, to_number="+14155550101", from_number="+15005550006")

    [text] = backend.texts
    assert (text.to, text.text, text.sender) == ("+14155550101", SECRET, "+15005550006")
    assert (text.reference, text.attempt) == (str(call.message.pk), str(call.attempt_id))
    address, _, token = text.callback_url.partition("?token=")
    assert address == "https://sms.example/webhooks/acme/status/"
    named = callback_tokens.read(token.replace("%3A", ":"), slug="acme", keys=registry.callback_keys())
    assert named == str(call.attempt_id)
    assert (result.attempt, result.provider_message_id, result.error) == (call, "p1", None)
    assert 0 <= result.latency_ms < 10_000


def test_a_backend_without_callbacks_gets_no_callback_address(account, send) -> None:
    backend = Backend(Accepted("p1"))
    backend.capabilities = Capabilities()

    send(backend)

    assert [text.callback_url for text in backend.texts] == [None]


def test_a_rate_limited_call_is_not_made_and_tells_how_long_to_wait(send, caplog) -> None:
    account = AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 2})
    rate_limit.acquire(account.slug, 2, 1)

    class Connected(Backend):
        def send(self, text):
            send_gate.check_gate()
            return super().send(text)

    backend = Connected(Accepted("p1"))
    with caplog.at_level(logging.INFO, logger="messaging.log_context"):
        call, result = send(backend)

    assert result == sending.Deferred(call, pytest.approx(0.5, abs=0.4))
    assert backend.texts == []
    assert caplog.records == []


def test_a_further_try_of_a_call_takes_no_second_slot(send) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 1})

    class OfTwoTries(Backend):
        def send(self, text):
            with send_gate.one_call():
                send_gate.check_gate()
                send_gate.check_gate()
            return super().send(text)

    _, result = send(OfTwoTries(Accepted("p1")))

    assert (result.provider_message_id, result.error) == ("p1", None)


def test_an_account_without_a_limit_needs_no_rate_limiter(account, send, monkeypatch) -> None:
    monkeypatch.setattr(
        "messaging.services.outbound.dispatch.sending.rate_limit.acquire", lambda *_: pytest.fail("acquired")
    )

    class Connected(Backend):
        def send(self, text):
            send_gate.check_gate()
            return super().send(text)

    _, result = send(Connected(Accepted("p1")))

    assert result.provider_message_id == "p1"


def test_without_a_sender_the_accounts_own_number_is_used(send) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550042"})
    backend = Backend(Accepted())

    send(backend, from_number="")

    assert backend.texts[0].sender == "+15005550042"


def of_calls(caplog) -> list:
    """The records of this module. Attempts themselves are always logged, by `log_context`."""
    return [record for record in caplog.records if record.name == "messaging.services.outbound.dispatch.sending"]


@pytest.mark.parametrize("error", [Unavailable("down"), OutcomeUnknown("lost")], ids=lambda e: type(e).__name__)
def test_an_error_of_the_catalogue_is_the_result(account, send, error, caplog) -> None:
    _, result = send(Backend(error))

    assert result.error is error
    assert of_calls(caplog) == []


@pytest.mark.parametrize(
    "error", [KeyError(SECRET), RecursionError(SECRET), ValueError(SECRET)], ids=lambda e: type(e).__name__
)
def test_a_backend_that_breaks_its_contract_may_have_sent(account, send, error, caplog) -> None:
    call, result = send(Backend(error))

    assert isinstance(result.error, OutcomeUnknown)
    assert result.error.error_code == "backend_fault"
    [record] = of_calls(caplog)
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
    for secret in (SECRET, call.message.to_number):
        assert secret not in record.getMessage()
        assert secret not in result.error.detail


@pytest.mark.parametrize(
    "error", [CredentialsRefused("refused"), Misconfigured("KEY is not set")], ids=lambda e: type(e).__name__
)
def test_an_error_that_needs_an_operator_is_logged_as_an_error(account, send, error, caplog) -> None:
    send(Backend(error))

    assert [record.getMessage() for record in of_calls(caplog)] == [f"account acme needs an operator: {error.detail}"]


def test_a_misconfigured_account_is_a_result_too(now, monkeypatch) -> None:
    monkeypatch.delenv("PROVIDER_ACME_KEY", raising=False)
    AccountFactory(config={"url": "http://127.0.0.1:9/", "headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}})
    MessageFactory()
    [call] = start_attempts(claim(queue_name="express", limit=1, now=now, lease=LEASE), now=now, lease=LEASE)

    result = sending.send(call, clock=lambda: now)

    assert isinstance(result.error, Misconfigured)
    assert result.error.detail == "environment variable PROVIDER_ACME_KEY is not set"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((), ()),
        (("p1",), ()),
        (("p1", "p2"), ("p1", "p2")),
        (("p1", "p1", "p2"), ("p1", "p2")),
        (("p1", "", "x" * 129, "a\nb", "\ud800"), ()),
    ],
)
def test_the_ids_of_several_parts_are_kept(account, send, given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    _, result = send(Backend(Accepted("p1", part_ids=given)))

    assert (result.provider_message_id, result.part_ids, result.error) == ("p1", kept, None)
