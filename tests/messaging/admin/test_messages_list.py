"""The list of messages: search in any notation, filters, paging by key, and a constant number of queries."""

from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from messaging.console import keyset
from messaging.models import Message
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, SenderFactory

LIST = "/admin/messaging/message/"


def listed(client: Client, query: str = "") -> list[Message]:
    page = client.get(f"{LIST}?{query}")
    assert page.status_code == 200
    return page.context["cl"].result_list


@pytest.mark.parametrize(
    "term",
    [
        "+14155550101",
        "+1 (415) 555-0101",
        "0014155550101",
        "14155550101",
        "+141555501",
        "415 555 0101",
        "(415) 555-0101",
        "order-42",
        "order",
        "pm-77",
    ],
)
def test_a_message_is_found_by_any_notation(admin: Client, term: str) -> None:
    SenderFactory(number="+15005550006")
    wanted = MessageFactory(to_number="+14155550101", reference="order-42", provider_message_id="pm-77")
    MessageFactory(to_number="+14165550199", reference="another")

    assert listed(admin, f"q={term.replace('+', '%2B')}") == [wanted]


@pytest.mark.parametrize("number", ["+14155550101", "+4915123456789", "+442071838750"])
def test_a_number_is_found_by_its_start_at_every_length(admin: Client, number: str) -> None:
    wanted = MessageFactory(to_number=number)
    MessageFactory(to_number="+33612345678")

    lengths = range(3, len(number) + 1)

    assert [listed(admin, f"q={quote(number[:length])}") for length in lengths] == [[wanted]] * len(lengths)


def test_a_number_with_the_zero_of_its_country_is_found(admin: Client) -> None:
    wanted = MessageFactory(to_number="+442071838750")

    assert listed(admin, f"q={quote('+44 (0)20 7183 8750')}") == [wanted]


@pytest.mark.parametrize(
    "term", ["\u202a+1 415 555 0101\u202c", "tel:+14155550101", "TEL: +1-415-555-0101", "\u2068order-42\u2069"]
)
def test_formatting_copied_along_with_a_term_is_ignored(admin: Client, term: str) -> None:
    wanted = MessageFactory(to_number="+14155550101", reference="order-42")
    MessageFactory(to_number="+14165550199")

    assert listed(admin, f"q={quote(term)}") == [wanted]


def test_a_message_is_found_by_its_id(admin: Client) -> None:
    wanted, _ = MessageFactory(), MessageFactory()

    assert listed(admin, f"q={wanted.pk}") == [wanted]


def test_a_message_is_found_by_its_sender(admin: Client) -> None:
    inbound = MessageFactory(inbound=True, from_number="+14155550101", to_number="+15005550006")
    outbound = MessageFactory(from_number="+14155550101", to_number="+14165550199")

    assert listed(admin, "q=%2B14155550101") == [outbound, inbound]


def test_a_term_without_a_match_finds_nothing(admin: Client) -> None:
    MessageFactory()

    assert [listed(admin, f"q={term}") for term in ("nobody", "%2B99999", "%2B", "🙂")] == [[], [], [], []]


def test_filters(admin: Client) -> None:
    schedule = uuid7()
    paced, acme = QueueFactory(paced=True), AccountFactory(slug="acme")
    AccountFactory(slug="other"), QueueFactory()
    failed = MessageFactory(status="failed", queue=paced)
    sent = MessageFactory(sent=True, provider=acme, schedule_id=schedule)
    inbound = MessageFactory(inbound=True)

    found = {
        query: listed(admin, query)
        for query in (
            "status__exact=failed",
            "status__exact=failed&status__exact=sent",
            "direction__exact=inbound",
            "queue__name__exact=paced",
            "provider__slug__exact=acme",
            f"schedule={schedule}",
            "schedule=nonsense",
        )
    }

    assert list(found.values()) == [
        [failed],
        [sent, failed],
        [inbound],
        [failed],
        [sent],
        [sent],
        [],
    ]


def created_at(time: datetime) -> Message:
    """Create a message whose key matches its time of creation."""
    key = UUID(int=(int(time.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))
    return MessageFactory(id=key, created_at=time, sent=True)


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("created_from=2026-11-19&created_to=2026-11-19", [19]),
        ("created_from=2026-11-19", [22, 20, 19]),
        ("created_to=2026-11-19", [19, 18]),
        ("created_to=9999-12-31", [22, 20, 19, 18]),
        ("created_from=0001-01-01", [22, 20, 19, 18]),
    ],
)
def test_days(admin: Client, query: str, days: list[int]) -> None:
    rows = {day: created_at(NOW.replace(day=day, hour=23 * (day % 2))) for day in (18, 19, 20, 22)}

    assert listed(admin, query) == [rows[day] for day in days]


