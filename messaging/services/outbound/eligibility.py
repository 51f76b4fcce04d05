"""May this message be sent? One ordered table of checks, asked at acceptance, at the claim and before every call.

A rule is one row of `CHECKS`. Every place that accepts, claims, calls or sweeps messages asks the table for its moment and has
no list of its own, so a new row counts everywhere at once. The rows are asked about a whole batch: what they look up is fetched
once for each batch, and the number of queries does not depend on its size.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast

from django.db.models import QuerySet, Value

from messaging.encryption import CannotBeOpened
from messaging.models import Message, PhoneNumber, Suppression
from messaging.models.encrypted import fault_of
from messaging.services import transitions
from messaging.services.errors import DomainError, NotRetryable, OptedOut, RecipientInactive
from messaging.services.recipients import suppressions
from messaging.services.recipients.suppressions import OptOuts
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status

logger = logging.getLogger(__name__)

FIELDS = ("error_code", "error_detail", "next_attempt_at")
# How long a message whose text cannot be opened waits before the next look: its key may be brought.
UNREADABLE_WAIT = timedelta(minutes=1)

Found = TypeVar("Found")


class Moment(StrEnum):
    """When the table is asked. At `LEAVE` and `SWEEP` only the message itself is at hand: a row there makes no query."""

    ACCEPT = "accept"  # before a message is stored, or put back into its queue by an operator
    CLAIM = "claim"  # when a worker takes it from its queue
    CALL = "call"  # before an attempt is written, at every account, and again when the call had to wait
    LEAVE = "leave"  # when the connection is open, before the first byte; the message is as the worker knows it
    SWEEP = "sweep"  # when its validity or its worker's lease has ended


class Ending(StrEnum):
    """What becomes of a stored message that is refused: the status it gets. At acceptance nothing is stored at all."""

    FAIL = Status.FAILED
    CANCEL = Status.CANCELED
    DEFER = Status.QUEUED


class Batch:
    """The messages that are asked about together, and what was looked up for them.

    `numbers` are the recipients' numbers for `number__in`; thousands of them are faster as a query than as values.
    """

    def __init__(self, messages: Iterable[Message], *, now: datetime, numbers: QuerySet | None = None) -> None:
        self.messages = list(messages)
        self.now = now
        self.numbers = {message.to_number for message in self.messages} if numbers is None else numbers
        self._found: dict[Callable[[Batch], Any], Any] = {}

    def of(self, fetch_status: Callable[["Batch"], Found]) -> Found:
        """What `fetch_status` finds for the whole batch; it is called once, however many checks and messages ask."""
        if fetch_status not in self._found:
            self._found[fetch_status] = fetch_status(self)
        return cast("Found", self._found[fetch_status])

    def refusals(self, moment: Moment) -> dict[Any, "Refusal"]:
        """For each message that must not be sent now, by its primary key, the first check that refuses it. Writes nothing."""
        asked = [check for check in CHECKS if moment in check.moments]
        found = {}
        for message in self.messages:
            check = next((check for check in asked if check.applies(message, self)), None)
            if check is not None:
                found[message.pk] = check.refuse(message, self)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `detail` is the sentence for people; `explain` may give a more exact one for a message.

    `error` is raised at acceptance. `until` says when a deferred message is tried again, at the latest when its validity ends.
    With `needs_operator` the first deferral of a message is logged as an error.
    """

    code: str
    detail: str
    moments: frozenset[Moment]
    applies: Callable[[Message, Batch], bool]
    ends: Ending = Ending.FAIL
    error: type[DomainError] | None = None
    explain: Callable[[Message, Batch], str] | None = None
    until: Callable[[Message, Batch], datetime] | None = None
    needs_operator: bool = False

    def __post_init__(self) -> None:
        if (Moment.ACCEPT in self.moments) != (self.error is not None):
            raise ValueError(f"{self.code}: a check has an error if, and only if, it is asked at acceptance")
        if (self.ends is Ending.DEFER) != (self.until is not None):
            raise ValueError(f"{self.code}: a check has a time to try again if, and only if, it defers")

    def refuse(self, message: Message, batch: Batch) -> "Refusal":
        detail = self.explain(message, batch) if self.explain else self.detail
        until = min(self.until(message, batch), message.expires_at) if self.until else None
        return Refusal(self, message, detail, until)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A check's no to one message. `until` is set if the message is deferred."""

    check: Check
    message: Message = field(repr=False)
    detail: str
    until: datetime | None = None

    def as_error(self) -> DomainError:
        """What the caller of an acceptance gets. Only for refusals of `Moment.ACCEPT`."""
        if self.check.error is None:
            raise ValueError(f"{self.check.code} is not asked at acceptance")
        return self.check.error(self.detail)


