"""PATCH, DELETE, pause, resume and cancel."""

from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from messaging.models import Message
from scheduling.models import Schedule, ScheduleRecipient, ScheduleRun
from tests.messaging.api.conftest import assert_problem, errors_of
from tests.scheduling.making import DUE, create, expand_all, recipient_list, statuses, tick

WRITES = [
    ("PATCH", "", {"name": "Other"}),
    ("DELETE", "", {}),
    ("POST", "pause/", {}),
    ("POST", "resume/", {}),
    ("POST", "cancel/", {}),
    ("POST", "recipients/", {"recipients": ["+14155550109"]}),
]
HOUR = timedelta(hours=1)


@pytest.fixture
def ran(mine, clock) -> Schedule:
    schedule = mine(3, recurrence="FREQ=DAILY")
    clock.now = DUE
    tick()
    expand_all()
    schedule.refresh_from_db()
    return schedule


def rows() -> tuple[list, list, list, dict]:
    """Return everything that a write could change."""
    return (
        list(Schedule.objects.order_by("pk").values()),
        list(ScheduleRecipient.objects.order_by("pk").values()),
        list(ScheduleRun.objects.order_by("pk").values()),
        statuses(),
    )


class TestPatch:
    def test_what_is_given_is_changed_and_the_rest_stays(self, api, mine, clock) -> None:
        before = api.get(f"schedules/{mine().pk}/").json()
        clock.advance(60)

        response = api("PATCH", f"schedules/{before['id']}/", {"name": "Other", "message": "Bye"})

        assert response.status_code == 200
        assert response.json() == {**before, "name": "Other", "message": "Bye", "updated_at": "2026-11-22T09:01:00Z"}
        assert response.json() == api.get(f"schedules/{before['id']}/").json()

    def test_it_can_be_rescheduled(self, api, mine) -> None:
        changes = {"run_at": "2026-12-01T09:00:00", "time_zone": "Europe/Berlin", "recurrence": "FREQ=DAILY"}

        body = api("PATCH", f"schedules/{mine().pk}/", changes).json()

        assert (body["run_at"], body["next_run_at"]) == ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00Z")
        assert (body["time_zone"], body["recurrence"]) == ("Europe/Berlin", "RRULE:FREQ=DAILY")

    def test_of_nothing_nothing_changes(self, api, mine) -> None:
        before = api.get(f"schedules/{mine().pk}/").json()

        assert api("PATCH", f"schedules/{before['id']}/", {}).json() == before

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("id", "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"),
            ("status", "completed"),
            ("next_run_at", None),
            ("recipient_count", 0),
            ("counts", {"sent": 1}),
            ("created_at", "2026-11-22T08:00:00Z"),
            ("updated_at", "2026-11-22T08:00:00Z"),
            ("messages", []),
            ("canceled", 1),
        ],
    )
    def test_what_is_not_ours_to_set_is_400_and_changes_nothing(self, api, mine, field: str, value: object) -> None:
        schedule = mine()
        before = rows()

        changes = {"name": "Other", "recipients": ["+14155550109"], field: value}
        assert errors_of(api("PATCH", f"schedules/{schedule.pk}/", changes)) == {(field, "read_only")}

        assert rows() == before

    def test_the_list_can_be_replaced(self, api, mine) -> None:
        before = api.get(f"schedules/{mine(3).pk}/").json()
        others = ["+14155550109", {"to": "+14155550108", "variables": {"name": "Ada"}}, "+14155550109"]

        response = api("PATCH", f"schedules/{before['id']}/", {"recipients": others})

        assert (response.status_code, response.json()) == (200, {**before, "recipient_count": 2})
        assert list(ScheduleRecipient.objects.order_by("pk").values_list("number", "variables")) == [
            ("+14155550109", {}),
            ("+14155550108", {"name": "Ada"}),
        ]

    def test_a_new_list_is_for_the_new_text(self, api, mine) -> None:
        changes = {"message": "Hi {name}", "recipients": [{"to": "+14155550109", "variables": {"name": "Ada"}}]}

        body = api("PATCH", f"schedules/{mine(3).pk}/", changes).json()

        assert (body["message"], body["recipient_count"]) == ("Hi {name}", 1)

    def test_another_schedules_list_stays(self, api, mine) -> None:
        other = mine(2)

        api("PATCH", f"schedules/{mine(3).pk}/", {"recipients": ["+14155550109"]})

        assert ScheduleRecipient.objects.filter(schedule=other).count() == 2

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"message": "Hi {name}"}, ("message", "missing_variable")),
            ({"message": "{"}, ("message", "invalid_template")),
            ({"run_at": "2026-11-22T08:00:00Z"}, ("run_at", "in_the_past")),
            ({"time_zone": "Mars/Olympus"}, ("time_zone", "unknown_time_zone")),
            ({"time_zone": None}, ("time_zone", "null")),
            ({"recurrence": "FREQ=DAILY;UNTIL=20261101T000000Z"}, ("recurrence", "never_fires")),
            ({"queue": "nowhere"}, ("queue", "unknown_queue")),
            ({"from": "+15005550009"}, ("from", "sender_not_allowed")),
            ({"valid_for": None}, ("valid_for", "null")),
            ({"recipients": []}, ("recipients", "min_length")),
            ({"recipients": ["+14155550109", "nobody"]}, ("recipients.1.to", "invalid_number")),
            (
                {"message": "Hi {name}", "recipients": ["+14155550109"]},
                ("recipients.0.name", "missing_variable"),
            ),
        ],
        ids=str,
    )
    def test_an_invalid_change_is_400_and_changes_nothing(self, api, mine, changes, error) -> None:
        schedule = mine()
        before = rows()

        assert errors_of(api("PATCH", f"schedules/{schedule.pk}/", {"name": "Other", **changes})) == {error}

        assert rows() == before

    def test_after_the_first_run_it_is_409(self, api, ran) -> None:
        before = rows()

        for changes in ({"name": "Other"}, {"recipients": ["+14155550109"]}):
            assert_problem(api("PATCH", f"schedules/{ran.pk}/", changes), 409, "schedule_already_ran")

        assert rows() == before


