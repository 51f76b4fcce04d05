"""POST /messages/retry/: retry all matching messages with a reason."""

from datetime import timedelta

import pytest

from messaging.models import Message
from messaging.services.outbound import retry
from messaging.services.outbound.eligibility import RECIPIENT_INACTIVE
from messaging.states import Status
from tests.factories import NOW, AccountFactory, MessageFactory, PhoneNumberFactory, QueueFactory, UserFactory
from tests.messaging.api.conftest import assert_problem, errors_of

REASON = {"reason": "carrier is well again"}
WHY_INACTIVE = {"code": "recipient_inactive", "detail": RECIPIENT_INACTIVE.detail}


def dead(api, count: int = 1, **values) -> list[Message]:
    values = {"status": Status.FAILED, "owner": api.user, "queue": QueueFactory()} | values
    return MessageFactory.create_batch(count, **values)


def statuses() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("status", flat=True))


def test_all_matching_messages_are_queued_again(api, broker) -> None:
    dead(api, 3, provider=AccountFactory(slug="other"))
    dead(api, 1)

    response = api.post("messages/retry/?status=failed&provider=other", REASON)

    assert (response.status_code, response.json()) == (200, {"changed": 3, "refused": [], "more": False})
    assert statuses() == ["queued"] * 3 + ["failed"]
    assert broker.notified == ["express"]
    event = Message.objects.earliest("pk").events.get()
    assert (event.source, event.detail, event.actor) == ("operator", REASON["reason"], api.user)


def test_several_statuses_at_once(api) -> None:
    for status in (Status.FAILED, Status.UNDELIVERED, Status.UNKNOWN):
        dead(api, status=status)

    assert api.post("messages/retry/?status=failed&status=unknown", REASON).json()["changed"] == 2
    assert statuses() == ["queued", "undelivered", "queued"]


def test_messages_that_cannot_be_retried_are_counted_by_reason(api) -> None:
    for message in dead(api, 2):
        PhoneNumberFactory(number=message.to_number, inactive=True)
    dead(api, 1)

    body = api.post("messages/retry/?status=failed", REASON).json()

    assert body == {"changed": 1, "refused": [WHY_INACTIVE | {"count": 2}], "more": False}
    assert statuses() == ["failed", "failed", "queued"]


@pytest.mark.parametrize("query", ["", "?status=", "?status=delivered", "?status=failed&status=queued"])
def test_the_statuses_to_retry_are_required(api, query: str) -> None:
    dead(api)

    assert_problem(api.post(f"messages/retry/{query}", REASON), 400, "invalid")
    assert statuses() == ["failed"]


def test_an_invalid_filter_changes_nothing(api) -> None:
    dead(api)

    assert errors_of(api.post("messages/retry/?status=failed&created_after=x", REASON)) == {
        ("created_after", "invalid")
    }
    assert statuses() == ["failed"]


def test_nothing_is_done_without_a_reason(api) -> None:
    dead(api)

    assert errors_of(api.post("messages/retry/?status=failed", {})) == {("reason", "required")}
    assert statuses() == ["failed"]


def test_messages_of_other_owners_are_unchanged(api) -> None:
    dead(api, owner=UserFactory())

    assert api.post("messages/retry/?status=failed", REASON).json()["changed"] == 0
    assert statuses() == ["failed"]


@pytest.mark.parametrize("group", ["API reader", "API sender"])
def test_retrying_requires_the_operator_role(member_of, group: str) -> None:
    member = member_of(group)
    dead(member)

    assert_problem(member.post("messages/retry/?status=failed", REASON), 403, "permission_denied")
    assert statuses() == ["failed"]


def test_messages_are_retried_in_chunks_up_to_a_limit(api, monkeypatch) -> None:
    monkeypatch.setattr(retry, "CHUNK", 2)
    monkeypatch.setattr(retry, "MAX_MESSAGES", 4)
    dead(api, 5, expires_at=NOW + timedelta(days=3650))

    assert api.post("messages/retry/?status=failed", REASON).json() == {"changed": 4, "refused": [], "more": True}
    assert api.post("messages/retry/?status=failed", REASON).json() == {"changed": 1, "refused": [], "more": False}
    assert statuses() == ["queued"] * 5


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ("schedule=", ("schedule", "blank")),
        ("provider=%20", ("provider", "blank")),
        ("shedule=0190a1b2-0000-7000-8000-000000000000", ("shedule", "unknown_filter")),
        ("limit=5", ("limit", "unknown_filter")),
    ],
)
def test_a_filter_that_is_empty_or_misspelt_retries_nothing(api, filters: str, error: tuple[str, str]) -> None:
    message = MessageFactory(owner=api.user, status="failed")

    assert errors_of(api.post(f"messages/retry/?status=failed&{filters}", REASON)) == {error}

    message.refresh_from_db()
    assert message.status == "failed"
