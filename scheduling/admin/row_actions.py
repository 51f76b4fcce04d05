"""Pause, resume and cancel, with the services that the API calls. Each asks for a reason."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from messaging.console.row_actions import RowAction
from messaging.services.errors import DomainError
from messaging.states import Source
from scheduling.models import Schedule
from scheduling.services import schedules

MAY_CHANGE = "scheduling.change_schedule"
CANCELED_MESSAGES = "canceled_messages"  # an attribute of the returned row, read by `_canceled`
Status = Schedule.Status


def _pause(pk: Any, _user: User, _reason: str) -> Schedule:
    return schedules.pause(schedule_id=pk, now=timezone.now())


def _resume(pk: Any, _user: User, _reason: str) -> Schedule:
    return schedules.resume(schedule_id=pk, now=timezone.now())


def _cancel(pk: Any, user: User, _reason: str) -> Schedule:
    schedule, canceled = schedules.cancel(schedule_id=pk, actor=user, now=timezone.now(), source=Source.ADMIN)
    setattr(schedule, CANCELED_MESSAGES, canceled)
    return schedule


def _canceled(rows: list[Schedule]) -> str:
    return f"canceled, {sum(getattr(row, CANCELED_MESSAGES) for row in rows):,} messages canceled"


ACTIONS = (
    RowAction(
        name="pause_selected",
        title="Pause",
        done="paused",
        permission=MAY_CHANGE,
        icon="pause",
        run=_pause,
        refusals=DomainError,
        warning="No further run starts; a run that is being expanded continues.",
        is_available=lambda row: row.status == Status.ACTIVE,
    ),
    RowAction(
        name="resume_selected",
        title="Resume",
        done="resumed",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=_resume,
        refusals=DomainError,
        is_available=lambda row: row.status == Status.PAUSED,
    ),
    RowAction(
        name="cancel_selected",
        title="Cancel",
        done=_canceled,
        permission=MAY_CHANGE,
        icon="cancel",
        run=_cancel,
        refusals=DomainError,
        is_danger=True,
        warning="Ends the schedule for good and cancels its unsent messages.",
        is_available=schedules.is_cancelable,
    ),
)
