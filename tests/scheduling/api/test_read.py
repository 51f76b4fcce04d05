"""GET: lists with their filters, one schedule, its messages, runs and preview."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.api.serializers import MessageSerializer
from messaging.models import Message
from scheduling.api.serializers import PreviewSerializer, RunSerializer, ScheduleSerializer
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import schedules
from tests.factories import MessageFactory, PhoneNumberFactory, lose_the_key
from tests.messaging.api.conftest import assert_problem, errors_of
from tests.scheduling.making import DUE, create, expand_all, numbers, recipient_list, tick

DAY = timedelta(days=1)
READS = ["", "messages/", "runs/", "preview/"]


def names(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()["results"]]


@pytest.fixture
def ran(mine) -> Schedule:
    """A daily schedule with three recipients that has run once."""
    schedule = mine(3, name="ran", recurrence="FREQ=DAILY")
    tick()
    expand_all()
    schedule.refresh_from_db()
    return schedule


def test_a_text_that_cannot_be_opened_is_empty_in_a_list_and_a_problem_alone(api, mine) -> None:
    mine(text="old")
    lost = mine(text="lost")
    MessageFactory(owner=api.user, schedule_id=lost.pk)
    lose_the_key(lost)
    lose_the_key(Message.objects.get())

    [first, second] = api.get("schedules/?include=messages").json()["results"]

    assert (first["message"], second["message"]) == ("", "old")
    assert [message["message"] for message in first["messages"]] == [""]
    assert [row["message"] for row in api.get(f"schedules/{lost.pk}/messages/").json()["results"]] == [""]
    for path in ("", "preview/"):
        assert_problem(api.get(f"schedules/{lost.pk}/{path}"), 503, "text_unreadable")
    answer = api.post(f"schedules/{lost.pk}/pause/")
    assert (answer.status_code, answer.json()["status"], answer.json()["message"]) == (200, "paused", "")


class TestList:
    def test_an_empty_list(self, api) -> None:
        assert api.get("schedules/").json() == {"count": 0, "next": None, "previous": None, "results": []}

    def test_the_newest_come_first_with_counts_by_status(self, api, mine, ran) -> None:
        Message.objects.filter(pk=Message.objects.first().pk).update(status="sent")
        mine(name="new")

        rows = api.get("schedules/").json()["results"]

        assert [(row["name"], row["counts"]) for row in rows] == [("new", {}), ("ran", {"sent": 1, "queued": 2})]
        assert rows[1] == api.get(f"schedules/{ran.pk}/").json()

    def test_only_ones_own_are_listed_and_staff_see_all(self, api, stranger, staff, mine) -> None:
        mine(name="mine")
        create(stranger.user, name="theirs")

        assert names(api.get("schedules/")) == ["mine"]
        assert names(stranger.get("schedules/")) == ["theirs"]
        assert names(staff.get("schedules/")) == ["theirs", "mine"]

    @pytest.fixture
    def various(self, mine, ran) -> None:
        """ran: past run at DUE, next a day later. paused, ended: at DUE + 2 days. once: at DUE + 3 days."""
        schedules.pause(schedule_id=mine(name="paused", run_at=DUE + 2 * DAY).pk, now=DUE)
        once = mine(name="once", run_at=DUE + 3 * DAY)
        Schedule.objects.filter(pk=once.pk).update(name="Once 100%")
        ended = mine(name="ended", run_at=DUE + 2 * DAY)
        schedules.cancel(schedule_id=ended.pk, actor=ended.owner, now=DUE, source="api")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["ended", "Once 100%", "paused", "ran"]),
            ("status=active", ["Once 100%", "ran"]),
            ("status=paused&status=canceled", ["ended", "paused"]),
            ("status=completed", []),
            ("run_after=2026-11-22T10:00:00Z&run_before=2026-11-22T10:00:01Z", ["ran"]),
            ("run_after=2026-11-22T10:00:01Z&run_before=2026-11-23T10:00:00Z", []),
            ("run_after=2026-11-23T10:00:00Z", ["Once 100%", "paused", "ran"]),
            ("run_after=2026-11-24T10:00:00Z", ["Once 100%", "paused"]),
            ("run_after=2026-11-24T11:00:00%2B01:00&run_before=2026-11-25", ["paused"]),
            ("run_before=2026-11-24T10:00:00Z", ["ran"]),
            ("run_before=2026-11-22T10:00:00Z", []),
            ("search=once", ["Once 100%"]),
            ("search=P", ["paused"]),
            ("search=nce", []),
            ("search=%25", []),
            ("search=_", []),
            ("search=once%20100%25", ["Once 100%"]),
            ("status=active&search=r&run_after=2026-11-22", ["ran"]),
            ("limit=2", ["ended", "Once 100%"]),
            ("limit=2&offset=2", ["paused", "ran"]),
            ("offset=9", []),
        ],
    )
    def test_filters(self, api, various, query: str, found: list[str]) -> None:
        response = api.get(f"schedules/?{query}")

        assert names(response) == found
        paged = "limit" in query or "offset" in query
        assert response.json()["count"] == (4 if paged else len(found))

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ("status=odd", ("status", "invalid_choice")),
            ("run_after=tomorrow", ("run_after", "invalid")),
            ("run_before=2026-13-01", ("run_before", "invalid")),
            ("run_after=0001-01-01T00:00:00%2B14:00", ("run_after", "overflow")),
            ("run_before=9999-12-31T23:59:59-14:00", ("run_before", "overflow")),
            ("search=" + "x" * 101, ("search", "max_length")),
            ("search=%00", ("search", "null_characters_not_allowed")),
            ("limit=0", ("limit", "min_value")),
            ("limit=101", ("limit", "max_value")),
            ("include=recipients", ("include", "invalid_choice")),
        ],
    )
    def test_a_question_that_makes_no_sense_is_400(self, api, ran, query: str, error) -> None:
        assert errors_of(api.get(f"schedules/?{query}")) == {error}

    def test_the_newest_ten_messages_are_nested_with_a_link_to_the_rest(self, api, mine) -> None:
        schedule = mine(13)
        tick()
        expand_all()

        listed, [one] = (
            api.get(f"schedules/{schedule.pk}/?include=messages").json(),
            api.get("schedules/?include=messages").json()["results"],
        )

        assert listed == one
        assert set(one) == set(ScheduleSerializer().fields) - {"canceled"}
        assert [message["to"] for message in one["messages"]] == numbers(13)[:2:-1]
        first = Message.objects.order_by("-pk").first()
        assert one["messages"][0] == api.get(f"messages/{first.pk}/").json()
        assert one["messages_url"] == f"http://testserver/api/v1/schedules/{schedule.pk}/messages/"
        linked = api.get(one["messages_url"]).json()
        assert (linked["count"], linked["results"]) == (13, one["messages"])

    def test_one_without_messages_nests_none(self, api, mine) -> None:
        mine()

        assert api.get("schedules/?include=messages").json()["results"][0]["messages"] == []

    @pytest.mark.parametrize("query", ["", "?include=messages", "?run_after=2020-01-01&status=active"])
    def test_the_cost_does_not_grow_with_the_schedules(self, api, mine, query: str) -> None:
        costs = []
        for more in (1, 4):
            for _ in range(more):
                mine(2, recurrence="FREQ=DAILY")
            tick()
            expand_all()
            with CaptureQueriesContext(connection) as queries:
                api.get(f"schedules/{query}")
            costs.append(len(queries))

        assert costs[0] == costs[1]


class TestMessages:
    def test_they_are_the_schedules_messages_the_newest_first(self, api, ran) -> None:
        MessageFactory(owner=api.user)
        MessageFactory(owner=api.user, schedule_id=uuid7())

        body = api.get(f"schedules/{ran.pk}/messages/").json()

        assert {key: body[key] for key in ("count", "next", "previous")} == {"count": 3, "next": None, "previous": None}
        assert [row["to"] for row in body["results"]] == numbers(3)[::-1]
        assert body["results"] == api.get(f"messages/?schedule={ran.pk}").json()["results"]
        assert {row["schedule"] for row in body["results"]} == {str(ran.pk)}
        assert set(MessageSerializer().fields) >= set(body["results"][0])

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("status=sent", [0]),
            ("status=sent&status=queued", [2, 1, 0]),
            ("to=14155560001", [1]),
            ("search=%2B14155560002", [2]),
            ("ordering=created_at", [0, 1, 2]),
            ("queue=paced", []),
            ("limit=1", [2]),
            ("limit=1&offset=1", [1]),
        ],
    )
    def test_filters(self, api, ran, query: str, found: list[int]) -> None:
        Message.objects.filter(to_number=numbers(1)[0]).update(status="sent")

        rows = api.get(f"schedules/{ran.pk}/messages/?{query}").json()["results"]

        assert [row["to"] for row in rows] == [numbers(3)[i] for i in found]

    def test_both_ways_of_paging_reach_all(self, api, ran) -> None:
        for start in ("limit=2", "limit=2&cursor="):
            first = api.get(f"schedules/{ran.pk}/messages/?{start}").json()
            second = api.get(first["next"]).json()

            assert [row["to"] for row in first["results"] + second["results"]] == numbers(3)[::-1]
            assert second["next"] is None
            assert ("count" in first) is ("cursor" not in start)

    def test_an_unknown_status_is_400(self, api, ran) -> None:
        assert errors_of(api.get(f"schedules/{ran.pk}/messages/?status=odd")) == {("status", "invalid_choice")}

    def test_the_cost_does_not_grow_with_the_messages(self, api, mine) -> None:
        costs = []
        for count in (1, 5):
            schedule = mine(count)
            tick()
            expand_all()
            with CaptureQueriesContext(connection) as queries:
                api.get(f"schedules/{schedule.pk}/messages/")
            costs.append(len(queries))

        assert costs[0] == costs[1]


class TestRuns:
    def test_past_runs_the_newest_first(self, api, mine) -> None:
        PhoneNumberFactory(number=numbers(1)[0], inactive=True)
        schedule = mine(2, recurrence="FREQ=DAILY")
        for moment in (DUE, DUE + DAY + timedelta(hours=2)):
            tick(moment)
            expand_all(moment)

        body = api.get(f"schedules/{schedule.pk}/runs/").json()

        assert (body["count"], body["next"], body["previous"]) == (2, None, None)
        missed, done = body["results"]
        assert set(done) == set(missed) == set(RunSerializer().fields)
        assert {**done, "id": ""} == {
            "id": "",
            "due_at": "2026-11-22T10:00:00Z",
            "status": "done",
            "detail": None,
            "created_messages": 1,
            "skipped_inactive": 1,
            "skipped_opted_out": 0,
            "skipped_invalid": 0,
            "skipped_over_budget": 0,
            "template_version": None,
            "started_at": "2026-11-22T10:00:00Z",
            "finished_at": "2026-11-22T10:00:00Z",
        }
        assert (missed["due_at"], missed["status"], missed["detail"], missed["started_at"]) == (
            "2026-11-23T10:00:00Z",
            "missed",
            "more than 3600 s late",
            None,
        )

    def test_they_are_paged(self, api, ran) -> None:
        ScheduleRun.objects.create(schedule=ran, due_at=DUE - DAY, status="missed")

        body = api.get(f"schedules/{ran.pk}/runs/?limit=1").json()

        assert (body["count"], [row["status"] for row in body["results"]]) == (2, ["done"])
        assert [row["status"] for row in api.get(body["next"]).json()["results"]] == ["missed"]

    def test_the_cost_does_not_grow_with_the_runs(self, api, ran) -> None:
        costs = []
        for day in range(5):
            ScheduleRun.objects.create(schedule=ran, due_at=DUE - (day + 1) * DAY, status="missed")
            with CaptureQueriesContext(connection) as queries:
                api.get(f"schedules/{ran.pk}/runs/")
            costs.append(len(queries))

        assert len(set(costs)) == 1


class TestPreview:
    @pytest.fixture
    def schedule(self, mine) -> Schedule:
        names = ["Ada", "x" * 170, *"bcde"]
        listed = recipient_list(*((number, {"name": name}) for number, name in zip(numbers(6), names, strict=True)))
        return mine(
            listed,
            text="Hi {name}",
            run_at=DUE.fromisoformat("2027-03-27T02:30"),
            time_zone="Europe/Berlin",
            recurrence="FREQ=DAILY",
        )

    def test_the_next_times_in_the_zone_and_the_first_texts(self, api, schedule) -> None:
        body = api.get(f"schedules/{schedule.pk}/preview/?count=3").json()

        assert set(body) == set(PreviewSerializer().fields)
        assert (body["time_zone"], body["recipients"], body["total_segments"]) == ("Europe/Berlin", 6, 7)
        assert body["runs"] == [
            {"at": "2027-03-27T02:30:00+01:00", "utc": "2027-03-27T01:30:00Z", "added": False},
            {"at": "2027-03-28T03:00:00+02:00", "utc": "2027-03-28T01:00:00Z", "added": False},
            {"at": "2027-03-29T02:30:00+02:00", "utc": "2027-03-29T00:30:00Z", "added": False},
        ]
        assert [message["to"] for message in body["messages"]] == numbers(5)
        assert body["messages"][0] == {"to": numbers(1)[0], "message": "Hi Ada", "encoding": "gsm7", "segments": 1}
        assert body["messages"][1]["segments"] == 2

    @pytest.mark.parametrize(("query", "count"), [("", 5), ("?count=1", 1), ("?count=100", 100)])
    def test_as_many_times_as_requested(self, api, schedule, query: str, count: int) -> None:
        assert len(api.get(f"schedules/{schedule.pk}/preview/{query}").json()["runs"]) == count

    @pytest.mark.parametrize(
        ("count", "code"), [("0", "min_value"), ("101", "max_value"), ("x", "invalid"), ("-1", "min_value")]
    )
    def test_the_number_has_bounds(self, api, schedule, count: str, code: str) -> None:
        assert errors_of(api.get(f"schedules/{schedule.pk}/preview/?count={count}")) == {("count", code)}

    def test_a_series_has_no_more_than_it_has(self, api, mine) -> None:
        two, one = mine(recurrence="FREQ=DAILY;COUNT=2"), mine()

        assert len(api.get(f"schedules/{two.pk}/preview/").json()["runs"]) == 2
        assert len(api.get(f"schedules/{one.pk}/preview/").json()["runs"]) == 1
        tick(DUE)
        assert len(api.get(f"schedules/{two.pk}/preview/").json()["runs"]) == 1
        assert api.get(f"schedules/{one.pk}/preview/").json()["runs"] == []

    def test_a_preview_changes_nothing(self, api, schedule) -> None:
        before = Schedule.objects.values().get()

        api.get(f"schedules/{schedule.pk}/preview/")

        assert Schedule.objects.values().get() == before


@pytest.mark.parametrize("path", READS)
def test_what_is_anothers_does_not_exist(stranger, staff, ran, path: str) -> None:
    assert_problem(stranger.get(f"schedules/{ran.pk}/{path}"), 404, "not_found")
    assert_problem(stranger.get(f"schedules/{uuid7()}/{path}"), 404, "not_found")
    assert_problem(stranger.get(f"schedules/nothing/{path}"), 404, "not_found")
    assert staff.get(f"schedules/{ran.pk}/{path}").status_code == 200


@pytest.mark.parametrize("path", READS)
def test_a_reader_may_read_its_own(member_of, path: str) -> None:
    reader = member_of("API reader")
    schedule = create(reader.user)

    assert reader.get(f"schedules/{schedule.pk}/{path}").status_code == 200
    assert names(reader.get("schedules/")) == ["Reminder"]


@pytest.mark.parametrize("path", READS)
def test_without_permission_or_token_there_is_nothing(member_of, anonymous, ran, path: str) -> None:
    nobody = member_of()

    assert_problem(nobody.get(f"schedules/{ran.pk}/{path}"), 403, "permission_denied")
    assert_problem(anonymous.get(f"schedules/{ran.pk}/{path}"), 401, "not_authenticated")
    assert_problem(nobody.get("schedules/"), 403, "permission_denied")
    assert_problem(anonymous.get("schedules/"), 401, "not_authenticated")


@pytest.mark.parametrize("path", READS[1:])
def test_the_path_without_its_slash_works_too(api, ran, path: str) -> None:
    assert api.get(f"schedules/{ran.pk}/{path[:-1]}").json() == api.get(f"schedules/{ran.pk}/{path}").json()