class TestDelete:
    def test_before_the_first_run(self, api, mine) -> None:
        schedule = mine(3)

        response = api("DELETE", f"schedules/{schedule.pk}/")

        assert (response.status_code, response.content) == (204, b"")
        assert rows() == ([], [], [], {})
        assert_problem(api.get(f"schedules/{schedule.pk}/"), 404, "not_found")

    def test_after_the_first_run_it_is_409(self, api, ran) -> None:
        before = rows()

        assert_problem(api("DELETE", f"schedules/{ran.pk}/"), 409, "schedule_already_ran")

        assert rows() == before


class TestPauseAndResume:
    def test_both_answer_with_the_schedule(self, api, mine) -> None:
        path = f"schedules/{mine().pk}/"
        before = api.get(path).json()

        paused = [api.post(f"{path}pause/") for _ in range(2)]
        assert [(answer.status_code, answer.json()) for answer in paused] == [(200, {**before, "status": "paused"})] * 2
        assert tick() == 0

        resumed = [api.post(f"{path}resume/") for _ in range(2)]
        assert [(answer.status_code, answer.json()) for answer in resumed] == [(200, before)] * 2
        assert tick() == 1


class TestCancel:
    def test_it_returns_how_many_messages_were_canceled(self, api, ran) -> None:
        Message.objects.filter(pk=Message.objects.first().pk).update(status="sent")
        before = api.get(f"schedules/{ran.pk}/").json()

        response = api.post(f"schedules/{ran.pk}/cancel/")

        assert response.status_code == 200
        after = {**before, "status": "canceled", "next_run_at": None, "counts": {"sent": 1, "canceled": 2}}
        assert response.json() == {**after, "updated_at": "2026-11-22T10:00:00Z", "canceled": 2}
        assert statuses() == {"sent": 1, "canceled": 2}
        assert api.get(f"schedules/{ran.pk}/preview/").json()["runs"] == []

    def test_the_history_of_its_messages_names_the_user(self, api, ran) -> None:
        api.post(f"schedules/{ran.pk}/cancel/")

        event = api.get(f"messages/{Message.objects.first().pk}/events/").json()[-1]
        assert event == {
            "at": "2026-11-22T10:00:00Z",
            "from": "queued",
            "to": "canceled",
            "source": "api",
            "provider": None,
            "detail": "schedule canceled",
        }

    def test_before_the_first_run_there_is_nothing_to_take_back(self, api, mine) -> None:
        assert api.post(f"schedules/{mine().pk}/cancel/").json()["canceled"] == 0

        assert tick() == 0


@pytest.mark.parametrize(("method", "path", "body"), [write for write in WRITES if write[0] != "DELETE"])
def test_one_that_has_ended_stays_as_it_is(api, mine, method: str, path: str, body) -> None:
    schedule = mine(1)
    api.post(f"schedules/{schedule.pk}/cancel/")
    before = rows()

    assert_problem(api(method, f"schedules/{schedule.pk}/{path}", body), 409, "schedule_ended")

    assert rows() == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_what_is_anothers_does_not_exist(stranger, mine, method: str, path: str, body) -> None:
    schedule = mine(1)
    before = rows()

    assert_problem(stranger(method, f"schedules/{schedule.pk}/{path}", body), 404, "not_found")
    assert_problem(stranger(method, f"schedules/{uuid7()}/{path}", body), 404, "not_found")

    assert rows() == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("group", ["API reader", "API operator"])
def test_one_may_read_and_not_write(member_of, group: str, method: str, path: str, body) -> None:
    member = member_of(group)
    schedule = create(member.user)
    before = rows()

    assert_problem(member(method, f"schedules/{schedule.pk}/{path}", body), 403, "permission_denied")

    assert rows() == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_without_a_token_there_is_nothing(anonymous, mine, method: str, path: str, body) -> None:
    schedule = mine(1)
    before = rows()

    assert_problem(anonymous(method, f"schedules/{schedule.pk}/{path}", body), 401, "not_authenticated")

    assert rows() == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_staff_may_act_for_others(staff, mine, method: str, path: str, body) -> None:
    schedule = mine(recipient_list("+14155550101"))
    before = rows()

    response = staff(method, f"schedules/{schedule.pk}/{path}", body)

    assert response.status_code in {200, 204}
    assert rows() != before or path == "resume/"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", ""),
        ("POST", ""),
        ("GET", "pause/"),
        ("GET", "cancel/"),
        ("GET", "recipients/"),
        ("POST", "runs/"),
        ("POST", "messages/"),
        ("DELETE", "preview/"),
    ],
)
def test_other_methods_are_405(api, mine, method: str, path: str) -> None:
    schedule = mine(1)
    before = rows()

    assert_problem(api(method, f"schedules/{schedule.pk}/{path}", {}), 405, "method_not_allowed")

    assert rows() == before
