"""Creates schedules for tests with the service, and reads the messages they produced."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from messaging.models import Message
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import expansion, runs, schedules
from scheduling.services.recipients import Recipient
from scheduling.services.schedules import ScheduleInput
from tests.factories import NOW

DUE = NOW + timedelta(hours=1)
MAX_LATENESS = timedelta(hours=1)
A, B, C = "+14155550101", "+14155550102", "+14155550103"


def numbers(count: int) -> list[str]:
    return [f"+1415556{index:04}" for index in range(count)]


def recipient_list(*given: str | tuple[str, dict[str, str]]) -> list[Recipient]:
    """Numbers, or pairs of a number and its variables."""
    pairs = [(item, {}) if isinstance(item, str) else item for item in given]
    return [Recipient(row, number, variables) for row, (number, variables) in enumerate(pairs)]


def schedule_input(**values: Any) -> ScheduleInput:
    """One run at `DUE` in UTC."""
    return ScheduleInput(
        **{
            "name": "Reminder",
            "text": "Hello",
            "run_at": DUE,
            "time_zone": "UTC",
            "recurrence": None,
            "queue": None,
            "sender": None,
            "valid_for": 600,
            **values,
        }
    )


def create(owner: Any, to: Sequence[Recipient] | int = 1, *, now: datetime = NOW, **values: Any) -> Schedule:
    """`to` is a list of recipients, or their number."""
    listed = recipient_list(*numbers(to)) if isinstance(to, int) else to
    return schedules.create(
        owner=owner, draft=schedule_input(**values), recipients=listed, default_queue="express", now=now
    )


def tick(now: datetime = DUE) -> int:
    return runs.start_due(now=now, max_lateness=MAX_LATENESS)


def due_run(owner: Any, to: Sequence[Recipient] | int = 1, **values: Any) -> ScheduleRun:
    """Create a run that is due at `DUE`."""
    schedule = create(owner, to, **values)
    tick()
    return schedule.runs.get()


def expand_all(now: datetime = DUE) -> int:
    return sum(expansion.expand(run_id, clock=lambda: now) for run_id in expansion.unfinished(now=now))


def recipients_of_messages() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("to_number", flat=True))


def statuses() -> dict[str, int]:
    return dict(Counter(Message.objects.values_list("status", flat=True)))
