"""Expanding a run in chunks: each recipient gets one message, also after a crash."""

import itertools
import threading
from datetime import timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.categories import Priority
from messaging.models import BudgetCharge, Message, Suppression
from messaging.services import transitions
from messaging.services.costs import budget_changes, budgets
from messaging.services.errors import RecipientInactive
from messaging.services.outbound import bulk_insert, eligibility
from messaging.services.outbound.eligibility import Check, Moment
from messaging.services.reporting import statistics
from messaging.states import Source, Status
from scheduling import tasks
from scheduling.models import Schedule, ScheduleRecipient, ScheduleRun
from scheduling.services import expansion, recipients, schedules
from tests.database_faults import passing_faults
from tests.factories import HoursRuleFactory, PhoneNumberFactory, QueueFactory, SenderFactory, UserFactory, lose_the_key
from tests.messaging.parallel import at_once
from tests.scheduling.making import (
    DUE,
    A,
    B,
    create,
    due_run,
    expand_all,
    numbers,
    recipient_list,
    recipients_of_messages,
    statuses,
    tick,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND = timedelta(seconds=1)


class Crash(Exception):
    pass


@pytest.fixture
def chunk(monkeypatch):
    """Sets how many recipients a chunk has."""

    def make(size: int) -> None:
        monkeypatch.setattr(bulk_insert, "batch_size", lambda: size)

    return make


def expand(run: ScheduleRun, **options) -> int:
    return expansion.expand(run.pk, **{"clock": lambda: DUE, **options})


def cancel(run: ScheduleRun, **values) -> int:
    actor = run.schedule.owner
    return schedules.cancel(schedule_id=run.schedule_id, actor=actor, now=DUE, source=Source.API, **values)[1]


class TestHours:
    def test_each_message_of_a_campaign_waits_for_the_hour_of_its_recipient(self, owner, chunk) -> None:
        chunk(2)
        HoursRuleFactory(id="day")  # at 09:00 UTC it is day in Berlin and night in California
        run = due_run(owner, recipient_list("+14155550101", "+4915112345678", "+14155550102", "+33612345678"))
        Schedule.objects.update(category="marketing", valid_for=900)

        assert expand(run, clock=lambda: DUE) == 4

        found = Message.objects.order_by("to_number").values_list(
            "to_number", "status", "next_attempt_at", "error_code", "expires_at"
        )
        local = DUE.astimezone(ZoneInfo("America/Los_Angeles"))
        opens = local.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=local.hour >= 21)
        held = ("queued", opens, "outside_hours", opens + timedelta(seconds=900))
        ready = ("queued", None, "", DUE + timedelta(seconds=900))
        assert list(found) == [
            ("+14155550101", *held),
            ("+14155550102", *held),
            ("+33612345678", *ready),
            ("+4915112345678", *ready),
        ]
        detail = f"Held until 08:00 America/Los_Angeles ({opens.day} {opens:%b}): marketing hours, rule day."
        assert set(Message.objects.exclude(error_detail="").values_list("error_detail", flat=True)) == {detail}
        run.refresh_from_db()
        assert (run.created_messages, run.skipped_invalid) == (4, 0)


class TestBudgets:
    def test_recipients_without_room_are_left_out_and_counted(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, recipient_list(*numbers(7)))
        day = budget_changes.create(owner=owner, country="", period="day", limit=Decimal(5), currency="", now=DUE)

        assert expand(run) == 5

        run.refresh_from_db()
        assert (run.created_messages, run.skipped_over_budget, run.skipped_invalid) == (5, 2, 0)
        assert budgets.used_now([day], now=DUE) == {day.pk: 5}
        charged = set(BudgetCharge.objects.values_list("message_id", flat=True))
        assert charged == set(Message.objects.values_list("pk", flat=True))

    def test_a_chunk_that_fails_takes_nothing(self, owner, monkeypatch) -> None:
        run = due_run(owner, recipient_list(*numbers(3)))
        day = budget_changes.create(owner=owner, country="", period="day", limit=Decimal(5), currency="", now=DUE)

        def fail(*_args, **_options) -> None:
            raise Crash

        with monkeypatch.context() as patched:
            patched.setattr(expansion.bulk_insert, "store", fail)
            with pytest.raises(Crash):
                expand(run)
        assert budgets.used_now([day], now=DUE) == {day.pk: 0}
        ScheduleRun.objects.update(lease_until=None)

        assert expand(run) == 3
        assert budgets.used_now([day], now=DUE) == {day.pk: 3}


