"""GET /phone-numbers/{number}/messages/."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from tests.factories import MessageFactory, PhoneNumberFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of

PERSON, OURS, OTHER = "+14155550101", "+15005550006", "+14155550102"
ADDRESS = f"phone-numbers/{PERSON}/messages/"


def talk(owner, count: int = 1) -> list[Message]:
    """Create this many pairs of a message to the person and a reply, oldest first."""
    PhoneNumberFactory._meta.model.objects.get_or_create(number=PERSON)
    rows = []
    for _ in range(count):
        rows.append(MessageFactory(owner=owner, to_number=PERSON, from_number=OURS))
        rows.append(MessageFactory(inbound=True, owner=owner, from_number=PERSON, to_number=OURS))
    return rows


def ids(rows: list[Message]) -> list[str]:
    return [str(row.pk) for row in rows]


def pages(api: Api, address: str) -> list[list[str]]:
    found = []
    while address:
        body = api.get(address).json()
        assert set(body) == {"next", "previous", "results"}
        found.append([row["id"] for row in body["results"]])
        address = body["next"]
    return found


def test_both_directions_newest_first(api) -> None:
    rows = talk(api.user, 2)
    MessageFactory(owner=api.user, to_number=OTHER, from_number=PERSON)
    MessageFactory(inbound=True, owner=api.user, from_number=OTHER, to_number=PERSON)

    body = api.get(ADDRESS).json()

    assert [row["id"] for row in body["results"]] == ids(rows)[::-1]
    assert (body["next"], body["previous"]) == (None, None)
    assert body["results"][0] == api.get(f"messages/{rows[-1].pk}/").json()


def test_pages_have_no_gaps_in_either_direction(api) -> None:
    rows = ids(talk(api.user, 4))[::-1]

    assert pages(api, f"{ADDRESS}?limit=3") == [rows[:3], rows[3:6], rows[6:]]
    second = api.get(api.get(f"{ADDRESS}?limit=3").json()["next"]).json()
    assert [row["id"] for row in api.get(second["previous"]).json()["results"]] == rows[:3]


def test_only_the_callers_messages(api, stranger, staff) -> None:
    mine, theirs = talk(api.user), talk(stranger.user)

    assert pages(api, ADDRESS) == [ids(mine)[::-1]]
    assert pages(stranger, ADDRESS) == [ids(theirs)[::-1]]
    assert pages(staff, ADDRESS) == [ids(mine + theirs)[::-1]]


def test_a_number_that_only_wrote_to_us_has_a_conversation(api) -> None:
    PhoneNumberFactory(number=PERSON)
    row = MessageFactory(inbound=True, owner=api.user, from_number=PERSON, to_number=OURS)

    assert pages(api, ADDRESS) == [[str(row.pk)]]
    assert api.get(f"phone-numbers/{PERSON}/").json()["number"] == PERSON


def test_a_number_without_messages_of_the_caller_is_404(api, stranger, anonymous) -> None:
    talk(stranger.user)

    assert_problem(api.get(ADDRESS), 404, "not_found")
    assert_problem(anonymous.get(ADDRESS), 401, "not_authenticated")


def test_an_invalid_cursor_is_400(api) -> None:
    talk(api.user)

    assert errors_of(api.get(f"{ADDRESS}?cursor=x")) == {("cursor", "invalid")}
    assert errors_of(api.get(f"{ADDRESS}?limit=101")) == {("limit", "max_value")}


def test_the_cost_does_not_grow(api) -> None:
    talk(api.user)
    with CaptureQueriesContext(connection) as few:
        api.get(ADDRESS)
    talk(api.user, 4)

    with CaptureQueriesContext(connection) as many:
        api.get(ADDRESS)

    assert len(many) == len(few)
