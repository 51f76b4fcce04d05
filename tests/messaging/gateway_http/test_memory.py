"""A verified credential is remembered for less than a second, and not longer than what it allows."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import credential_memory
from messaging.credential_memory import MAX_CREDENTIALS, RecentCredentials
from messaging.gateway_http import memory
from messaging.gateway_http.memory import digest_of, remembered
from messaging.models import GatewayCredential
from messaging.services.gateway import credentials
from tests.factories import GatewayCredentialFactory
from tests.messaging.gateway_http.conftest import LOGIN, GatewayClient

pytestmark = pytest.mark.django_db

SECONDS = 0.9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(credential_memory, "SECONDS", SECONDS)
    monkeypatch.setattr("messaging.credential_memory.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are made by another process: no signal reaches this one."""
    monkeypatch.setattr(memory.remembered, "clear", lambda: None)


@pytest.fixture
def client(credential: GatewayCredential, settings: Any) -> GatewayClient:
    settings.ENABLE_JASMIN_API = True
    return GatewayClient("/balance")


def status(client: GatewayClient, **change: str) -> int:
    return client.get({**LOGIN, **change}).status_code


def revoke(credential: GatewayCredential) -> None:
    credentials.revoke(credential_id=credential.pk, now=timezone.now())


def deactivate(credential: GatewayCredential) -> None:
    credential.user.is_active = False
    credential.user.save()


def take_permission(credential: GatewayCredential) -> None:
    credential.user.user_permissions.clear()


def limit_addresses(credential: GatewayCredential) -> None:
    credential.allowed_addresses = ["192.0.2.0/24"]
    credential.save()


CHANGES = [revoke, deactivate, take_permission, limit_addresses, GatewayCredential.delete]


@pytest.mark.usefixtures("clock")
def test_the_next_request_reads_nothing(client: GatewayClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(client) == 200
    monkeypatch.setattr(credentials, "verify", None)

    with CaptureQueriesContext(connection) as queries:
        assert status(client) == 200

    assert len(queries) == 0


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"username": "shop2"},
        {"password": "SECRET12"},
        {"username": "shops", "password": "ecret12"},
    ],
)
def test_another_password_is_not_the_remembered_one(client: GatewayClient, change: dict[str, str]) -> None:
    assert status(client) == 200

    assert status(client, **change) == 403


@pytest.mark.usefixtures("clock")
def test_another_address_is_checked(client: GatewayClient, credential: GatewayCredential) -> None:
    limit_addresses(credential)
    assert client.get(LOGIN, REMOTE_ADDR="192.0.2.1").status_code == 200

    assert client.get(LOGIN, REMOTE_ADDR="198.51.100.1").status_code == 403


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_this_process_is_seen_at_once(
    client: GatewayClient, credential: GatewayCredential, change: Callable[[GatewayCredential], None]
) -> None:
    assert status(client) == 200

    change(credential)

    assert status(client) == 403


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_another_process_is_seen_within_a_second(
    client: GatewayClient,
    credential: GatewayCredential,
    clock: list[float],
    change: Callable[[GatewayCredential], None],
) -> None:
    assert status(client) == 200
    change(credential)

    clock[0] += SECONDS / 2
    assert status(client) == 200
    clock[0] += SECONDS / 2
    assert status(client) == 403


def test_a_use_does_not_prolong_it(client: GatewayClient, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    status(client)
    verified = []
    verify = credentials.verify
    monkeypatch.setattr(credentials, "verify", lambda **given: verified.append(1) or verify(**given))
    for _ in range(4):
        clock[0] += SECONDS / 3
        status(client)

    assert len(verified) == 1


class TestMemory:
    def test_a_row_from_before_a_change_is_not_kept(self, credential: GatewayCredential, clock: list[float]) -> None:
        own = RecentCredentials[GatewayCredential]()
        begun = own.begin()
        own.clear()

        own.put("a", credential, begun)

        assert own.get("a") is None

    def test_each_reader_has_its_own(self, credential: GatewayCredential, clock: list[float]) -> None:
        own = RecentCredentials[GatewayCredential]()
        own.put("a", credential, own.begin())

        first = own.get("a")
        first.user.username = first.system_id = "changed"

        second = own.get("a")
        assert (second.system_id, second.user.username) == ("shop", credential.user.username)

    def test_it_is_bounded(self, credential: GatewayCredential, clock: list[float]) -> None:
        own = RecentCredentials[GatewayCredential]()
        for index in range(MAX_CREDENTIALS + 1):
            own.put(str(index), credential, own.begin())

        assert len(own._known) == MAX_CREDENTIALS
        assert own.get("0") is None
        assert own.get(str(MAX_CREDENTIALS)) is not None

    def test_digests(self) -> None:
        assert digest_of("a", "b") == digest_of("a", "b") != digest_of("ab", "")

    @pytest.mark.usefixtures("credential")
    def test_a_change_that_is_not_committed_yet_clears_it_twice(
        self, clock: list[float], django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            row = GatewayCredentialFactory(system_id="other")
            begun = remembered.begin()
            remembered.put("a", row, begun)

        assert remembered.get("a") is None
