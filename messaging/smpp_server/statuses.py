"""What clients are answered: one table from the errors of services to SMPP statuses."""

from collections.abc import Mapping
from typing import Final

from messaging.services.errors import DomainError, InvalidField
from providers.smpp.constants import CommandStatus

S = CommandStatus

# The code of a refusal, or of the field that is refused.
OF_SUBMISSION: Final[Mapping[str, CommandStatus]] = {
    "recipient_opted_out": S.RSUBMITFAIL,
    "recipient_inactive": S.RSUBMITFAIL,
    "prefix_blocked": S.RINVDSTADR,
    "recipient_rate_exceeded": S.RTHROTTLED,
    "velocity_exceeded": S.RTHROTTLED,
    "invalid_recipient": S.RINVDSTADR,
    "invalid_sender": S.RINVSRCADR,
    "sender_not_allowed": S.RINVSRCADR,
    "sender_not_allowed_in_country": S.RINVSRCADR,
    "too_long": S.RINVMSGLEN,
    "blank": S.RINVMSGLEN,
    "unreadable": S.RSUBMITFAIL,
    "invalid_esm_class": S.RINVESMCLASS,
    "invalid_schedule": S.RINVSCHED,
    "too_far_ahead": S.RINVSCHED,
    "invalid_validity": S.RINVEXPIRY,
    "unknown_queue": S.RSYSERR,  # the operator's fault: the client repeats
    "throttled": S.RTHROTTLED,
    "budget_exceeded": S.RTHROTTLED,
}
OF_BIND: Final[Mapping[str, CommandStatus]] = {
    # A stranger is not told whether the system id exists.
    "wrong_credential": S.RINVPASWD,
    "address_not_allowed": S.RBINDFAIL,
    "too_many_failures": S.RTHROTTLED,
    "too_many_sessions": S.RALYBND,
}
OF_QUERY: Final[Mapping[str, CommandStatus]] = {"no_such_message": S.RINVMSGID}
OF_CANCEL: Final[Mapping[str, CommandStatus]] = {
    "no_such_message": S.RINVMSGID,
    "incomplete": S.RCANCELFAIL,
    "not_cancelable": S.RCANCELFAIL,
}
# Nothing was stored, and the client may repeat: the database is unavailable, the server stops, or a fault of ours.
UNAVAILABLE: Final = S.RSYSERR


def of_submission(error: DomainError) -> CommandStatus:
    return OF_SUBMISSION.get(error.field_code if isinstance(error, InvalidField) else error.code, S.RSUBMITFAIL)