class TestMessages:
    def test_a_message_has_everything_of_its_schedule(self, owner) -> None:
        run = due_run(owner, recipient_list((A, {"name": "Ada"})), text="Hi {name}", valid_for=900)
        Schedule.objects.update(category="marketing", parameters={"entity_id": "1"})
        now = DUE + SECOND

        assert expand(run, clock=lambda: now) == 1

        message = Message.objects.get()
        assert Message.objects.values().get() == {
            "id": message.pk,
            "direction": "outbound",
            "status": "queued",
            "owner_id": owner.pk,
            "queue_id": "express",
            "schedule_id": run.schedule_id,
            "run_id": run.pk,
            "is_bulk": True,
            "category": "marketing",
            "priority": 2,
            "parameters": {"entity_id": "1"},
            "template_id": None,
            "template_version": None,
            "verification_id": None,
            "from_number": "",
            "to_number": A,
            "text": "Hi Ada",
            "encoding": "gsm7",
            "segments": 1,
            "reference": "",
            "callback_url": "",
            "callback_dialect": "",
            "media_count": 0,
            "is_automatic": False,
            "provider_keyword": "",
            "provider_id": None,
            "provider_message_id": "",
            "attempts": 0,
            "rounds_failed": 0,
            "error_code": "",
            "error_detail": "",
            "erased_at": None,
            "send_at": None,
            "valid_for": 900,
            "expires_at": now + timedelta(seconds=900),
            "next_attempt_at": None,
            "cancel_requested": False,
            "claim_id": None,
            "lease_until": None,
            "created_at": now,
            "received_at": None,
            "keyword_read_at": None,
            "pending_reply": "",
            "sent_at": None,
            "delivered_at": None,
            "updated_at": now,
        }
        [event] = transitions.history(message)
        assert (event.at, event.from_status, event.to_status, event.source, event.actor) == (
            now,
            "",
            "queued",
            "schedule",
            None,
        )

    def test_each_text_is_measured_for_itself(self, owner) -> None:
        run = due_run(owner, recipient_list((A, {"name": "Ada"}), (B, {"name": "Ж" * 70})), text="{name}!")

        expand(run)

        found = Message.objects.order_by("pk").values_list("text", "encoding", "segments")
        assert list(found) == [("Ada!", "gsm7", 1), ("Ж" * 70 + "!", "ucs2", 2)]

    def test_they_are_made_in_the_order_of_the_list(self, owner, chunk) -> None:
        chunk(4)
        run = due_run(owner, recipient_list(*reversed(numbers(10))))

        expand(run)

        assert recipients_of_messages() == numbers(10)[::-1]

    def test_only_a_queue_without_a_pace_has_bulk_messages(self, owner) -> None:
        QueueFactory(paced=True)

        expand(due_run(owner, queue="express"))
        expand(due_run(owner, queue="paced"))

        found = Message.objects.order_by("pk").values_list("queue_id", "is_bulk")
        assert list(found) == [("express", True), ("paced", False)]

    @pytest.mark.parametrize("category", ["otp", "emergency", "marketing"])
    def test_no_message_of_a_run_goes_before_single_ones_in_a_queue_with_a_pace(self, owner, category: str) -> None:
        QueueFactory(paced=True)
        run = due_run(owner, queue="paced")
        Schedule.objects.update(category=category)

        expand(run)

        assert Message.objects.get().priority == Priority.NORMAL

    def test_inactive_numbers_are_skipped_and_counted(self, owner, chunk) -> None:
        chunk(2)
        PhoneNumberFactory(number=numbers(5)[1], inactive=True)
        PhoneNumberFactory(number=numbers(5)[4], inactive=True)
        PhoneNumberFactory(number=numbers(5)[0])
        run = due_run(owner, 5)

        assert expand(run) == 3

        run.refresh_from_db()
        assert (run.created_messages, run.skipped_inactive, run.skipped_invalid) == (3, 2, 0)
        assert recipients_of_messages() == [numbers(5)[i] for i in (0, 2, 3)]

    @pytest.mark.parametrize("sender", [None, "+15005550006"])
    def test_opted_out_recipients_are_skipped_and_counted(self, owner, sender: str | None) -> None:
        SenderFactory(number="+15005550006")
        SenderFactory(number="+15005550007")
        for number, refused in zip(numbers(3), ("", "+15005550006", "+15005550007"), strict=True):
            Suppression.objects.create(number=number, sender=refused, source="keyword", created_at=DUE)
        run = due_run(owner, 4, sender=sender)

        expand(run)

        # A suppression for one sender number does not apply to a schedule without a sender number.
        left = numbers(4)[2:] if sender else numbers(4)[1:]
        run.refresh_from_db()
        assert (run.created_messages, run.skipped_opted_out, run.skipped_inactive) == (len(left), 4 - len(left), 0)
        assert recipients_of_messages() == left

    def test_any_other_refused_recipient_is_skipped_and_counted(self, owner, monkeypatch) -> None:
        budget = Check(
            code="budget_exceeded",
            detail="The month's budget is spent.",
            moments=frozenset({Moment.ACCEPT}),
            applies=lambda message, _batch: message.owner_id == owner.pk and message.to_number in numbers(2),
            error=RecipientInactive,
        )
        monkeypatch.setattr(eligibility, "CHECKS", (*eligibility.CHECKS, budget))
        run = due_run(owner, 3)

        assert expand(run) == 1

        run.refresh_from_db()
        assert (run.created_messages, run.skipped_invalid) == (1, 2)
        assert recipients_of_messages() == numbers(3)[2:]

    def test_a_text_that_cannot_be_rendered_is_skipped_and_counted(self, owner) -> None:
        run = due_run(owner, recipient_list((A, {"name": "Ada"}), (B, {"name": "Bob"})), text="Hi {name}")
        run.schedule.recipients.filter(number=A).update(variables={})

        assert expand(run) == 1

        run.refresh_from_db()
        assert (run.created_messages, run.skipped_inactive, run.skipped_invalid) == (1, 0, 1)
        assert recipients_of_messages() == [B]

    def test_a_list_that_is_empty_is_done_at_once(self, owner) -> None:
        run = due_run(owner, 0)

        assert expand(run) == 0

        run.refresh_from_db()
        assert (run.status, run.created_messages, run.finished_at) == ("done", 0, DUE)


