"""GET /stats/."""

import pytest

from messaging.services import transitions
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import NOW, MessageFactory
from tests.messaging.api.conftest import assert_problem, errors_of

NONE = dict.fromkeys(Status, 0)


@pytest.fixture
def messages(api, stranger) -> None:
    """Of `api`: one that waits and one that failed after two seconds. Of `stranger`: one that waits."""
    mine = MessageFactory.create_batch(2, owner=api.user)
    rows = [*mine, MessageFactory(owner=stranger.user)]
    transitions.record_creation(rows, source=Source.API, actor=None)
    later = NOW.replace(second=2)
    transitions.apply([Transition(mine[0], Status.FAILED, Source.SWEEP)], now=later)


def test_users_see_the_figures_of_their_own_messages(api, messages) -> None:
    response = api.get("stats/")

    assert response.status_code == 200
    assert response.json() == {
        "messages_processed": 1,
        "queue_size": 1,
        "average_processing_seconds": 2.0,
        "by_status": NONE | {"queued": 1, "failed": 1},
        "since": None,
    }


def test_staff_see_the_figures_of_all_owners(staff, messages) -> None:
    assert staff.get("stats/").json()["by_status"] == NONE | {"queued": 2, "failed": 1}


def test_a_user_without_messages_gets_zeros(member_of) -> None:
    body = member_of("API reader").get("stats/").json()

    assert body["by_status"] == NONE
    assert (body["messages_processed"], body["average_processing_seconds"]) == (0, None)


def test_since_is_rounded_down_to_the_hour_in_utc(api, messages) -> None:
    body = api.get("stats/?since=2026-11-22T11:45:00%2B01:00").json()

    assert (body["since"], body["messages_processed"], body["queue_size"]) == ("2026-11-22T10:00:00Z", 0, 1)
    assert api.get("stats/?since=2026-11-22T09:59:59Z").json()["messages_processed"] == 1


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "0001-01-01T00:00:00%2B14:00", "%00", "9" * 400])
def test_an_invalid_since_is_refused(api, since: str) -> None:
    assert {field for field, _ in errors_of(api.get(f"stats/?since={since}"))} == {"since"}


def test_without_a_token_or_the_permission_there_is_nothing(anonymous, member_of) -> None:
    assert_problem(anonymous.get("stats/"), 401, "not_authenticated")
    assert_problem(member_of().get("stats/"), 403, "permission_denied")


def test_it_can_only_be_read(api) -> None:
    assert_problem(api.post("stats/", {}), 405, "method_not_allowed")