def test_the_window_of_a_day_begins_with_the_day(admin: Client, monkeypatch) -> None:
    monkeypatch.setattr(keyset, "WINDOW", 3)
    wanted = created_at(NOW - timedelta(days=3))
    for hours in range(10):
        created_at(NOW - timedelta(hours=hours))

    page = admin.get(f"{LIST}?created_from=2026-11-19&created_to=2026-11-19").context["cl"]

    assert (page.result_list, page.older) == ([wanted], None)


@pytest.mark.parametrize(("query", "is_searched_whole"), [("", True), ("&queue__name__exact=express", False)])
def test_a_list_of_one_status_has_no_window_unless_another_filter_needs_it(
    admin: Client, monkeypatch, query: str, is_searched_whole: bool
) -> None:
    monkeypatch.setattr(keyset, "WINDOW", 3)
    old = MessageFactory(sent=True)
    for _ in range(10):
        MessageFactory()

    page = admin.get(f"{LIST}?status__exact=sent{query}").context["cl"]

    assert page.result_list == ([old] if is_searched_whole else [])
    assert (page.scanned is None) == is_searched_whole


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has these indexes in a part of the table"
)
@pytest.mark.parametrize("term", ["+141555501", "order-4"])
def test_each_query_of_a_search_uses_an_index(admin: Client, term: str) -> None:
    MessageFactory()
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        listed(admin, f"q={quote(term)}")
        executed = [query["sql"] for query in queries if "LIMIT 1001" in query["sql"]]
        cursor.execute("SET LOCAL enable_seqscan = off")
        plans = []
        for sql in executed:
            cursor.execute(f"EXPLAIN {sql}")
            plans.append("\n".join(line for [line] in cursor.fetchall()))

    assert len(executed) >= 2
    assert [plan for plan in plans if "Seq Scan" in plan or "message_" not in plan] == []


def test_pages_follow_the_key_without_counting(admin: Client) -> None:
    queue = QueueFactory()
    rows = [MessageFactory(queue=queue) for _ in range(120)][::-1]

    first = admin.get(LIST).context["cl"]
    with CaptureQueriesContext(connection) as queries:
        second = admin.get(f"{LIST}{first.older}").context["cl"]
    last = admin.get(f"{LIST}{second.older}").context["cl"]
    back = admin.get(f"{LIST}{last.newer}").context["cl"]

    assert first.result_list + second.result_list + last.result_list == rows
    assert back.result_list == second.result_list
    assert (first.newer, last.older) == (None, None)
    assert [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()] == []
    assert [query["sql"] for query in queries if "OFFSET" in query["sql"].upper()] == []


def test_page_links_keep_the_filters_and_filter_links_drop_the_page(admin: Client) -> None:
    for _ in range(51):
        MessageFactory(status="failed", queue__name="express")

    first = admin.get(f"{LIST}?status__exact=failed").context["cl"]
    second = admin.get(f"{LIST}{first.older}").context["cl"]

    assert "status__exact=failed" in first.older
    assert len(second.result_list) == 1
    assert "before" not in second.get_query_string()


def test_an_invalid_page_shows_the_first_page(admin: Client) -> None:
    MessageFactory()

    assert len(listed(admin, "before=nonsense")) == 1


def test_a_filter_without_an_index_searches_one_window_and_offers_to_continue(admin: Client, monkeypatch) -> None:
    monkeypatch.setattr(keyset, "WINDOW", 3)
    paced = QueueFactory(paced=True)
    AccountFactory(), QueueFactory()
    wanted = MessageFactory(queue=paced)
    newer = [MessageFactory(queue__name="express") for _ in range(5)]

    first = admin.get(f"{LIST}?queue__name__exact=paced")
    second = admin.get(f"{LIST}{first.context['cl'].older}").context["cl"]

    assert first.context["cl"].result_list == []
    assert b"Search further back" in first.content
    assert second.result_list == [wanted]
    assert second.older is None
    assert len(newer) == 5


@pytest.mark.parametrize(
    "query", ["", "q=%2B1415", "status__exact=queued", "status__exact=failed&created_from=2026-01-01"]
)
def test_the_list_costs_the_same_for_one_row_and_for_fifty(admin: Client, query: str) -> None:
    costs = []
    admin.get(f"{LIST}?{query}")  # what is remembered after the first request
    for more in (1, 49):
        for _ in range(more):
            MessageFactory(status="failed" if "failed" in query else "queued", provider=AccountFactory())
        with CaptureQueriesContext(connection) as queries:
            assert len(listed(admin, query)) == (1 if more == 1 else 50)
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_the_error_column_shows_what_a_message_waits_for(admin: Client) -> None:
    now = timezone.now()
    values = {"to_number": "+14155550101", "created_at": now, "updated_at": now}
    MessageFactory(**values)
    MessageFactory(**values)
    MessageFactory(status="failed", error_code="no_route")

    assert [row.shown_error for row in listed(admin)] == ["no_route", "waiting_for_message", ""]
    assert "waiting_for_message" in admin.get(LIST).content.decode()
