"""Beat, which goes on with all other tasks when the row of one of them makes no sense."""

import logging

from celery import Celery, schedules
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 60.0


class Entry(ModelEntry):
    """Staff write these rows: one may have an interval that no clock can express."""

    def __init__(self, model: PeriodicTask, app: Celery | None = None) -> None:
        try:
            super().__init__(model, app)
        except ArithmeticError as error:
            logger.error("periodic task %s is left out: %s", model.name, error)
            raise ValueError(f"periodic task {model.name}") from error  # what the scheduler leaves out

    def is_due(self) -> schedules.schedstate:
        try:
            return super().is_due()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with this row, the others are due)
            logger.error("periodic task %s does not run: %s", self.name, error)
            return schedules.schedstate(is_due=False, next=ASK_AGAIN_SECONDS)


class Scheduler(DatabaseScheduler):
    Entry = Entry
