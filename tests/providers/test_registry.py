"""Accounts and their backends: building, replacing, closing, and the warnings about accounts that cannot be used."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from messaging.admin.provider_accounts import ProviderAccountForm
from providers import registry
from providers.checks import check_accounts
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import Capabilities, Sender
from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount
from tests.contract.fake_carrier import FakeCarrier, answer

CONFIG = {"url": "https://carrier.example/send", "headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}}


@pytest.fixture
def account(db: None) -> Iterator[ProviderAccount]:
    ProviderAccount.objects.all().delete()
    yield ProviderAccount.objects.create(slug="registry-test", backend="generic_http", config=CONFIG)
    registry.close_outdated([])


def backend_of(account: ProviderAccount) -> Sender:
    with registry.backend_for(account) as backend:
        return backend


def form(**data: Any) -> ProviderAccountForm:
    return ProviderAccountForm({"slug": "new", "backend": "generic_http", "weight": "5", "config": "{}", **data})


def test_a_backend_gets_its_secrets_from_the_environment(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t")

    backend = backend_of(account)

    assert backend.config.headers == {"X-Api-Key": "s3cr3t"}  # type: ignore[attr-defined]
    assert "s3cr3t" not in repr(backend.config)


def test_a_backend_is_kept_until_its_account_changes(account: ProviderAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t")
    first = backend_of(account)

    assert backend_of(account) is first
    account.save()
    assert backend_of(account) is not first


def test_a_missing_secret_is_a_misconfiguration_that_names_the_variable(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVIDER_ACME_KEY", raising=False)

    with pytest.raises(Misconfigured, match="environment variable PROVIDER_ACME_KEY is not set"):
        backend_of(account)


def test_a_secret_that_cannot_be_used_is_a_misconfiguration_that_does_not_show_it(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t\n")

    with pytest.raises(Misconfigured) as caught:
        backend_of(account)

    assert "headers.X-Api-Key" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_every_fault_of_a_configuration_is_named_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.check_config("generic_http", {"url": "nowhere", "accepted": [99], "\n": 1})

    line = str(caught.value)
    assert "url: must be an absolute http or https address; accepted.0: " in line
    assert "\n" not in line
    assert "Value error" not in line


def test_the_check_warns_of_an_account_that_cannot_be_used(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVIDER_ACME_KEY", raising=False)

    [warning] = check_accounts(databases=["default"])

    assert (warning.id, "PROVIDER_ACME_KEY is not set" in warning.msg) == ("providers.W001", True)


def test_the_check_is_silent_about_good_accounts_and_disabled_ones(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t")
    ProviderAccount.objects.create(slug="off", backend="gone", is_enabled=False)

    assert check_accounts(databases=["default"]) == []
    assert check_accounts() == []


@pytest.mark.django_db
def test_the_admins_form_takes_a_good_configuration() -> None:
    assert form(config='{"url": "https://carrier.example"}').is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"config": "{}"}, "config", "url: Field required"),
        ({"config": "{"}, "config", "Enter a valid JSON."),
        ({"config": "[]"}, "config", "config must be a JSON object"),
        ({"config": '{"url": "http://a", "headers": {"Cookie": "s3cr3t"}}'}, "config", '{"env": "NAME"}'),
        ({"backend": "gone"}, "backend", "Select a valid choice"),
        ({"weight": "1001"}, "weight", "1000"),
        ({"slug": "A b"}, "slug", "Use lower-case letters"),
    ],
)
def test_the_admins_form_names_the_fault(data: dict[str, str], field: str, words: str) -> None:
    bound = form(**data)

    assert not bound.is_valid()
    assert words in bound.errors[field][0]
    assert "s3cr3t" not in str(bound.errors[field][0])


class TestClosing:
    """A replaced backend releases its connections, but not while a call uses it."""

    OUTBOUND = OutboundMessage(to="+14155550101", text="Hello", sender=None, reference="message-1")

    @pytest.fixture
    def carrier(self) -> Iterator[FakeCarrier]:
        with closing(FakeCarrier()) as carrier:
            carrier.play = answer(200, {"message_id": "c1"})
            yield carrier

    @pytest.fixture
    def account(self, account: ProviderAccount, carrier: FakeCarrier) -> ProviderAccount:
        account.config = {"url": carrier.url}
        account.save()
        return account

    @pytest.fixture(autouse=True)
    def old(self, account: ProviderAccount) -> Sender:
        """The backend that the tests replace. While it is referred to, garbage collection cannot close its connections."""
        return backend_of(account)

    def send(self, account: ProviderAccount) -> Accepted:
        with registry.backend_for(account) as backend:
            return backend.send(self.OUTBOUND)

    def test_a_backend_of_a_changed_account_is_closed_when_the_next_one_is_built(
        self, account: ProviderAccount, carrier: FakeCarrier
    ) -> None:
        self.send(account)
        account.config = {"url": "http://127.0.0.1:9/"}
        account.save()

        backend_of(account)

        assert carrier.is_disconnected()

    @pytest.mark.parametrize("change", ["delete", "disable"])
    def test_a_backend_of_an_account_that_is_not_used_any_more_is_closed_with_the_next_snapshot(
        self, account: ProviderAccount, carrier: FakeCarrier, change: str
    ) -> None:
        self.send(account)
        if change == "delete":
            account.delete()
        else:
            account.is_enabled = False
            account.save()

        registry.close_outdated(ProviderAccount.objects.all())

        assert carrier.is_disconnected()

    def test_a_backend_of_an_unchanged_account_keeps_its_connection(
        self, account: ProviderAccount, carrier: FakeCarrier
    ) -> None:
        self.send(account)

        registry.close_outdated(ProviderAccount.objects.all())
        self.send(account)

        assert (len(carrier.received), carrier.connections) == (2, 1)

    def test_calls_in_flight_end_before_their_backend_is_closed(
        self, account: ProviderAccount, carrier: FakeCarrier, old: Sender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arrived, may_answer, closed = threading.Barrier(3), threading.Event(), []
        close = old.close
        monkeypatch.setattr(old, "close", lambda: (closed.append(True), close()))

        def play(carrier: FakeCarrier, connection: socket.socket) -> None:
            arrived.wait(5)
            assert may_answer.wait(5)
            answer(200, {"message_id": "c1"})(carrier, connection)

        carrier.play = play
        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(self.send, account) for _ in range(2)]
            arrived.wait(5)
            ProviderAccount.objects.all().delete()
            registry.close_outdated([])
            assert closed == []
            may_answer.set()
            results = [call.result() for call in calls]

        assert results == [Accepted("c1")] * 2
        assert closed == [True]
        assert carrier.is_disconnected()

    def test_of_two_backends_that_are_built_at_once_one_is_used_and_the_other_closed(
        self, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.close_outdated([])
        build, built, closed = registry._build, [], []

        def build_with_a_rival(account: ProviderAccount) -> Sender:
            backend = build(account)
            monkeypatch.setattr(backend, "close", lambda: closed.append(backend))
            built.append(backend)
            if len(built) == 1:
                assert backend_of(account) is not backend
            return backend

        monkeypatch.setattr(registry, "_build", build_with_a_rival)

        assert backend_of(account) is built[1]
        assert closed == [built[0]]

    def test_a_backend_that_cannot_be_closed_does_not_spoil_the_call(
        self, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> None:
            raise RuntimeError("secret")

        with registry.backend_for(account) as backend:
            monkeypatch.setattr(backend, "close", fail)
            registry.close_outdated([])
            result = backend.send(self.OUTBOUND)

        assert result == Accepted("c1")
        assert caplog.messages == ["the backend of account registry-test could not be closed: RuntimeError"]


def test_an_account_that_cannot_be_used_has_no_capabilities(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVIDER_ACME_KEY", raising=False)
    assert registry.capabilities_of(account) == Capabilities()

    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t")
    assert registry.capabilities_of(account) == Capabilities(callbacks=True, token_in_callback=True)