class TestChunks:
    def test_a_run_is_expanded_chunk_by_chunk_to_its_end(self, owner, chunk) -> None:
        chunk(4)
        run = due_run(owner, 10)
        told, seen = [], []

        def after_chunk(queue: str) -> None:
            told.append(queue)
            seen.append(ScheduleRun.objects.values_list("status", "created_messages").get())

        assert expand(run, after_chunk=after_chunk) == 10

        assert told == ["express"] * 3
        assert seen == [("expanding", 4), ("expanding", 8), ("expanding", 10)]
        run.refresh_from_db()
        assert (run.status, run.created_messages, run.lease_until) == ("done", 10, None)
        assert (run.started_at, run.finished_at) == (DUE, DUE)
        assert recipients_of_messages() == numbers(10)

    def test_each_chunk_carries_its_own_time(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, 4)
        moments = iter([DUE, DUE + SECOND, DUE + 2 * SECOND, DUE + 3 * SECOND])

        expand(run, clock=lambda: next(moments))

        created = Message.objects.order_by("pk").values_list("created_at", flat=True)
        assert list(created) == [DUE + SECOND] * 2 + [DUE + 2 * SECOND] * 2
        run.refresh_from_db()
        assert (run.started_at, run.finished_at) == (DUE + SECOND, DUE + 3 * SECOND)

    def test_after_a_crash_the_chunk_is_rolled_back_and_the_next_worker_continues(
        self, owner, chunk, monkeypatch
    ) -> None:
        chunk(4)
        run = due_run(owner, 10)
        with monkeypatch.context() as patched:
            store, calls = expansion.bulk_insert.store, []

            def crash(*args, **options) -> int:
                made = store(*args, **options)
                calls.append(1)
                if len(calls) == 2:
                    raise Crash
                return made

            patched.setattr(expansion.bulk_insert, "store", crash)
            with pytest.raises(Crash):
                expand(run)

        assert recipients_of_messages() == numbers(10)[:4]
        assert statistics.current()[Status.QUEUED] == 4
        run.refresh_from_db()
        assert (run.status, run.created_messages) == ("expanding", 4)
        assert run.cursor == run.schedule.recipients.get(number=numbers(10)[3]).pk

        assert expand(run, clock=lambda: DUE + expansion.LEASE) == 6

        assert recipients_of_messages() == numbers(10)
        assert statistics.current()[Status.QUEUED] == 10

    def test_recipients_added_meanwhile_get_the_message_too(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, recipient_list(*numbers(6)[:4]))
        late = iter([recipient_list(*numbers(6)[4:])])

        def add(_queue: str) -> None:
            for rows in late:
                recipients.add(schedule_id=run.schedule_id, rows=rows, now=DUE)

        assert expand(run, after_chunk=add) == 6

        assert recipients_of_messages() == numbers(6)

    def test_a_worker_that_is_to_stop_ends_after_its_chunk_and_leaves_the_run_free(self, owner, chunk) -> None:
        chunk(4)
        run = due_run(owner, 10)
        answers = iter([False, True])

        assert expand(run, stopping=lambda: next(answers)) == 4

        run.refresh_from_db()
        assert (run.status, run.lease_until) == ("expanding", None)
        assert expansion.unfinished(now=DUE) == [run.pk]
        assert expand(run) == 6
        assert recipients_of_messages() == numbers(10)

    def test_a_chunk_costs_the_same_number_of_queries_for_5_and_for_20(self, owner) -> None:
        expansion.expand_chunk(due_run(owner, 2).pk, now=DUE)
        costs = []
        for count in (5, 20):
            run = due_run(owner, count)
            with CaptureQueriesContext(connection) as queries:
                assert expansion.expand_chunk(run.pk, now=DUE) == (count, "express")
            costs.append(len(queries))
            expand(run)

        assert costs[0] == costs[1]


