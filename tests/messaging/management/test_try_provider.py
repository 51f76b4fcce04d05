"""`manage.py try_provider`: one text through the real backend, and what came of it."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from messaging.models import Message
from providers import exchanges, registry
from providers.state import exchange_log
from tests.contract.send_only import SendOnlyBackend
from tests.factories import AccountFactory
from tests.journeys.carrier import Carrier

pytestmark = pytest.mark.django_db
NUMBER = "+14155550101"


def run(*arguments: str) -> tuple[str, str]:
    """What is printed, and the error that ends the command; "" without one."""
    output = StringIO()
    try:
        call_command("try_provider", *arguments, stdout=output)
    except CommandError as error:
        return output.getvalue(), str(error)
    return output.getvalue(), ""


def account(carrier: Carrier, **config):
    return AccountFactory(
        slug="acme",
        is_enabled=False,
        config={"url": f"{carrier.url}?k=1", "headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}, **config},
    )


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "the-secret-key")


def test_an_accepted_text_shows_the_request_the_response_and_the_id() -> None:
    with Carrier() as carrier:
        account(carrier, fields={"to": "to", "message": "text", "callback_url": "url", "id": "ref"})
        printed, error = run("acme", NUMBER, "--text", "Grüße 🎉")

    [call] = carrier.calls
    assert (call.content["to"], call.content["text"]) == (NUMBER, "Grüße 🎉")
    lines = printed.splitlines()
    assert lines[0].startswith("> POST http://127.0.0.1:")
    assert "> X-Api-Key: <PROVIDER_ACME_KEY>" in lines
    assert "< 200" in lines
    assert '< {"message_id": "carrier-1"}' in lines
    assert [line for line in lines if line.startswith(("message id:", "meaning:"))] == [
        "message id: carrier-1",
        "meaning: The message is sent.",
    ]
    assert lines[-4].startswith("verdict: accepted (")
    assert "rule: status 200: accepted" in lines
    assert error == ""
    assert r'"text": "Gr\u00fc\u00dfe \ud83c\udf89"' in printed
    for hidden in ("the-secret-key", "4155550101", call.content["url"].partition("token=")[2]):
        assert hidden not in printed
    assert not Message.objects.exists()


def test_a_refusal_ends_with_1_and_says_why() -> None:
    with Carrier(lambda _call: (422, {"error": "bad sender", "api_key": "the-secret-key"})) as carrier:
        account(carrier, rejected={"422": "bad_sender"})
        printed, error = run("acme", NUMBER)

    assert "< 422" in printed
    assert '"error": "bad sender"' in printed
    assert "verdict: rejected (" in printed
    assert "error: bad_sender: the provider answered 422" in printed
    assert "the-secret-key" not in printed
    assert error == "acme did not accept the text: bad_sender"


def test_without_a_response_the_request_is_shown() -> None:
    AccountFactory(slug="acme", config={"url": "http://127.0.0.1:9/send"})

    printed, error = run("acme", NUMBER)

    assert printed.startswith("> POST http://127.0.0.1:9/send\n")
    assert "<\n< no complete response\n" in printed
    assert "error: provider_unreachable: the connection was refused" in printed
    assert error == "acme did not accept the text: provider_unreachable"


def test_without_a_secret_no_request_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVIDER_ACME_KEY")
    with Carrier() as carrier:
        account(carrier)
        printed, error = run("acme", NUMBER)

    assert printed.startswith("No request was made.\nverdict: misconfigured")
    assert "environment variable PROVIDER_ACME_KEY is not set" in printed
    assert error == "acme did not accept the text: provider_misconfigured"
    assert carrier.calls == []


def test_the_rule_that_decided_is_shown_and_the_account_keeps_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deciding(SendOnlyBackend):
        def send(self, text):
            accepted = super().send(text)
            exchanges.decided_by("answer[2]: id exists")
            return accepted

    monkeypatch.setitem(registry.BACKENDS, "deciding", Deciding)
    with Carrier(lambda _call: (200, {"id": "p1"})) as carrier:
        made = AccountFactory(slug="plain", backend="deciding", config={"url": carrier.url})
        printed, _ = run("plain", NUMBER, "--text", "A private text")

    assert "rule: answer[2]: id exists" in printed
    assert "A private text" in printed
    [kept] = exchange_log.recent("plain", since=made.created_at)
    assert (kept.rule, kept.is_test, kept.provider_message_id) == ("answer[2]: id exists", True, "p1")
    assert kept.at <= timezone.now()
    assert "A private text" not in kept.calls[0].body
    assert "<text>" in kept.calls[0].body


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody", NUMBER], "there is no account 'nobody'"),
        (["acme", "4155550101"], "the number must be a possible one, with + and the country code"),
        (["acme", "+15550101"], "the number must be a possible one, with + and the country code"),
        (["acme", NUMBER, "--text", " "], "--text must have 1 to 160 characters"),
        (["acme", NUMBER, "--text", "x" * 161], "--text must have 1 to 160 characters"),
    ],
)
def test_a_bad_argument_sends_nothing(arguments: list[str], words: str) -> None:
    with Carrier() as carrier:
        account(carrier)
        printed, error = run(*arguments)

    assert (printed, error) == ("", words)
    assert carrier.calls == []
