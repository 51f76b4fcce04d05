"""What one accepted message costs: statements of the database and round trips to Redis on the request's way."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis.connection import AbstractConnection

from messaging import credential_memory, notifier
from messaging.models import Message
from messaging.services.outbound import accept
from tests.messaging.api.conftest import Api

BODY = {"to": "+14155550101", "message": "Hello"}
MAX_STATEMENTS, MAX_ROUND_TRIPS = 4, 1
ON_SQLITE = connection.vendor == "sqlite"


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The packets that this process sends to Redis; those of the notifier's thread are not on the request's way."""
    sent: list[object] = []
    send = AbstractConnection.send_packed_command

    def count(self: AbstractConnection, command: object, *given: object, **more: object) -> object:
        sent.append(command)
        return send(self, command, *given, **more)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", count)
    monkeypatch.setattr(notifier._sender, "request", lambda *_: None)
    return sent


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_memory, "SECONDS", 60.0)  # a slow machine is no reason to read the token again
    monkeypatch.setattr(accept, "_default_senders", accept._DefaultSenders())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(ON_SQLITE, reason="it has no statement that stores in several tables")
def test_statements(api: Api) -> None:
    counts = []
    for number in range(3):
        with CaptureQueriesContext(connection) as queries:
            assert api.post("messages/", BODY, Idempotency_Key=str(number)).status_code == 202
        counts.append(len(queries))

    assert counts[0] <= MAX_STATEMENTS  # the token, two of its permissions, the message
    assert counts[-1] == 1
    assert Message.objects.count() == 3


def test_round_trips(api: Api, round_trips: list[object]) -> None:
    api.post("messages/", BODY)  # Redis learns the script
    for number in range(3):
        round_trips.clear()
        assert api.post("messages/", BODY, Idempotency_Key=str(number)).status_code == 202
        assert len(round_trips) <= MAX_ROUND_TRIPS