def end(refusals: Iterable[Refusal], *, now: datetime, source: Source) -> None:
    """Write down what becomes of the refused messages: at most five queries, however many there are.

    The caller holds the rows locked in an open transaction. A message that is deferred where it is, in its queue, gets no line
    in its history.
    """
    moves: list[Transition] = []
    deferred: list[Message] = []
    for refusal in refusals:
        message, check = refusal.message, refusal.check
        if check.needs_operator and message.error_code != check.code:
            logger.error("message %s waits: %s", message.pk, refusal.detail)
        message.next_attempt_at = refusal.until
        if check.ends is not Ending.CANCEL:
            message.error_code, message.error_detail = check.code, refusal.detail[:300]
        if message.status == check.ends:
            deferred.append(message)
        else:
            note = refusal.detail if check.ends is Ending.CANCEL else check.code
            moves.append(Transition(message, Status(check.ends), source, detail=note))
    transitions.apply(moves, now=now, fields=FIELDS)
    if deferred:
        save_together(deferred, FIELDS)


@dataclass(frozen=True, slots=True)
class Recipients:
    """What is known of a batch's recipients: the numbers that are inactive, and the opt-outs."""

    inactive: frozenset[str] = field(repr=False)
    opt_outs: OptOuts


def recipients(batch: Batch) -> Recipients:
    """One query; two more where a message without a sender goes to a number with an opt-out."""
    columns = ("number", "sender", "is_opt_out")
    inactive = PhoneNumber.objects.filter(number__in=batch.numbers, status=PhoneNumber.Status.INACTIVE).order_by()
    suppressed = Suppression.objects.filter(number__in=batch.numbers).order_by()
    rows = list(
        inactive.annotate(sender=Value(""), is_opt_out=Value(False))
        .values_list(*columns)
        .union(suppressed.annotate(is_opt_out=Value(True)).values_list(*columns), all=True)
    )
    return Recipients(
        inactive=frozenset(number for number, _, is_opt_out in rows if not is_opt_out),
        opt_outs=suppressions.opt_outs(
            ((number, sender) for number, sender, is_opt_out in rows if is_opt_out),
            without_sender={message.to_number for message in batch.messages if not message.from_number},
        ),
    )


def _has_opted_out(message: Message, batch: Batch) -> bool:
    """An automatic reply answers the very STOP, so it is sent."""
    opt_outs = batch.of(recipients).opt_outs
    return not message.is_automatic and opt_outs.forbid(number=message.to_number, sender=message.from_number)


CANCELED = Check(
    code="canceled",
    detail="The message was canceled before a provider took it.",
    moments=frozenset({Moment.CLAIM, Moment.CALL, Moment.SWEEP}),
    applies=lambda message, _batch: message.cancel_requested,
    ends=Ending.CANCEL,
)
EXPIRED = Check(
    code="expired",
    detail="The message was not sent before its validity ended.",
    moments=frozenset({Moment.CLAIM, Moment.CALL, Moment.LEAVE, Moment.SWEEP}),
    applies=lambda message, batch: message.expires_at <= batch.now,
    # What a provider said last, or what the message waited for, says more.
    explain=lambda message, _batch: message.error_detail or EXPIRED.detail,
)
ERASED = Check(
    code="erased",
    detail="The text has been erased.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=lambda message, _batch: message.erased_at is not None,
    error=NotRetryable,
)
RECIPIENT_INACTIVE = Check(
    code=RecipientInactive.code,
    detail="This number is inactive: a provider reported it as invalid, or an operator deactivated it.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=lambda message, batch: message.to_number in batch.of(recipients).inactive,
    error=RecipientInactive,
)
RECIPIENT_OPTED_OUT = Check(
    code=OptedOut.code,
    detail="The recipient has opted out of messages from this sender.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=_has_opted_out,
    error=OptedOut,
)
TEXT_UNREADABLE = Check(
    code=CannotBeOpened.code,
    detail="The text cannot be opened.",
    moments=frozenset({Moment.CLAIM, Moment.CALL}),
    applies=lambda message, _batch: fault_of(message, "text") is not None,
    ends=Ending.DEFER,
    explain=lambda message, _batch: f"The text cannot be opened: {fault_of(message, 'text')}.",
    until=lambda _message, batch: batch.now + UNREADABLE_WAIT,
    needs_operator=True,
)

# The first check that applies decides: what ends a message stands before what only defers it.
CHECKS: tuple[Check, ...] = (
    CANCELED,
    EXPIRED,
    ERASED,
    RECIPIENT_INACTIVE,
    RECIPIENT_OPTED_OUT,
    TEXT_UNREADABLE,
)