class TestOnce:
    def test_a_run_that_is_done_makes_nothing_more(self, owner) -> None:
        run = due_run(owner, 3)

        assert [expand(run) for _ in range(3)] == [3, 0, 0]
        assert expansion.expand_chunk(run.pk, now=DUE) == (0, None)

        assert recipients_of_messages() == numbers(3)

    def test_the_database_refuses_a_second_message_of_a_run_to_one_recipient(self, owner) -> None:
        run = due_run(owner, 3, recurrence="FREQ=DAILY")
        expand(run)
        ScheduleRun.objects.update(status="expanding", cursor=0)

        with pytest.raises(IntegrityError, match=r"message_once_per_run_and_recipient|run_id"):
            expand(run)

        assert recipients_of_messages() == numbers(3)

    def test_each_run_of_a_recurring_schedule_writes_to_all_recipients(self, owner) -> None:
        create(owner, 2, recurrence="FREQ=DAILY;COUNT=2")
        for day in range(2):
            tick(DUE + timedelta(days=day))
            expand_all(DUE + timedelta(days=day))

        assert recipients_of_messages() == numbers(2) * 2
        assert Message.objects.values("run_id").distinct().count() == 2

    @pytest.mark.parametrize("status", ["done", "missed", "skipped"])
    def test_only_an_unfinished_run_is_expanded(self, owner, status: str) -> None:
        run = due_run(owner, 3)
        ScheduleRun.objects.update(status=status)

        assert expansion.unfinished(now=DUE) == []
        assert expand(run) == 0

        assert not Message.objects.exists()
        assert ScheduleRun.objects.get().lease_until is None

    @pytest.mark.parametrize("what", ["text", "variables"])
    def test_a_run_that_cannot_be_opened_waits_for_its_key_and_no_other_waits_for_it(self, owner, what: str) -> None:
        lost = due_run(owner, recipient_list((A, {"name": "Ada"})), text="Hi {name}")
        lose_the_key(*((lost.schedule,) if what == "text" else (ScheduleRecipient.objects.get(), "variables")))
        due_run(owner, recipient_list((B, {"name": "Bob"})), text="Hi {name}")

        assert expand_all() == 1

        assert recipients_of_messages() == [B]
        run = ScheduleRun.objects.get(pk=lost.pk)
        assert (run.status, run.cursor, run.lease_until) == ("pending", 0, DUE + expansion.LEASE)
        Schedule.objects.filter(pk=lost.schedule_id).update(text="Hi {name}")
        ScheduleRecipient.objects.filter(schedule=lost.schedule_id).update(variables={"name": "Ada"})
        assert expand_all(DUE + expansion.LEASE) == 1
        assert recipients_of_messages() == [B, A]

    def test_a_run_that_does_not_exist_makes_nothing(self) -> None:
        assert expansion.expand(uuid7()) == 0


