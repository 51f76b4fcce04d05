"""GET /messages/: filters, order and pages."""

from datetime import timedelta
from functools import partial
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.api import pagination
from messaging.services.reporting import search
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, SenderFactory, lose_the_key
from tests.messaging.api.conftest import assert_problem, errors_of
from tests.messaging.plans import on_postgresql, plans_of


@pytest.fixture
def mine(api):
    """Makes messages of the client's user."""

    def make(**values):
        return MessageFactory(owner=api.user, **values)

    return make


def texts(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["message"] for row in response.json()["results"]]


def test_an_empty_list(api) -> None:
    assert api.get("messages/").json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_the_newest_come_first_with_the_same_body_as_the_detail(api, mine) -> None:
    mine(text="old")
    newest = mine(text="new")

    response = api.get("messages/")

    assert texts(response) == ["new", "old"]
    assert response.json()["results"][0] == api.get(f"messages/{newest.pk}/").json()


def test_an_undecryptable_text_is_empty_in_a_list_and_an_error_in_the_detail(api, mine) -> None:
    mine(text="old")
    lost = mine(to_number="+14155550101")
    lose_the_key(lost)

    assert texts(api.get("messages/")) == ["", "old"]
    assert texts(api.get("messages/?cursor=")) == ["", "old"]
    assert_problem(api.get(f"messages/{lost.pk}/"), 503, "text_unreadable")
    answer = api.post(f"messages/{lost.pk}/cancel/")
    assert (answer.status_code, answer.json()["status"], answer.json()["message"]) == (200, "canceled", "")


def test_clients_see_their_own_messages_and_staff_see_all(api, stranger, staff, mine) -> None:
    own, theirs = mine(text="mine"), MessageFactory(owner=stranger.user, text="theirs")

    assert texts(api.get("messages/")) == ["mine"]
    assert texts(stranger.get("messages/")) == ["theirs"]
    assert [row["id"] for row in staff.get("messages/").json()["results"]] == [str(theirs.pk), str(own.pk)]


def test_staff_also_see_inbound_messages(staff) -> None:
    MessageFactory(inbound=True, text="in")

    [row] = staff.get("messages/").json()["results"]

    assert (row["direction"], row["status"], row["queue"]) == ("inbound", "received", None)
    assert row["received_at"] == "2026-11-22T09:00:00Z"


@pytest.fixture
def various(mine):
    QueueFactory(name="bulk")
    account = AccountFactory(slug="other", config={"url": "http://127.0.0.1:9/send", "from_number": "ACME"})
    for number in ("+15005550006", "+15005550007"):
        SenderFactory(number=number)
    later = NOW + timedelta(hours=1)
    mine(text="a", to_number="+14155550101", from_number="ACME", reference="order-1", created_at=NOW)
    mine(text="b", to_number="+4915112345678", queue_id="bulk", sent=True, provider=account, provider_message_id="SM1")
    mine(text="c", to_number="+14155550101", from_number="+15005550007", delivered=True, created_at=later)
    mine(text="d", to_number="+14155550102", reference="order-22", status="failed", schedule_id=uuid7())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("to=%2B14155550101", "ca"),
        ("to=+14155550101", "ca"),
        ("to=14155550101", "ca"),
        ("to=%2B1 (415) 555-0101", "ca"),
        ("to=nobody", ""),
        ("from=%2B15005550007", "c"),
        ("status=failed", "d"),
        ("status=sent&status=delivered", "cb"),
        ("direction=outbound", "dcba"),
        ("direction=inbound", ""),
        ("queue=bulk", "b"),
        ("queue=nowhere", ""),
        ("provider=other", "b"),
        ("provider=nowhere", ""),
        ("reference=order-1", "a"),
        ("reference=order", ""),
        ("created_after=2026-11-22T10:00:00Z", "c"),
        ("created_before=2026-11-22T10:00:00Z", "dba"),
        ("created_after=2026-11-22T09:00:00Z&created_before=2026-11-22T09:00:01Z", "dba"),
        ("created_after=2026-11-23", ""),
        ("search=order", "da"),
        ("search=ORDER", ""),
        ("search=sm", ""),
        ("search=%2B1500555", "dcb"),
        ("search=15005550007", "c"),
        ("search=%2B1500555000", "dcb"),
        ("search=%2B1500555000&direction=inbound", ""),
        ("search=ACME", "a"),
        ("search=acme", ""),
        ("search=order-2", "d"),
        ("search=%2B1415", "dca"),
        ("search=1415", "dca"),
        ("search=SM", "b"),
        ("search=%25", ""),
        ("search=_", ""),
        ("search=rder", ""),
        ("status=failed&to=%2B14155550102&queue=express", "d"),
        ("ordering=created_at", "abcd"),
        ("ordering=-created_at", "dcba"),
        ("to=", "dcba"),
    ],
)
def test_filters(api, various, query: str, found: str) -> None:
    response = api.get(f"messages/?{query.replace(' ', '%20')}")

    assert "".join(texts(response)) == found
    assert response.json()["count"] == len(found)


