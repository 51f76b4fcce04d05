"""What an ordinary receipt costs: statements of the database, and round trips to Redis."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis.connection import AbstractConnection

from messaging import notifier
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.test_webhooks import address, client, send

__all__ = ["client"]
pytestmark = pytest.mark.django_db(transaction=True)  # so that the commit is seen
OF_TRANSACTION = {"BEGIN", "COMMIT"}
# What changes with a transition is one statement on PostgreSQL, and four on SQLite.
APPLIED = 3 if connection.vendor == "postgresql" else 6
IGNORED = 3


@pytest.fixture
def attempt(account):
    message = MessageFactory(sent=True, provider=account, provider_message_id="p1")
    return AttemptFactory(message=message, provider=account, provider_message_id="p1")


@pytest.fixture
def post(client, attempt):
    """Posts a receipt to the attempt's address, and returns the result and the statements."""

    def post(status: str) -> tuple[str, list[str]]:
        with CaptureQueriesContext(connection) as captured:
            response = send(client, address(attempt_id=str(attempt.pk)), {"message_id": "p1", "status": status})
        return response.json()["result"], [query["sql"] for query in captured]

    post("odd")  # the account and its backend are known from here on
    return post


@pytest.mark.parametrize(
    ("statuses", "result", "count"),
    [
        (["delivered"], "applied", APPLIED),
        (["progress"], "ignored", IGNORED),
        (["delivered", "delivered"], "applied", 1),
    ],
    ids=["applied", "without effect", "repeat"],
)
def test_the_statements_of_one_transaction(post, statuses: list[str], result: str, count: int) -> None:
    for status in statuses:
        last = post(status)

    statements = [sql for sql in last[1] if sql.split()[0] not in OF_TRANSACTION]
    assert (last[0], len(statements)) == (result, count), statements
    assert [sql.split()[0] for sql in last[1] if sql.split()[0] in OF_TRANSACTION] == ["BEGIN", "COMMIT"]


def test_the_round_trips_to_redis(post, monkeypatch) -> None:
    monkeypatch.setattr(notifier._gathering, "until", float("inf"))  # a delivery run was requested a moment ago
    sent = []
    real = AbstractConnection.send_packed_command
    monkeypatch.setattr(
        AbstractConnection, "send_packed_command", lambda *args, **options: (sent.append(1), real(*args, **options))[1]
    )

    assert post("delivered")[0] == "applied"
    assert len(sent) <= 1
    sent.clear()
    assert post("failed")[0] == "ignored"
    assert sent == []
