"""Domain errors of schedules."""

from messaging.services.errors import DomainError


class ScheduleEnded(DomainError):
    code = "schedule_ended"


class AlreadyRan(DomainError):
    code = "schedule_already_ran"
