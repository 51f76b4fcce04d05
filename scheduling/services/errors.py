"""Domain errors of schedules."""

from messaging.services.errors import DomainError


class ScheduleEnded(DomainError):
    code = "schedule_ended"


class AlreadyRan(DomainError):
    code = "schedule_already_ran"


class ListNotSaved(DomainError):
    """The schedule was created with a list that is neither saved nor discarded."""

    code = "list_not_saved"


class ListDecided(DomainError):
    """The list was saved or discarded already, or is being saved."""

    code = "list_decided"


class ListUnreadable(DomainError):
    """The waiting file of a list is missing, or cannot be decrypted."""

    code = "list_unreadable"