def test_the_messages_of_a_schedule(api, mine) -> None:
    schedule = uuid7()
    mine(text="s", schedule_id=schedule)
    mine(text="none")

    assert texts(api.get(f"messages/?schedule={schedule}")) == ["s"]
    assert texts(api.get(f"messages/?schedule={uuid7()}")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nonsense", "status"),
        ("status=", "status"),
        ("status=sent&status=nonsense", "status"),
        ("direction=up", "direction"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-99-01", "created_before"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("created_before=9999-12-31T23:59:59-14:00", "created_before"),
        ("schedule=1", "schedule"),
        ("ordering=text", "ordering"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1e400", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("offset=-1", "offset"),
        ("offset=10001", "offset"),
        ("offset=x", "offset"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=" + "A" * 24, "cursor"),
        ("cursor=" + "A" * 5000, "cursor"),
        ("to=%00", "to"),
        ("queue=a%00", "queue"),
        ("search=%00", "search"),
        ("search=" + "x" * 129, "search"),
        ("reference=" + "x" * 129, "reference"),
    ],
)
def test_an_invalid_filter_is_named(api, mine, query: str, field: str) -> None:
    mine()

    assert {name for name, _ in errors_of(api.get(f"messages/?{query}"))} == {field}


@pytest.mark.parametrize("value", ["%ED%A0%80", "%FF", "%F0%9F%98%80", quote("'; DROP TABLE x; --"), "%7F", "%5C"])
@pytest.mark.parametrize("field", ["to", "from", "queue", "provider", "reference", "search"])
def test_unusual_characters_in_a_filter_find_nothing(api, mine, field: str, value: str) -> None:
    mine()

    assert texts(api.get(f"messages/?{field}={value}")) == []


class TestOffset:
    @pytest.fixture
    def twenty_five(self, mine) -> None:
        for n in range(25):
            mine(text=str(n))

    def test_ten_a_page_and_links_between_them(self, api, twenty_five) -> None:
        first = api.get("messages/").json()
        second = api.get(first["next"]).json()
        third = api.get(second["next"]).json()

        rows = [row["message"] for page in (first, second, third) for row in page["results"]]
        assert rows == [str(n) for n in reversed(range(25))]
        assert [page["count"] for page in (first, second, third)] == [25, 25, 25]
        assert (first["previous"], third["next"]) == (None, None)
        assert api.get(third["previous"]).json()["results"] == second["results"]
        assert api.get(second["previous"]).json()["results"] == first["results"]

    def test_links_keep_the_filters(self, api, twenty_five) -> None:
        following = api.get("messages/?status=queued&limit=5&ordering=created_at").json()["next"]

        assert texts(api.get(following)) == [str(n) for n in range(5, 10)]

    @pytest.mark.parametrize(
        ("query", "size"), [("limit=1", 1), ("limit=25", 25), ("limit=100", 25), ("offset=24", 1), ("offset=99", 0)]
    )
    def test_limit_and_offset(self, api, twenty_five, query: str, size: int) -> None:
        body = api.get(f"messages/?{query}").json()

        assert (len(body["results"]), body["count"], "count_exact" in body) == (size, 25, False)

    @pytest.mark.parametrize(("cap", "expected"), [(24, (24, False)), (25, (25, None)), (26, (25, None))])
    def test_the_count_stops_at_its_cap_and_is_marked_inexact(
        self, api, twenty_five, monkeypatch, cap: int, expected
    ) -> None:
        monkeypatch.setattr(pagination, "EXACT_COUNT_UP_TO", cap)

        body = api.get("messages/?limit=20").json()

        assert (body["count"], body.get("count_exact")) == expected
        assert len(api.get(body["next"]).json()["results"]) == 5

    def test_the_cap_is_ten_thousand(self) -> None:
        assert pagination.EXACT_COUNT_UP_TO == 10_000

    @pytest.mark.parametrize("offset", ["10001", "10000001", "9" * 30])
    def test_an_offset_that_is_too_large_is_refused_and_the_cursor_named(self, api, offset: str) -> None:
        with CaptureQueriesContext(connection) as queries:
            response = api.get(f"messages/?offset={offset}")

        assert_problem(response, 400, "invalid")
        assert errors_of(response) == {("offset", "max_value")}
        assert "cursor" in response.json()["errors"][0]["detail"]
        assert [query for query in queries if "messaging_message" in query["sql"]] == []

    def test_the_largest_offset_is_ten_thousand(self, api, mine) -> None:
        mine()

        body = api.get("messages/?offset=10000").json()

        assert (body["count"], body["results"], body["next"]) == (1, [], None)

    @pytest.mark.parametrize("ordering", ["", "&ordering=created_at"])
    def test_the_links_go_on_by_cursor_after_the_largest_offset(
        self, api, twenty_five, monkeypatch, ordering: str
    ) -> None:
        monkeypatch.setattr(pagination.KeysetOrOffsetPagination, "max_offset", 10)

        pages = [api.get(f"messages/?limit=8&status=queued{ordering}").json()]
        while pages[-1]["next"]:
            pages.append(api.get(pages[-1]["next"]).json())

        rows = [int(row["message"]) for page in pages for row in page["results"]]
        assert rows == (list(range(25)) if ordering else list(reversed(range(25))))
        assert ["count" in page for page in pages] == [True, True, False, False]
        assert "offset" not in pages[1]["next"]

    def test_beside_a_cursor_the_offset_is_ignored_however_large(self, api) -> None:
        assert api.get("messages/?cursor=&offset=20000").status_code == 200

    def test_lists_that_have_no_cursor_keep_their_offsets(self, staff) -> None:
        assert staff.get("phone-numbers/?offset=20000").status_code == 200


@pytest.fixture
def many_old(mine, monkeypatch) -> None:
    """Four orders of last year, which count as many, and newer messages without a reference."""
    monkeypatch.setattr(search, "FEW", 2)
    monkeypatch.setattr(search, "RECENT", 3)
    for n in range(4):
        mine(text=str(n), reference=f"order-{n}", to_number="+14155550101")
    for _ in range(5):
        mine(text="newer", to_number="+14155550102")


@pytest.mark.parametrize("paging", ["", "&offset=0", "&cursor="])
def test_a_search_finds_many_old_messages(api, many_old, paging: str) -> None:
    first = api.get(f"messages/?search=order&limit=3{paging}").json()
    second = api.get(first["next"]).json()

    assert [row["message"] for page in (first, second) for row in page["results"]] == ["3", "2", "1", "0"]
    assert (first.get("count"), second["next"]) == (None if "cursor" in paging else 4, None)


def test_a_search_for_many_old_messages_obeys_the_other_filters(api, many_old) -> None:
    assert texts(api.get("messages/?search=order&to=14155550102")) == []
    assert texts(api.get("messages/?search=order&created_after=2027-01-01T00:00:00Z")) == []
    assert texts(api.get("messages/?search=order&ordering=created_at")) == ["0", "1", "2", "3"]


@on_postgresql
def test_a_search_for_many_old_messages_begins_at_them(staff, many_old) -> None:
    plans = plans_of(partial(staff.get, "messages/?search=order&cursor="))

    assert "Index Cond: (id = ANY ($" in plans[-1]


@on_postgresql
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("status=sent", "message_status"),
        ("status=failed", "message_status"),
        ("from=%2B14155550101", "message_from"),
    ],
)
def test_a_list_of_all_owners_is_read_in_the_order_of_its_index(staff, query: str, index: str) -> None:
    plans = plans_of(partial(staff.get, f"messages/?{query}&cursor="))

    assert f"using {index} " in plans[0]
    assert "Sort" not in plans[0]


