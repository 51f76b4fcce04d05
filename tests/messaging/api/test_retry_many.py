"""Dead letters over REST: what the list shows can be sent again at once, with a reason."""

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


def test_all_that_the_filter_finds_is_queued_again(api, broker) -> None:
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


def test_what_cannot_be_retried_is_counted_with_the_reason(api) -> None:
    for message in dead(api, 2):
        PhoneNumberFactory(number=message.to_number, inactive=True)
    dead(api, 1)

    body = api.post("messages/retry/?status=failed", REASON).json()

    assert body == {"changed": 1, "refused": [WHY_INACTIVE | {"count": 2}], "more": False}
    assert statuses() == ["failed", "failed", "queued"]


@pytest.mark.parametrize("query", ["", "?status=", "?status=delivered", "?status=failed&status=queued"])
def test_it_has_to_be_said_which_of_those_that_ended_badly(api, query: str) -> None:
    dead(api)

    assert_problem(api.post(f"messages/retry/{query}", REASON), 400, "invalid")
    assert statuses() == ["failed"]


def test_a_filter_that_makes_no_sense_changes_nothing(api) -> None:
    dead(api)

    assert errors_of(api.post("messages/retry/?status=failed&created_after=x", REASON)) == {
        ("created_after", "invalid")
    }
    assert statuses() == ["failed"]


def test_nothing_is_done_without_a_reason(api) -> None:
    dead(api)

    assert errors_of(api.post("messages/retry/?status=failed", {})) == {("reason", "required")}
    assert statuses() == ["failed"]


def test_others_messages_stay_as_they_are(api) -> None:
    dead(api, owner=UserFactory())

    assert api.post("messages/retry/?status=failed", REASON).json()["changed"] == 0
    assert statuses() == ["failed"]


@pytest.mark.parametrize("group", ["API reader", "API sender"])
def test_only_an_operator_may(member_of, group: str) -> None:
    member = member_of(group)
    dead(member)

    assert_problem(member.post("messages/retry/?status=failed", REASON), 403, "permission_denied")
    assert statuses() == ["failed"]


def test_many_go_chunk_by_chunk_and_a_bounded_number_at_a_time(api, monkeypatch) -> None:
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
