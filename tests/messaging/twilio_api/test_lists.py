"""GET Messages: filters, pages and their addresses."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import twilio_ids
from messaging.models import Message
from messaging.services.privacy.retention import id_at
from messaging.states import Status
from tests.factories import NOW, MessageFactory, SenderFactory, UserFactory
from tests.messaging.twilio_api.conftest import SENDER, TO, Twilio, sdk, twilio_of
from tests.messaging.twilio_api.facts import assert_error, assert_page

pytestmark = pytest.mark.django_db


def message(twilio: Twilio, at: datetime = NOW, number: int = 0, **values: object) -> Message:
    """A message created at that time, with an id of that time."""
    given = {"sent_at": at, "status": Status.SENT, "attempts": 1, **values}
    return MessageFactory(
        owner=twilio.user, id=UUID(int=id_at(at).int + number), created_at=at, updated_at=at, **given
    )  # fmt: skip


def sids(body: dict) -> list[str]:
    return [row["sid"] for row in body["messages"]]


def sid(row: Message) -> str:
    return twilio_ids.message_sid(row)


@pytest.mark.parametrize("path", ["Messages.json", "Messages"])
def test_a_page_has_exactly_twilios_keys(twilio: Twilio, path: str) -> None:
    row = message(twilio)

    body = twilio.get(path).json()

    assert_page("messages", "message", body)
    assert (body["page"], body["page_size"], body["start"], body["end"]) == (0, 50, 0, 0)
    assert (body["next_page_uri"], body["previous_page_uri"]) == (None, None)
    assert sids(body) == [sid(row)]


def test_without_messages_there_is_an_empty_page(twilio: Twilio) -> None:
    body = twilio.get("Messages.json").json()

    assert_page("messages", "message", body)
    assert sids(body) == []


def test_only_the_users_own_messages_are_seen_also_by_staff(twilio: Twilio) -> None:
    MessageFactory(owner=UserFactory())
    twilio.user.is_staff = twilio.user.is_superuser = True
    twilio.user.save()
    own = message(twilio)

    assert sids(twilio.get("Messages.json").json()) == [sid(own)]


def test_pages_lead_forwards_and_back(twilio: Twilio) -> None:
    rows = [message(twilio, number=number) for number in range(7)][::-1]
    expected = [[sid(row) for row in rows[start : start + 3]] for start in (0, 3, 6)]

    page, forwards = twilio.get("Messages.json", PageSize=3, To="").json(), []
    forwards.append(page)
    while page["next_page_uri"]:
        page = twilio.get(page["next_page_uri"]).json()
        assert_page("messages", "message", page)
        forwards.append(page)
    backwards = []
    while page["previous_page_uri"]:
        page = twilio.get(page["previous_page_uri"]).json()
        assert_page("messages", "message", page)
        backwards.append(page)

    assert [sids(each) for each in forwards] == expected
    assert [each["page"] for each in forwards] == [0, 1, 2]
    assert [(each["start"], each["end"]) for each in forwards] == [(0, 2), (3, 5), (6, 6)]
    assert [sids(each) for each in backwards] == expected[1::-1]
    assert backwards[-1]["next_page_uri"] is not None
    assert [sids(twilio.get(each["uri"]).json()) for each in forwards] == expected


def test_the_addresses_keep_the_filters(twilio: Twilio) -> None:
    for number in range(3):
        message(twilio, number=number, to_number=TO)

    body = twilio.get(f"Messages.json?To=%2B{TO[1:]}&DateSent%3E=2020-01-01&PageSize=2").json()

    query = dict(parse_qsl(urlsplit(body["next_page_uri"]).query))
    assert (query["To"], query["DateSent>"], query["PageSize"], query["Page"]) == (TO, "2020-01-01", "2", "1")
    assert len(sids(twilio.get(body["next_page_uri"]).json())) == 1


def test_streaming_10_000_rows_while_others_are_added_neither_repeats_nor_skips(twilio: Twilio) -> None:
    built = [
        MessageFactory.build(
            owner=twilio.user, queue_id="express", id=UUID(int=id_at(NOW).int + number), created_at=NOW
        )
        for number in range(10_000)
    ]
    Message.objects.bulk_create(built, batch_size=1_000)

    seen, added = [], 0
    for found in sdk(twilio).messages.stream(page_size=1_000):
        seen.append(found.sid)
        if len(seen) % 900 == 0:
            added += 1
            message(twilio, NOW + timedelta(seconds=added))

    assert added > 10
    assert seen == [sid(row) for row in reversed(built)]


def test_the_sdk_lists_with_all_filters(twilio: Twilio, client) -> None:
    day = datetime(2026, 3, 4, 12, tzinfo=UTC)
    wanted = message(twilio, day, to_number=TO, from_number=SENDER)
    message(twilio, day, 1, to_number=TO, from_number="+15005550001")
    message(twilio, day, 2, to_number="+14155550102", from_number=SENDER)
    message(twilio, day - timedelta(days=2), to_number=TO, from_number=SENDER)
    message(twilio, day + timedelta(days=2), to_number=TO, from_number=SENDER)

    found = client.messages.list(
        to=TO,
        from_=SENDER,
        date_sent_after=day - timedelta(days=1),
        date_sent_before=day + timedelta(days=1),
        limit=20,
    )

    assert [each.sid for each in found] == [sid(wanted)]
    assert [each.sid for each in client.messages.list(to=TO, from_=SENDER, date_sent=day + timedelta(days=1))] == []
    for named in (day, day.date()):
        assert [each.sid for each in client.messages.list(to=TO, from_=SENDER, date_sent=named)] == [sid(wanted)]


AT = datetime(2026, 3, 4, 12, 30, 15, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("DateSent=2026-03-04", True),
        ("DateSent=2026-03-05", False),
        ("DateSent%3E=2026-03-04", True),
        ("DateSent>=2026-03-04", True),
        ("DateSent%3E=2026-03-05", False),
        ("DateSent%3C=2026-03-05", True),
        ("DateSent<=2026-03-05", True),
        ("DateSent%3C=2026-03-04", False),
        ("DateSent=2026-03-04T12:30:15Z", True),
        ("DateSent=2026-03-04T00:00:00Z", True),  # as SDKs write a day
        ("DateSent=2026-03-04T23:59:59Z", True),
        ("DateSent=2026-03-05T00:00:00Z", False),
        ("DateSent%3C=2026-03-04T12:30:15Z", True),
        ("DateSent%3C=2026-03-04T12:30:14Z", False),
        ("DateSent%3E=2026-03-04T12:30:15Z", True),
        ("DateSent%3E=2026-03-04T14:30:15%2B02:00", True),
        ("DateSent%3E=2026-03-04T14:30:15+02:00", True),
        ("DateSent%3E=2026-03-04T14:30:16+02:00", False),
        ("DateSent%3E=Wed, 04 Mar 2026 12:30:15 %2B0000", True),
        ("DateSent%3E=Wed,+04+Mar+2026+12:30:15++0000", True),
        ("DateSent%3E=Wed, 04 Mar 2026 12:30:16 GMT", False),
        ("DateSent%3E=2026-03-04&DateSent%3C=2026-03-05", True),
        ("DateSent%3E=2026-03-05&DateSent%3C=2026-03-04", False),
        ("DateSent%3E=0001-01-01&DateSent%3C=9999-12-31", True),
        ("DateSent=9999-12-31", False),
        ("DateSent=0001-01-01", False),
    ],
)
def test_times_are_read_in_every_form(twilio: Twilio, query: str, is_found: bool) -> None:
    row = message(twilio, AT)

    response = twilio.get(f"Messages.json?{query.replace(' ', '%20')}")

    assert response.status_code == 200, response.content
    assert sids(response.json()) == ([sid(row)] if is_found else [])


@pytest.mark.parametrize("backwards", [False, True])
def test_a_scheduled_message_is_found_by_the_time_at_which_it_was_sent(twilio: Twilio, backwards: bool) -> None:
    day = datetime(2026, 3, 4, tzinfo=UTC)
    early = day - timedelta(days=40)
    waited = {"send_at": day, "sent_at": day + timedelta(hours=3), "expires_at": day + timedelta(days=1)}
    scheduled = [message(twilio, early, number, valid_for=600, **waited) for number in range(3)]
    slow = message(twilio, day - timedelta(days=6), sent_at=day + timedelta(hours=2))
    plain = message(twilio, day + timedelta(hours=1))
    message(twilio, early, 9)
    message(twilio, day + timedelta(hours=2), sent_at=None, status=Status.QUEUED)
    expected = [sid(row) for row in (*scheduled[::-1], slow, plain)]

    page = twilio.get("Messages.json", DateSent="2026-03-04", PageSize=2).json()
    found = [sids(page)]
    while page["next_page_uri"]:
        page = twilio.get(page["next_page_uri"]).json()
        found.append(sids(page))
    if backwards:
        found = [sids(page)]
        while page["previous_page_uri"]:
            page = twilio.get(page["previous_page_uri"]).json()
            found.insert(0, sids(page))

    assert [each for page in found for each in page] == expected


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_sent_messages_and_incoming_texts_of_a_period_are_in_one_order(twilio: Twilio, size: int) -> None:
    at = datetime(2026, 3, 4, 12, 30, 15, 123_000, tzinfo=UTC)
    rows = []
    for number in range(4):
        moment = at + timedelta(milliseconds=number // 2)
        later, key = moment + timedelta(microseconds=7), UUID(int=id_at(moment).int + number * 2 + 1)
        received = {"inbound": True, "status": Status.PROCESSED, "created_at": moment, "received_at": moment}
        rows += [
            (moment, message(twilio, moment, number * 2)),
            (later, message(twilio, moment, 20 + number, sent_at=later)),
            (moment, MessageFactory(owner=twilio.user, id=key, **received)),
        ]
    expected = [sid(row) for _, row in sorted(rows, key=lambda each: (each[0], each[1].pk), reverse=True)]

    page = twilio.get("Messages.json", DateSent="2026-03-04", PageSize=size).json()
    forwards = sids(page)
    while page["next_page_uri"]:
        page = twilio.get(page["next_page_uri"]).json()
        assert sids(twilio.get(page["uri"]).json()) == sids(page)
        forwards += sids(page)
    backwards = sids(page)
    while page["previous_page_uri"]:
        page = twilio.get(page["previous_page_uri"]).json()
        backwards = sids(page) + backwards

    assert forwards == expected
    assert backwards == expected


def test_a_page_of_a_period_is_not_asked_for_with_the_token_of_another_list(twilio: Twilio) -> None:
    for number in range(2):
        message(twilio, number=number)
    token = dict(parse_qsl(twilio.get("Messages.json", PageSize=1).json()["next_page_uri"]))["PageToken"]

    assert_error(twilio.get("Messages.json", DateSent="2026-03-04", Page=1, PageToken=token), 400, 20001)
    for at in (0, 10**17, 10**18 - 1):
        assert twilio.get("Messages.json", DateSent="2026-03-04", Page=1, PageToken=f"{token}T{at}").status_code == 200


def test_an_incoming_text_has_the_time_of_its_arrival(twilio: Twilio) -> None:
    at = datetime(2026, 3, 4, 12, tzinfo=UTC)
    row = MessageFactory(
        inbound=True, status=Status.PROCESSED, owner=twilio.user, id=id_at(at), created_at=at, received_at=at,
        from_number=TO, to_number=SENDER,
    )  # fmt: skip

    [shown] = twilio.get("Messages.json", DateSent="2026-03-04").json()["messages"]

    assert (shown["sid"], shown["direction"], shown["status"]) == (sid(row), "inbound", "received")
    assert shown["date_sent"] == "Wed, 04 Mar 2026 12:00:00 +0000"


def test_numbers_are_found_in_any_notation(twilio: Twilio) -> None:
    SenderFactory(number="Clinic", owner=twilio.user)
    row = message(twilio, to_number=TO, from_number="Clinic")

    for query in (f"To={TO}", f"To=%2B{TO[1:]}", "To=%2B1 (415) 555-0101", "From=Clinic"):
        assert sids(twilio.get(f"Messages.json?{query.replace(' ', '%20')}").json()) == [sid(row)], query
    for query in ("To=nobody", "To=%00", "From=clinic", "To=%2B14155550102"):
        assert sids(twilio.get(f"Messages.json?{query}").json()) == [], query


@pytest.mark.parametrize(
    "query",
    [
        "PageSize=0", "PageSize=x", "PageSize=-1", "PageSize=1e9", "Page=1", "Page=x", "PageToken=x",
        "PageToken=PA1", "PageToken=PAzz", "Page=99999999&PageToken=PA" + "0" * 32, "DateSent=yesterday",
        "DateSent=2026-02-30", "DateSent=2026-13-01T00:00:00Z", "DateSent=Wed", "DateSent=%00",
        "DateSent=Wed, 04 Mar 99999 12:30:16 GMT",
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_is_refused(twilio: Twilio, query: str) -> None:
    assert_error(twilio.get(f"Messages.json?{query.replace(' ', '%20')}"), 400, 20001)


def test_pages_have_at_most_1000_rows(twilio: Twilio) -> None:
    assert twilio.get("Messages.json", PageSize=5_000).json()["page_size"] == 1_000


def test_the_number_of_queries_does_not_grow_with_the_rows(twilio: Twilio) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert twilio.get("Messages.json", DateSent="2026-03-04").status_code == 200
        return len(captured)

    at = datetime(2026, 3, 4, tzinfo=UTC)
    twilio.get("Messages.json")
    message(twilio, at)
    first = queries()
    for number in range(1, 20):
        message(twilio, at, number, media_count=1)

    assert queries() == first


def test_a_message_of_another_account_is_not_seen(twilio: Twilio) -> None:
    other = twilio_of(UserFactory())
    other.user.is_superuser = True
    other.user.save()
    row = message(twilio)

    assert_error(other.get(f"Messages/{sid(row)}.json"), 404, 20404)
    assert_error(other.get(f"/2010-04-01/Accounts/{twilio.sid}/Messages.json"), 401, 20003)
