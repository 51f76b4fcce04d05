"""Statuses of a message, the transitions between them, and every set of statuses that the product uses.

The *system* (dispatch, receipts, the sweep, a client's cancel) moves a message forward and never out of a final status, except
that a receipt may correct an earlier receipt. `unknown` is not final: a late receipt may settle it. An *operator* may also
queue a message again that ended badly, and declare an `unknown` one delivered or failed; both need a reason.
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
    """The origin of a status change, as the message's history shows it."""

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

# Every status belongs to one direction; the database checks it (`message_status_of_direction`).
OUTBOUND = frozenset(
    {S.SCHEDULED, S.QUEUED, S.SENDING, S.SENT, S.DELIVERED, S.UNDELIVERED, S.FAILED, S.UNKNOWN, S.CANCELED}
)
INBOUND = frozenset({S.RECEIVED, S.STORED, S.PROCESSED})

# The system never leaves these. An operator may (`OPERATOR_TRANSITIONS`), and a receipt may correct another receipt
# (`RECEIPT_TRANSITIONS`).
FINAL = frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED, S.CANCELED, S.PROCESSED})
# A client may cancel the message: no worker has claimed it.
CANCELABLE = frozenset({S.SCHEDULED, S.QUEUED})
# `next_attempt_at` may be set; the tick clears it when due and queues the message. Reader of the index `message_deferred`.
DEFERRABLE = (S.QUEUED, S.SCHEDULED)
# A newer message of the same queue to the same number waits for it. Reader of the index `message_active_by_number`.
IN_DISPATCH = (S.QUEUED, S.SENDING)
# No provider has accepted the message yet, as far as is known.
UNSENT = CANCELABLE | {S.SENDING}
# Inbound, and not processed yet. Reader of the index `message_inbound_open`.
INBOUND_OPEN = (S.RECEIVED, S.STORED)
# Retention and erasure leave the message alone: it is still being worked on.
NOT_ENDED = UNSENT.union(INBOUND_OPEN)
# Due and not processed yet: the `queue_size` of the statistics.
IN_QUEUE = frozenset({S.QUEUED, S.SENDING, *INBOUND_OPEN})
# Counted per provider: the provider has accepted the message, or was asked to.
COUNTED_BY_PROVIDER = frozenset({S.SENT, S.DELIVERED, S.UNDELIVERED, S.FAILED, S.UNKNOWN})
# The denominator of the delivery rate; DELIVERED is its numerator.
DELIVERY_OUTCOMES = (S.DELIVERED, S.UNDELIVERED, S.FAILED)
# Ended without a delivery, or not known to be delivered: few enough for the console to search them without a limit.
ENDED_BADLY = (S.UNDELIVERED, S.FAILED, S.UNKNOWN, S.CANCELED)
# Where an outbound message ends, in the order of the console's chart.
OUTBOUND_ENDINGS = (S.DELIVERED, *ENDED_BADLY)
# An operator may send the message again.
RETRYABLE = frozenset({S.FAILED, S.UNDELIVERED, S.UNKNOWN})
# What an operator may declare an unknown message to be.
RESOLUTIONS = frozenset({S.DELIVERED, S.FAILED})

# A provider has the message, or may have it, and its receipt is still to come.
AWAITING_RECEIPT = frozenset({S.SENDING, S.SENT, S.UNKNOWN})

# What receipts may report about a message that was sent.
_REPORTED = frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED, S.CANCELED})

SYSTEM_TRANSITIONS: dict[Status, frozenset[Status]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.CANCELED, S.FAILED}),
    # A delivery report for an earlier attempt may arrive after an operator queued the message again; it is then not sent.
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

# A receipt may correct an earlier receipt: a part of a delivered text was not delivered, or a text was delivered after all.
# Only receipts make these transitions, and only from a status that a receipt has set (`receipt_results.reported_so_far`).
RECEIPT_TRANSITIONS: dict[Status, frozenset[Status]] = {
    S.DELIVERED: frozenset({S.UNDELIVERED, S.FAILED, S.CANCELED}),
    S.UNDELIVERED: frozenset({S.DELIVERED}),
    S.FAILED: frozenset({S.DELIVERED, S.UNDELIVERED}),
    S.CANCELED: frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED}),
}

OPERATOR_TRANSITIONS: dict[Status, frozenset[Status]] = {
    S.FAILED: frozenset({S.QUEUED}),
    S.UNDELIVERED: frozenset({S.QUEUED}),
    S.UNKNOWN: frozenset({S.QUEUED}) | RESOLUTIONS,
}


def can_transition(current: Status, target: Status, *, by_operator: bool, corrects_receipt: bool = False) -> bool:
    transitions = OPERATOR_TRANSITIONS if by_operator else SYSTEM_TRANSITIONS
    allowed = transitions.get(current, frozenset())
    if corrects_receipt:
        allowed |= RECEIPT_TRANSITIONS.get(current, frozenset())
    return target in allowed