class TestLease:
    def test_a_second_worker_does_nothing(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, 4)
        others: list[int] = []

        expand(run, after_chunk=lambda _queue: others.append(expand(run)))

        assert others == [0, 0]
        assert recipients_of_messages() == numbers(4)

    def test_a_run_under_a_lease_is_not_on_the_list(self, owner) -> None:
        run = due_run(owner)
        ScheduleRun.objects.update(lease_until=DUE + SECOND)

        assert expansion.unfinished(now=DUE) == []
        assert expansion.unfinished(now=DUE + SECOND) == [run.pk]

    def test_the_lease_is_prolonged_with_every_chunk(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, 6)
        clock = iter(DUE + n * 20 * SECOND for n in range(10))
        leases = []

        def note(_queue: str) -> None:
            leases.append(ScheduleRun.objects.get().lease_until)

        expand(run, clock=lambda: next(clock), after_chunk=note)

        assert leases == [DUE + n * 20 * SECOND + expansion.LEASE for n in (1, 2, 3)]

    def test_another_worker_takes_an_expired_lease_and_nothing_is_created_twice(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, 6)
        later = DUE + expansion.LEASE
        taken: list[int] = []

        def take_over(_queue: str) -> None:
            if not taken:
                taken.append(expand(run, clock=lambda: later))

        assert expand(run, after_chunk=take_over) == 2

        assert taken == [4]
        assert recipients_of_messages() == numbers(6)


class TestAll:
    def test_of_runs_that_are_due_together_the_one_that_was_started_first_is_first(self, owner) -> None:
        first, second, third = (due_run(owner).pk for _ in range(3))
        for due_at in (DUE + SECOND, DUE):  # an index has this row behind the second then
            ScheduleRun.objects.filter(pk=first).update(due_at=due_at)
        ScheduleRun.objects.filter(pk=third).update(due_at=DUE - SECOND)

        assert expansion.unfinished(now=DUE) == [third, first, second]

    def test_runs_that_are_due_together_take_turns(self, owner, chunk) -> None:
        chunk(2)
        first, second = due_run(owner, 6), due_run(owner, 4)
        seconds = itertools.count(
            0, expansion.TIME_SLICE_SECONDS * 3 / 4
        )  # the second chunk would begin after the time slice
        order: list[tuple[int, int]] = []

        def note(_queue: str) -> None:
            made = dict(ScheduleRun.objects.values_list("pk", "created_messages"))
            order.append((made[first.pk], made[second.pk]))

        total = expansion.expand_all(clock=lambda: DUE, after_chunk=note, monotonic=lambda: next(seconds))

        assert total == 10
        assert order == [(2, 0), (2, 2), (4, 2), (4, 4), (6, 4)]
        assert set(ScheduleRun.objects.values_list("status", flat=True)) == {"done"}

    def test_one_that_cannot_be_expanded_does_not_hold_up_the_others(self, owner, monkeypatch, caplog) -> None:
        poison, good = due_run(owner, 2), due_run(owner, 3)
        expand_chunk = expansion.expand_chunk

        def fail_for_one(run_id, *, now):
            if run_id == poison.pk:
                raise ValueError("the text of somebody")
            return expand_chunk(run_id, now=now)

        monkeypatch.setattr(expansion, "expand_chunk", fail_for_one)

        assert expansion.expand_all(clock=lambda: DUE) == 3

        good.refresh_from_db()
        assert good.status == "done"
        assert caplog.messages == [f"run {poison.pk} cannot be expanded: ValueError"]
        assert expansion.unfinished(now=DUE + expansion.LEASE) == [poison.pk]

    @pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
    def test_a_database_that_is_unavailable_is_no_fault_of_the_run(self, owner, monkeypatch, fault) -> None:
        due_run(owner)

        def unavailable(*_arguments, **_values):
            raise fault

        monkeypatch.setattr(expansion, "expand_chunk", unavailable)

        with pytest.raises(type(fault)):
            expansion.expand_all(clock=lambda: DUE)

    def test_a_worker_that_stops_leaves_the_rest_to_others(self, owner, chunk) -> None:
        chunk(2)
        run = due_run(owner, 6)
        made: list[str] = []

        assert expansion.expand_all(clock=lambda: DUE, after_chunk=made.append, stopping=lambda: len(made) == 2) == 4

        assert expansion.unfinished(now=DUE) == [run.pk]


def test_a_process_expands_in_one_thread(owner, monkeypatch) -> None:
    monkeypatch.setattr(tasks.expansion, "expand_all", lambda **_values: tasks.expand() or inside.append(True))
    inside: list[bool] = []

    tasks.expand()
    tasks.expand()

    assert inside == [True, True]  # the second call, made during the first, found the lock held