@on_postgresql
def test_inbound_messages_are_counted_by_the_index_of_statuses(api) -> None:
    plans = plans_of(partial(api.get, "messages/?direction=inbound"))

    assert "Seq Scan" not in plans[0]
    assert "direction" not in plans[0]


def test_a_filter_by_status_does_not_sort_out_repeats(api, mine) -> None:
    """DISTINCT reads all that match before the first row is counted."""
    mine(sent=True)

    with CaptureQueriesContext(connection) as queries:
        assert api.get("messages/?status=sent&status=failed").json()["count"] == 1

    assert [query["sql"] for query in queries if "DISTINCT" in query["sql"]] == []


class TestCursor:
    @pytest.fixture
    def seven(self, mine) -> list[str]:
        return [str(mine(text=str(n)).pk) for n in range(7)]

    def walk(self, api, path: str, link: str) -> tuple[list[list[str]], dict]:
        pages = []
        while path:
            body = api.get(path).json()
            assert set(body) == {"next", "previous", "results"}
            pages.append([row["id"] for row in body["results"]])
            last, path = body, body[link]
        return pages, last

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
    @pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
    def test_paging_forwards_and_backwards_returns_the_same_rows(self, api, seven, limit: int, ordering: str) -> None:
        expected = seven if ordering == "created_at" else seven[::-1]

        forwards, last = self.walk(api, f"messages/?cursor=&limit={limit}&ordering={ordering}", "next")
        backwards, first = self.walk(api, last["previous"], "previous") if last["previous"] else ([], None)

        assert [pk for page in forwards for pk in page] == expected
        assert [pk for page in reversed(backwards) for pk in page] + forwards[-1] == expected
        if first is not None:
            assert api.get(first["next"]).status_code == 200

    def test_rows_inserted_meanwhile_do_not_shift_pages(self, api, mine, seven) -> None:
        first = api.get("messages/?cursor=&limit=3").json()
        mine(text="new")

        second = api.get(first["next"]).json()

        assert [row["id"] for row in second["results"]] == seven[3::-1][:3]

    def test_filters_apply_to_every_page(self, api, mine, seven) -> None:
        mine(text="sent", sent=True)

        pages, _ = self.walk(api, "messages/?cursor=&limit=2&status=queued", "next")

        assert [pk for page in pages for pk in page] == seven[::-1]

    def test_paging_by_key_does_not_count(self, api, seven) -> None:
        with CaptureQueriesContext(connection) as queries:
            api.get("messages/?cursor=")

        assert not [query for query in queries if "COUNT(" in query["sql"]]

    def test_an_empty_list(self, api) -> None:
        assert api.get("messages/?cursor=").json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize("query", ["", "?cursor=", "?search=order"])
def test_the_cost_does_not_grow_with_the_rows(api, mine, query: str) -> None:
    costs = []
    for size in (1, 4):
        for _ in range(size):
            mine(provider=AccountFactory(), reference="order", sent=True)
        with CaptureQueriesContext(connection) as queries:
            api.get(f"messages/{query}")
        costs.append(len(queries))

    assert costs[0] == costs[1]


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has these indexes in a part of the table"
)
@pytest.mark.parametrize(("term", "look_ups"), [("+141555501", 4), ("+150055500", 4), ("order-4", 4)])
def test_each_query_of_a_search_uses_an_index(api, mine, term: str, look_ups: int) -> None:
    mine()
    SenderFactory(number="+15005550006")
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        api.get(f"messages/?search={quote(term)}")
        asked = [query["sql"] for query in queries if "LIMIT 1001" in query["sql"]]
        cursor.execute("SET LOCAL enable_seqscan = off")
        plans = []
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plans.append("\n".join(line for [line] in cursor.fetchall()))

    assert len(asked) == look_ups
    assert [plan for plan in plans if "Seq Scan" in plan or "message_" not in plan] == []
