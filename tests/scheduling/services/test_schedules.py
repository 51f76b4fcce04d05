"""Creating, changing and canceling schedules."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.contrib.auth.models import Permission, User

from messaging.models import Message, MessageEvent
from messaging.services.errors import EmergencyNotAllowed, InvalidField
from messaging.states import Source
from scheduling import zone_data
from scheduling.models import Schedule, ScheduleRecipient, ScheduleRun
from scheduling.services import schedules
from scheduling.services.errors import AlreadyRan, ScheduleEnded
from tests.factories import MessageFactory, QueueFactory, SenderFactory, UserFactory
from tests.scheduling.making import (
    DUE,
    A,
    B,
    C,
    create,
    due_run,
    expand_all,
    recipient_list,
    recipients_of_messages,
    statuses,
    tick,
)

pytestmark = pytest.mark.usefixtures("express")
HOUR = timedelta(hours=1)


def listed(schedule: Schedule) -> list[tuple[str, dict]]:
    return list(schedule.recipients.order_by("pk").values_list("number", "variables"))


def refused(call, *arguments, **values) -> tuple[str, str]:
    """Return field and code of the `InvalidField` that it raises."""
    with pytest.raises(InvalidField) as caught:
        call(*arguments, **values)
    return caught.value.field, caught.value.field_code


def change(schedule: Schedule, now: datetime, **changes) -> Schedule:
    return schedules.change(schedule_id=schedule.pk, owner=schedule.owner, changes=changes, now=now)


def die_at_the_second_chunk(monkeypatch) -> None:
    chunks = iter([schedules._cancel_chunk])

    def cancel_chunk(*arguments):
        chunk = next(chunks, None)
        if chunk is None:
            raise SystemExit
        return chunk(*arguments)

    monkeypatch.setattr(schedules, "_cancel_chunk", cancel_chunk)


def cancel(schedule: Schedule, now: datetime) -> tuple[Schedule, int]:
    return schedules.cancel(schedule_id=schedule.pk, actor=schedule.owner, now=now, source=Source.API)


class TestCreate:
    def test_everything_in_the_plan_is_stored(self, owner, now) -> None:
        QueueFactory(name="bulk")
        SenderFactory(number="+15005550007", owner=owner)
        ada = {"name": "Ada", "time": "10:00"}

        made = create(
            owner,
            recipient_list((A, ada), (B, {**ada, "name": "Bob"})),
            name="Visit",
            text="Hi {name}, see you at {time}",
            run_at=datetime.fromisoformat("2026-12-01T09:00"),
            time_zone="Europe/Berlin",
            recurrence="FREQ=DAILY;COUNT=4",
            queue="bulk",
            sender="+15005550007",
            valid_for=900,
            category="marketing",
            parameters={"template_id": "1107"},
        )

        assert Schedule.objects.values().get() == {
            "id": made.pk,
            "owner_id": owner.pk,
            "name": "Visit",
            "text": "Hi {name}, see you at {time}",
            "queue_id": "bulk",
            "from_number": "+15005550007",
            "missed": "latest",
            "category": "marketing",
            "parameters": {"template_id": "1107"},
            "valid_for": 900,
            "time_zone": "Europe/Berlin",
            "recurrence": "RRULE:FREQ=DAILY;COUNT=4",
            "start_wall": "2026-12-01T09:00:00",
            "start_moment": None,
            "cancel_lease_until": None,
            "canceled_by_id": None,
            "left_out_dates": "",
            "language": "",
            "template_id": None,
            "added_dates": "",
            "holidays": "",
            "last_wall": "",
            "last_added_wall": "",
            "occurrences": 0,
            "next_wall": "2026-12-01T09:00:00",
            "next_run_at": datetime(2026, 12, 1, 8, 0, tzinfo=UTC),
            "status": "active",
            "zone_release": zone_data.RELEASE,
            "moved_from": None,
            "recipient_count": 2,
            "created_at": now,
            "updated_at": now,
        }
        assert listed(made) == [(A, ada), (B, {**ada, "name": "Bob"})]
        assert not ScheduleRun.objects.exists()
        assert not Message.objects.exists()

    def test_repeated_recipients_are_kept_once_where_they_stood_first(self, owner) -> None:
        made = create(
            owner,
            recipient_list((A, {"name": "first"}), (B, {"name": "b"}), (A, {"name": "again"}), (C, {"name": "c"})),
            text="Hi {name}",
        )

        assert listed(made) == [(A, {"name": "first"}), (B, {"name": "b"}), (C, {"name": "c"})]
        assert made.recipient_count == 3

    def test_the_default_queue_and_the_default_sender_are_taken(self, owner) -> None:
        SenderFactory(number="+15005550001", is_default=True)

        shared = create(owner)
        SenderFactory(number="+15005550002", owner=owner, is_default=True)
        own = create(owner)

        assert (shared.queue_id, shared.from_number) == ("express", "+15005550001")
        assert own.from_number == "+15005550002"

    def test_without_any_sender_it_is_left_to_the_account(self, owner) -> None:
        assert create(owner).from_number == ""

    def test_a_wall_time_is_read_in_its_zone(self, owner) -> None:
        made = create(owner, run_at=datetime.fromisoformat("2026-12-01T09:00"), time_zone="America/New_York")

        assert made.next_run_at == datetime(2026, 12, 1, 14, 0, tzinfo=UTC)
        assert made.start_wall == "2026-12-01T09:00:00"

    def test_a_time_with_an_offset_is_converted_to_wall_time_in_the_zone(self, owner) -> None:
        moment = datetime(2026, 12, 1, 9, 0, tzinfo=timezone(timedelta(hours=-5)))

        made = create(owner, run_at=moment, time_zone="Europe/Berlin")

        assert made.next_run_at == datetime(2026, 12, 1, 14, 0, tzinfo=UTC)
        assert made.start_wall == "2026-12-01T15:00:00"

    @pytest.mark.parametrize(("offset", "utc_hour"), [(2, 0), (1, 1)], ids=["first", "second"])
    def test_an_offset_names_which_of_two_equal_wall_times_is_meant(self, owner, offset: int, utc_hour: int) -> None:
        moment = datetime(2027, 10, 31, 2, 30, tzinfo=timezone(timedelta(hours=offset)))

        made = create(owner, run_at=moment, time_zone="Europe/Berlin")

        assert made.next_run_at == datetime(2027, 10, 31, utc_hour, 30, tzinfo=UTC)
        assert made.start_wall == "2027-10-31T02:30:00"

    def test_of_two_equal_wall_times_without_an_offset_the_first_is_meant(self, owner) -> None:
        made = create(owner, run_at=datetime.fromisoformat("2027-10-31T02:30"), time_zone="Europe/Berlin")

        assert made.next_run_at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)

    def test_a_wall_time_that_clocks_skip_is_the_end_of_the_gap(self, owner) -> None:
        made = create(owner, run_at=datetime.fromisoformat("2027-03-28T02:30"), time_zone="Europe/Berlin")

        assert made.next_run_at == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)

    def test_the_first_run_is_where_the_recurrence_first_falls(self, owner) -> None:
        made = create(owner, run_at=datetime.fromisoformat("2026-12-01T09:00"), recurrence="RRULE:FREQ=WEEKLY;BYDAY=MO")

        assert made.start_wall == "2026-12-01T09:00:00"
        assert made.next_wall == "2026-12-07T09:00:00"
        assert made.next_run_at == datetime(2026, 12, 7, 9, 0, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            ({"text": "Hi {name}"}, ("recipients.0.name", "missing_variable")),
            ({"text": "Hi {name"}, ("message", "invalid_template")),
            ({"text": "x" * 1531}, ("recipients.0.message", "too_long")),
            ({"time_zone": "Mars/Olympus"}, ("time_zone", "unknown_time_zone")),
            ({"time_zone": "CEST"}, ("time_zone", "unknown_time_zone")),
            ({"time_zone": "europe/berlin"}, ("time_zone", "unknown_time_zone")),
            ({"run_at": DUE - HOUR}, ("run_at", "in_the_past")),
            (
                {"run_at": datetime.fromisoformat("2026-11-22T09:59"), "time_zone": "Europe/Berlin"},
                ("run_at", "in_the_past"),
            ),
            ({"run_at": datetime.fromisoformat("0001-01-01T00:00+01:00")}, ("run_at", "invalid")),
            ({"recurrence": "FREQ=DAILY;UNTIL=20261101T000000Z"}, ("recurrence", "never_fires")),
            ({"recurrence": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, ("recurrence", "never_fires")),
            ({"queue": "nowhere"}, ("queue", "unknown_queue")),
            ({"sender": "+15005550009"}, ("from", "sender_not_allowed")),
        ],
        ids=str,
    )
    def test_invalid_input_is_refused_and_nothing_is_stored(self, owner, values, error) -> None:
        SenderFactory(number="+15005550009", owner=UserFactory())

        assert refused(create, owner, **values) == error

        assert not Schedule.objects.exists()
        assert not ScheduleRecipient.objects.exists()

    def test_with_one_invalid_recipient_nothing_is_stored(self, owner) -> None:
        mixed = recipient_list((A, {"name": "Ada"}), (B, {"nom": "Bob"}))

        assert refused(create, owner, mixed, text="Hi {name}") == ("recipients.1.name", "missing_variable")

        assert not Schedule.objects.exists()
        assert not ScheduleRecipient.objects.exists()

    @pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=0", "every monday", "FREQ=DAILY;COUNT=x"])
    def test_a_recurrence_that_is_none_is_refused(self, owner, rule: str) -> None:
        field, _ = refused(create, owner, recurrence=rule)

        assert field == "recurrence"
        assert not Schedule.objects.exists()


class TestChange:
    def test_it_can_be_rescheduled_before_it_has_run(self, owner, now) -> None:
        schedule = create(owner)

        change(
            schedule,
            now,
            run_at=datetime.fromisoformat("2026-12-01T09:00"),
            time_zone="Europe/Berlin",
            recurrence="FREQ=DAILY",
        )

        schedule.refresh_from_db()
        assert (schedule.time_zone, schedule.recurrence) == ("Europe/Berlin", "RRULE:FREQ=DAILY")
        assert (schedule.start_wall, schedule.next_wall) == ("2026-12-01T09:00:00", "2026-12-01T09:00:00")
        assert schedule.next_run_at == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
        assert tick(DUE) == 0

    def test_a_new_zone_keeps_the_wall_time(self, owner, now) -> None:
        schedule = create(owner, run_at=datetime.fromisoformat("2026-12-01T09:00"), time_zone="Europe/Berlin")

        change(schedule, now, time_zone="America/New_York")

        schedule.refresh_from_db()
        assert schedule.start_wall == "2026-12-01T09:00:00"
        assert schedule.next_run_at == datetime(2026, 12, 1, 14, 0, tzinfo=UTC)

    def test_a_new_zone_keeps_the_utc_time_of_a_start_with_an_offset(self, owner, now) -> None:
        schedule = create(owner, run_at=datetime.fromisoformat("2026-12-01T09:00+01:00"), time_zone="Europe/Berlin")

        change(schedule, now, time_zone="Asia/Tokyo")

        schedule.refresh_from_db()
        assert schedule.start_wall == "2026-12-01T17:00:00"
        assert schedule.next_run_at == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)

    def test_the_second_of_two_equal_hours_stays_it_with_another_recurrence(self, owner, now) -> None:
        second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 2:30 in Berlin, for the second time
        schedule = create(owner, run_at=second, time_zone="Europe/Berlin", now=second - HOUR)

        change(schedule, second - HOUR, recurrence="FREQ=DAILY")

        assert Schedule.objects.get().next_run_at == second

    def test_a_recurrence_can_be_removed(self, owner, now) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY")

        change(schedule, now, recurrence=None)

        schedule.refresh_from_db()
        assert (schedule.recurrence, schedule.next_run_at) == ("", DUE)

    def test_every_other_field_can_be_changed(self, owner, now) -> None:
        QueueFactory(name="bulk")
        SenderFactory(number="+15005550007", owner=owner)
        schedule = create(owner)
        later = now + timedelta(minutes=5)

        change(schedule, later, name="Other", text="Bye", queue="bulk", sender="+15005550007", valid_for=60)

        schedule.refresh_from_db()
        assert (schedule.name, schedule.text, schedule.queue_id) == ("Other", "Bye", "bulk")
        assert (schedule.from_number, schedule.valid_for, schedule.updated_at) == ("+15005550007", 60, later)
        assert (schedule.next_run_at, schedule.created_at) == (DUE, now)

    @pytest.mark.parametrize(
        ("category", "changes"),
        [
            ("transactional", {"category": "emergency"}),
            ("emergency", {"text": "All clear"}),
            ("emergency", {"recipients": recipient_list(B)}),
        ],
        ids=["made an emergency", "text", "recipients"],
    )
    def test_staff_without_the_permission_change_no_emergency_of_another(self, owner, now, category, changes) -> None:
        permission = Permission.objects.get(codename="send_emergency")
        owner.user_permissions.add(permission)
        schedule, colleague = create(owner, recipient_list(A), category=category), UserFactory()
        before = Schedule.objects.values().get()

        def change_as(actor: User) -> Schedule:
            return schedules.change(schedule_id=schedule.pk, owner=owner, changes=changes, now=now, actor=actor)

        with pytest.raises(EmergencyNotAllowed):
            change_as(colleague)
        assert Schedule.objects.values().get() == before
        assert listed(schedule) == [(A, {})]

        colleague.user_permissions.add(permission)
        assert change_as(User.objects.get(pk=colleague.pk)).category == "emergency"

    def test_a_new_text_is_checked_for_all_recipients(self, owner, now) -> None:
        schedule = create(owner, recipient_list((A, {"name": "Ada"}), (B, {"name": "Bob", "time": "10:00"})))

        change(schedule, now, text="Hi {name}")
        before = Schedule.objects.values().get()

        assert refused(change, schedule, now, text="At {time}", name="Late") == ("message", "missing_variable")
        assert Schedule.objects.values().get() == before
        assert before["text"] == "Hi {name}"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"text": "Hi {"}, "message"),
            ({"text": "x" * 1531}, "message"),
            ({"run_at": DUE - 2 * HOUR}, "run_at"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"recurrence": "FREQ=DAILY;UNTIL=20200101T000000Z"}, "recurrence"),
            ({"queue": "nowhere"}, "queue"),
            ({"sender": "+15005550009"}, "from"),
        ],
        ids=str,
    )
    def test_an_invalid_change_changes_nothing(self, owner, now, changes, field: str) -> None:
        schedule = create(owner)
        before = Schedule.objects.values().get()

        assert refused(change, schedule, now, name="Other", **changes)[0] == field

        assert Schedule.objects.values().get() == before

    def test_once_it_has_run_it_stays_as_it_is(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY")
        tick(DUE)
        before = Schedule.objects.values().get()

        with pytest.raises(AlreadyRan):
            change(schedule, DUE, name="Other", run_at=DUE + HOUR)

        assert Schedule.objects.values().get() == before

    def test_runs_that_were_missed_are_none(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY;COUNT=3")
        late = DUE + 2 * HOUR
        tick(late)
        assert ScheduleRun.objects.get().status == "missed"

        change(schedule, late, text="Other", run_at=late + HOUR)

        schedule.refresh_from_db()
        assert (schedule.text, schedule.next_run_at, schedule.occurrences) == ("Other", late + HOUR, 0)
        assert sum(tick(late + HOUR + day * 24 * HOUR) for day in range(5)) == 3

    def test_a_paused_one_can_be_changed_and_stays_paused(self, owner, now) -> None:
        schedule = create(owner)
        schedules.pause(schedule_id=schedule.pk, now=now)

        assert change(schedule, now, run_at=DUE + HOUR).status == "paused"

        assert Schedule.objects.get().next_run_at == DUE + HOUR


class TestPauseAndResume:
    def test_a_paused_one_keeps_its_time_and_starts_when_it_is_resumed(self, owner, now) -> None:
        schedule = create(owner)

        assert schedules.pause(schedule_id=schedule.pk, now=now).status == "paused"
        assert tick(DUE) == 0
        assert Schedule.objects.get().next_run_at == DUE
        assert schedules.resume(schedule_id=schedule.pk, now=DUE).status == "active"

        assert tick(DUE) == 1

    def test_twice_is_the_same_as_once(self, owner, now) -> None:
        schedule = create(owner)

        assert [schedules.resume(schedule_id=schedule.pk, now=now).status for _ in range(2)] == ["active"] * 2
        assert [schedules.pause(schedule_id=schedule.pk, now=now).status for _ in range(2)] == ["paused"] * 2

    def test_a_run_that_is_being_expanded_continues_during_a_pause(self, owner) -> None:
        run = due_run(owner, 3, recurrence="FREQ=DAILY")

        schedules.pause(schedule_id=run.schedule_id, now=DUE)

        assert expand_all() == 3


class TestCancel:
    def test_it_ends_and_nothing_runs_any_more(self, owner, now) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY")

        ended, canceled = cancel(schedule, now)

        assert (ended.status, ended.next_run_at, canceled) == ("canceled", None, 0)
        schedule.refresh_from_db()
        assert (schedule.status, schedule.next_run_at, schedule.next_wall) == ("canceled", None, "")
        assert tick(DUE) == 0
        assert not ScheduleRun.objects.exists()

    def test_its_unsent_messages_are_canceled_and_counted(self, owner) -> None:
        run = due_run(owner, 5, recurrence="FREQ=DAILY")
        expand_all()
        sent, unknown, deferred, *_ = Message.objects.order_by("pk")
        Message.objects.filter(pk=sent.pk).update(status="sent")
        Message.objects.filter(pk=unknown.pk).update(status="unknown")
        Message.objects.filter(pk=deferred.pk).update(next_attempt_at=DUE + HOUR)
        MessageFactory(owner=owner)

        _, canceled = cancel(run.schedule, DUE)

        assert canceled == 3
        assert statuses() == {"sent": 1, "unknown": 1, "canceled": 3, "queued": 1}
        deferred.refresh_from_db()
        assert (deferred.status, deferred.next_attempt_at) == ("canceled", None)
        event = deferred.events.get(to_status="canceled")
        assert (event.from_status, event.source, event.actor, event.detail) == (
            "queued",
            "api",
            owner,
            "schedule canceled",
        )

    def test_more_than_one_chunk_is_canceled(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(schedules, "CANCEL_CHUNK", 3)
        run = due_run(owner, 9, recurrence="FREQ=DAILY")
        expand_all()

        assert cancel(run.schedule, DUE)[1] == 9

        assert statuses() == {"canceled": 9}
        assert MessageEvent.objects.filter(to_status="canceled").count() == 9

    def test_a_completed_one_is_canceled_as_long_as_messages_of_it_wait(self, owner) -> None:
        schedule = due_run(owner, 3).schedule
        expand_all()
        schedule.refresh_from_db()
        assert schedule.status == "completed"
        assert schedules.is_cancelable(schedule)

        ended, canceled = cancel(schedule, DUE)

        assert (ended.status, canceled) == ("canceled", 3)
        assert statuses() == {"canceled": 3}
        assert not schedules.is_cancelable(ended)

    def test_the_tick_resumes_a_cancel_whose_process_died(self, owner, monkeypatch, caplog) -> None:
        monkeypatch.setattr(schedules, "CANCEL_CHUNK", 3)
        schedule = due_run(owner, 9, recurrence="FREQ=DAILY").schedule
        expand_all()
        with monkeypatch.context() as dying:
            die_at_the_second_chunk(dying)
            with pytest.raises(SystemExit):
                cancel(schedule, DUE)
        assert statuses() == {"canceled": 3, "queued": 6}

        assert schedules.finish_cancels(clock=lambda: DUE) == 0
        over = DUE + timedelta(minutes=2)
        assert schedules.finish_cancels(clock=lambda: over) == 6
        assert schedules.finish_cancels(clock=lambda: over + HOUR) == 0

        assert statuses() == {"canceled": 9}
        assert caplog.messages == [f"the cancel of schedule {schedule.pk} was interrupted; resuming it"]
        last = MessageEvent.objects.filter(to_status="canceled").order_by("pk").last()
        assert (last.actor, last.source) == (owner, "sweep")

    def test_an_interrupted_cancel_can_be_requested_again(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(schedules, "CANCEL_CHUNK", 3)
        schedule = due_run(owner, 9).schedule
        expand_all()
        with monkeypatch.context() as dying:
            die_at_the_second_chunk(dying)
            with pytest.raises(SystemExit):
                cancel(schedule, DUE)

        assert cancel(schedule, DUE)[1] == 6

        assert Schedule.objects.get().cancel_lease_until is None

    def test_a_run_that_has_not_begun_makes_nothing(self, owner) -> None:
        run = due_run(owner, 5)

        cancel(run.schedule, DUE)

        assert expand_all() == 0
        run.refresh_from_db()
        assert (run.status, run.finished_at, run.detail) == ("skipped", DUE, "canceled after 0 messages")
        assert recipients_of_messages() == []


class TestDelete:
    def test_before_the_first_run_it_is_deleted(self, owner) -> None:
        schedule = create(owner, 3)
        other = create(owner, 2)

        schedules.delete(schedule_id=schedule.pk)

        assert Schedule.objects.get() == other
        assert ScheduleRecipient.objects.count() == 2

    @pytest.mark.parametrize("lateness", [0, 2], ids=["run", "missed"])
    def test_after_it_only_a_cancel_is_possible(self, owner, lateness: int) -> None:
        schedule = create(owner, 3, recurrence="FREQ=DAILY")
        tick(DUE + lateness * HOUR)

        with pytest.raises(AlreadyRan):
            schedules.delete(schedule_id=schedule.pk)

        assert schedule.recipients.count() == 3
        assert schedule.runs.count() == 1


@pytest.mark.parametrize("ending", ["canceled", "completed"])
@pytest.mark.parametrize("action", [schedules.pause, schedules.resume])
def test_an_ended_schedule_cannot_be_paused_or_resumed(owner, now, ending: str, action) -> None:
    schedule = ended(owner, ending)
    before = Schedule.objects.values().get()

    with pytest.raises(ScheduleEnded):
        action(schedule_id=schedule.pk, now=now)

    assert Schedule.objects.values().get() == before


@pytest.mark.parametrize("ending", ["canceled", "completed"])
def test_an_ended_schedule_cannot_be_canceled_or_changed(owner, now, ending: str) -> None:
    schedule = ended(owner, ending)
    Message.objects.update(status="sent")
    before, messages = Schedule.objects.values().get(), statuses()

    with pytest.raises(ScheduleEnded):
        cancel(schedule, DUE)
    with pytest.raises(ScheduleEnded):
        change(schedule, DUE, name="Other")

    assert Schedule.objects.values().get() == before
    assert statuses() == messages


def ended(owner, ending: str) -> Schedule:
    schedule = create(owner)
    if ending == "canceled":
        cancel(schedule, DUE)
    else:
        tick(DUE)
        expand_all()
    schedule.refresh_from_db()
    assert schedule.status == ending
    return schedule