@pytest.mark.django_db(transaction=True)
class TestForReal:
    @pytest.fixture(autouse=True)
    def _small_chunks(self, chunk) -> None:
        chunk(3)

    def test_two_workers_together_make_one_message_for_each(self, owner) -> None:
        run = due_run(owner, 40)

        made = at_once([partial(expand, run)] * 2)

        assert sorted(made) == [0, 40]
        assert recipients_of_messages() == numbers(40)

    def test_without_any_lease_they_still_do(self, owner) -> None:
        """A worker that was slower than its lease: the row lock and the cursor still protect the run."""
        run = due_run(owner, 40)
        barrier = threading.Barrier(3)

        def work() -> int:
            barrier.wait(30)
            made = 0
            while True:
                step, queue = expansion.expand_chunk(run.pk, now=DUE)
                if queue is None:
                    return made
                made += step

        made = at_once([work] * 3)

        assert sum(made) == 40
        assert recipients_of_messages() == numbers(40)
        assert statistics.current()[Status.QUEUED] == 40
        run.refresh_from_db()
        assert (run.status, run.created_messages) == ("done", 40)

    def test_a_crash_in_a_transaction_of_its_own_leaves_whole_chunks(self, owner, monkeypatch) -> None:
        run = due_run(owner, 10)
        store, calls = expansion.bulk_insert.store, []

        def crash(*args, **options) -> int:
            made = store(*args, **options)
            calls.append(1)
            if len(calls) == 3:
                raise Crash
            return made

        monkeypatch.setattr(expansion.bulk_insert, "store", crash)
        with pytest.raises(Crash):
            expand(run)

        assert recipients_of_messages() == numbers(10)[:6]
        assert expand(run, clock=lambda: DUE + expansion.LEASE) == 4
        assert recipients_of_messages() == numbers(10)

    def test_cancel_between_two_chunks_leaves_nothing_to_send(self, owner) -> None:
        run = due_run(owner, 20, recurrence="FREQ=DAILY")
        canceled: list[int] = []

        def cancel_once(_queue: str) -> None:
            if Message.objects.count() == 9:
                canceled.extend(at_once([partial(cancel, run)]))

        assert expand(run, after_chunk=cancel_once) == 9

        assert canceled == [9]
        assert statuses() == {"canceled": 9}
        run.refresh_from_db()
        assert (run.status, run.detail) == ("skipped", "canceled after 9 messages")
        later = DUE + timedelta(days=2)
        assert (tick(later), expand_all(later), expand(run, clock=lambda: later)) == (0, 0, 0)
        assert statuses() == {"canceled": 9}

    def test_cancel_and_expansion_at_once(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(schedules, "CANCEL_CHUNK", 4)
        for _ in range(5):
            run = due_run(owner, 60, recurrence="FREQ=DAILY")
            begun = threading.Event()

            def cancel_when_begun(run: ScheduleRun = run, begun: threading.Event = begun) -> int:
                assert begun.wait(30)
                return cancel(run)

            made, canceled = at_once(
                [partial(expand, run, after_chunk=lambda _queue, begun=begun: begun.set()), cancel_when_begun]
            )

            run.refresh_from_db()
            mine = Message.objects.filter(run_id=run.pk)
            assert made == canceled == mine.count() == run.created_messages
            assert set(mine.values_list("status", flat=True)) <= {"canceled"}
            assert run.status == "skipped" or (run.status, made) == ("done", 60)
            assert Schedule.objects.get(pk=run.schedule_id).status == "canceled"
            assert expand(run) == 0

    def test_many_workers_and_several_runs_at_once(self, owner) -> None:
        made = [due_run(owner, 10) for _ in range(4)]

        def work(order: list[ScheduleRun]) -> int:
            return sum(expand(run) for run in order)

        results = at_once([partial(work, made), partial(work, made[::-1]), partial(work, made)])

        assert sum(results) == 40
        assert Message.objects.values("run_id", "to_number").distinct().count() == Message.objects.count() == 40
        assert set(ScheduleRun.objects.values_list("status", flat=True)) == {"done"}


def test_the_queue_is_notified_after_the_commit(owner) -> None:
    """`after_chunk` notifies the queue: the dispatcher must find the messages."""
    run = due_run(owner, 2)
    depth: list[int] = []
    outside = len(connection.savepoint_ids)

    expand(run, after_chunk=lambda _queue: depth.append(len(connection.savepoint_ids)))

    assert depth == [outside]


def test_owners_do_not_mix(owner) -> None:
    other = UserFactory()
    due_run(owner, 2)
    create(other, 3)
    tick()

    expand_all()

    assert sorted(Message.objects.values_list("owner_id", flat=True)) == sorted([owner.pk] * 2 + [other.pk] * 3)
