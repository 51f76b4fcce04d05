"""The statuses of a message and the moves between them: the only table of its kind.

Two kinds of actor move a message. The *system* (dispatch, receipts, the sweep, a client's cancel) moves it along; a final
status it never leaves, except `unknown`, which a late receipt may settle. An *operator* may also put a message that ended
badly back into its queue, and say what became of an `unknown` one, always with a reason.
"""

from enum import StrEnum


class Direction(StrEnum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Status(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELED = "canceled"
    RECEIVED = "received"
    STORED = "stored"
    PROCESSED = "processed"


class Source(StrEnum):
    """Who moved a message: the word that stands in its history."""

    API = "api"
    ADMIN = "admin"
    DISPATCH = "dispatch"
    RECEIPT = "receipt"
    SWEEP = "sweep"
    SCHEDULE = "schedule"
    OPERATOR = "operator"
    PROVIDER = "provider"
    INBOUND = "inbound"


S = Status

OUTBOUND = frozenset(
    {S.SCHEDULED, S.QUEUED, S.SENDING, S.SENT, S.DELIVERED, S.UNDELIVERED, S.FAILED, S.UNKNOWN, S.CANCELED}
)
INBOUND = frozenset({S.RECEIVED, S.STORED, S.PROCESSED})
FINAL = frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED, S.CANCELED, S.PROCESSED})
CANCELABLE = frozenset({S.SCHEDULED, S.QUEUED})
UNSENT = CANCELABLE | {S.SENDING}
NOT_ENDED = UNSENT | {S.RECEIVED, S.STORED}
RETRYABLE = frozenset({S.FAILED, S.UNDELIVERED, S.UNKNOWN})

_REPORTED = frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED, S.CANCELED})

SYSTEM_MOVES: dict[Status, frozenset[Status]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.CANCELED, S.FAILED}),
    # A delivery report for an earlier attempt may reach a message that an operator has queued once more: it is not sent again.
    S.QUEUED: frozenset({S.SENDING, S.CANCELED, S.FAILED, S.DELIVERED}),
    S.SENDING: frozenset({S.SENT, S.QUEUED, S.FAILED, S.UNKNOWN}) | _REPORTED,
    S.SENT: _REPORTED,
    S.UNKNOWN: frozenset({S.SENT}) | _REPORTED,
    S.DELIVERED: frozenset(),
    S.UNDELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELED: frozenset(),
    S.RECEIVED: frozenset({S.STORED}),
    S.STORED: frozenset({S.PROCESSED}),
    S.PROCESSED: frozenset(),
}

RESOLUTIONS = frozenset({S.DELIVERED, S.FAILED})

OPERATOR_MOVES: dict[Status, frozenset[Status]] = {
    S.FAILED: frozenset({S.QUEUED}),
    S.UNDELIVERED: frozenset({S.QUEUED}),
    S.UNKNOWN: frozenset({S.QUEUED}) | RESOLUTIONS,
}


def can_transition(current: Status, target: Status, *, by_operator: bool) -> bool:
    moves = OPERATOR_MOVES if by_operator else SYSTEM_MOVES
    return target in moves.get(current, frozenset())
