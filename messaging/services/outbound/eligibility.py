"""May this message be sent? One ordered table of checks, run at acceptance, at the claim and before every call.

A rule is one row of `CHECKS`. All code that accepts, claims, calls or sweeps messages runs the checks of its `Moment` and has
no list of its own, so a new row takes effect everywhere. Checks run on a whole batch: what they need is fetched once per batch,
so the number of queries does not depend on its size.
"""

import logging
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import connection, models
from django.db.models import QuerySet, Value
from django.db.models.expressions import RawSQL

from messaging.categories import Category
from messaging.encryption import CannotBeOpened
from messaging.models import Message, PhoneNumber, Suppression
from messaging.models.encrypted import fault_of
from messaging.policy.hours import HOURS_HAVE_BEGUN, OUTSIDE_HOURS
from messaging.policy.prefixes import PREFIX_BLOCKED, PREFIX_HELD
from messaging.policy.velocity import Counting, Exceeded
from messaging.services import transitions
from messaging.services.errors import (
    DomainError,
    NotRetryable,
    OptedOut,
    PrefixBlocked,
    RateExceeded,
    RecipientInactive,
    RecipientRateExceeded,
    SenderNotAllowedInCountry,
    VelocityExceeded,
)
from messaging.services.limits import rules, sentences, velocity
from messaging.services.outbound import hours, sender_rules, verification_codes
from messaging.services.outbound.hours import Hold, Snapshot
from messaging.services.outbound.sender_rules import SenderRules
from messaging.services.outbound.verification_codes import CodeSlot
from messaging.services.recipients import suppressions
from messaging.services.recipients.suppressions import OptOuts
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status

logger = logging.getLogger(__name__)

FIELDS = ("error_code", "error_detail", "next_attempt_at", "expires_at")
# How long a message with an unreadable text waits before it is checked again: the operator may restore its key.
UNREADABLE_WAIT = timedelta(minutes=1)
# How long a message to a held prefix waits before it is checked again, so that it leaves soon after its release.
HELD_WAIT = timedelta(minutes=1)
# How long a message waits that no moment is allowed for: the rules may have changed by then.
NO_HOURS_WAIT = timedelta(days=1)
# From this number of recipients on they are one parameter of a query.
MANY = 200

Found = TypeVar("Found")


class Moment(StrEnum):
    """When a check runs. At `LEAVE` and `SWEEP` a check may use only the message itself, and makes no query."""

    ACCEPT = "accept"  # before a message is stored, or queued again by an operator
    CLAIM = "claim"  # when a worker claims it from its queue
    CALL = "call"  # before each attempt is written, and again after a delayed call
    LEAVE = "leave"  # when the connection is open, before the first byte; the message as the worker has it in memory
    SWEEP = "sweep"  # when its validity or its worker's lease has ended


class Ending(StrEnum):
    """The status that a refusal gives to a stored message. A message refused at acceptance is not stored."""

    FAIL = Status.FAILED
    CANCEL = Status.CANCELED
    DEFER = Status.QUEUED


class Batch:
    """Messages that are checked together, and the results of the queries made for them.

    `numbers` are the recipients' numbers for `number__in`; for thousands of them a subquery is faster than values.
    `counting` is what the velocity limits do with the messages; `release` gives back what they have counted.
    """

    def __init__(
        self,
        messages: Iterable[Message],
        *,
        now: datetime,
        numbers: "QuerySet[models.Model, Any] | None" = None,
        counting: Counting = Counting.PEEK,
    ) -> None:
        self.messages = list(messages)
        self.now = now
        self.counting = counting
        self.numbers: set[str] | QuerySet[models.Model, Any] = (
            {message.to_number for message in self.messages} if numbers is None else numbers
        )
        # The cached values have the types of their functions, which a dict cannot express; `of` restores them.
        self._cache: dict[Callable[[Batch], Any], Any] = {}

    def of(self, fetch: Callable[["Batch"], Found]) -> Found:
        """Return `fetch(batch)`, which is called once per batch however many checks and messages need it."""
        if fetch not in self._cache:
            self._cache[fetch] = fetch(self)
        return cast("Found", self._cache[fetch])

    def provide(self, fetch: Callable[["Batch"], Found], value: Found) -> None:
        """Use `value` for `fetch(batch)`: the caller knows it."""
        self._cache[fetch] = value

    def ignore_velocity(self) -> None:
        """The velocity limits do not concern these messages."""
        self._cache[limits_exceeded] = {}

    def release(self, *, stored: Container[UUID] = frozenset()) -> None:
        """The messages, but those `stored`, are not stored after all: the velocity limits forget what they have counted."""
        exceeded = self._cache.get(limits_exceeded)
        if exceeded is not None and self.counting in {Counting.RESERVE, Counting.NOTE}:
            lost = [message for message in self.messages if message.pk not in stored]
            if not lost or not self.of(limits_rules).has_velocity:
                return
            refused = _refused_before_limits(self)
            if self.counting is Counting.RESERVE:  # what is only noted counts beyond a limit, too
                refused |= exceeded.keys()
            velocity.release([each for each in lost if each.pk not in refused], rules=self.of(limits_rules))

    def verdicts(self, message: Message, *moments: Moment) -> "list[tuple[Check, Refusal | None]]":
        """The verdict of every check of these moments on one message, not only of the first that refuses it."""
        return [
            (check, check.refuse(message, self) if check.applies(message, self) else None)
            for check in CHECKS
            if not check.moments.isdisjoint(moments)
        ]

    def refusals(self, *moments: Moment) -> dict[UUID, "Refusal"]:
        """Return, by primary key, the refusal of each message that must not be sent now. Writes nothing.

        Runs the checks of all given moments, in their order.
        """
        checks = [check for check in CHECKS if not check.moments.isdisjoint(moments)]
        refused = {}
        for message in self.messages:
            check = next((check for check in checks if check.applies(message, self)), None)
            if check is not None:
                refused[message.pk] = check.refuse(message, self)
        return refused

    def replace_senders(self) -> None:
        """In memory, those that the recipients' countries do not take, where the owner has another one for that."""
        self.of(rules_of_senders).replace(self.messages)

    def admit(self) -> dict[UUID, "Refusal"]:
        """As `refusals` of `Moment.ACCEPT`, but only those that keep a message from being stored.

        A message that has to wait is held instead, in memory: the caller stores it with `FIELDS`.
        """
        self.replace_senders()
        refused = self.refusals(Moment.ACCEPT)
        for refusal in refused.values():
            refusal.hold()
        return {pk: refusal for pk, refusal in refused.items() if refusal.check.error is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `detail` explains the refusal to users; `explain` may give a more exact sentence for one message.

    `error` is raised at acceptance; a check that defers has none, and the message is stored to wait. A `RateExceeded` is told
    `retry_after`, in seconds. `until` returns the time
    at which a deferred message is tried again, capped by the end of its validity. `expires_at` returns a new end of the
    validity, for a wait that does not count. With `needs_operator` the first deferral of a message is logged as an error.
    """

    code: str
    detail: str
    moments: frozenset[Moment]
    applies: Callable[[Message, Batch], bool]
    ends: Ending = Ending.FAIL
    error: type[DomainError] | None = None
    explain: Callable[[Message, Batch], str] | None = None
    until: Callable[[Message, Batch], datetime] | None = None
    expires_at: Callable[[Message, Batch], datetime | None] | None = None
    retry_after: Callable[[Message, Batch], int] | None = None
    needs_operator: bool = False

    def __post_init__(self) -> None:
        if (Moment.ACCEPT in self.moments and self.ends is not Ending.DEFER) != (self.error is not None):
            raise ValueError(f"{self.code}: a check has an error if, and only if, it refuses at acceptance")
        if (self.ends is Ending.DEFER) != (self.until is not None):
            raise ValueError(f"{self.code}: a check has a time to try again if, and only if, it defers")

    def refuse(self, message: Message, batch: Batch) -> "Refusal":
        detail = self.explain(message, batch) if self.explain else self.detail
        until = self.until(message, batch) if self.until else None
        expires_at = self.expires_at(message, batch) if self.expires_at else None
        ends = expires_at or message.expires_at
        if until is not None and ends is not None:
            until = min(until, ends)
        retry_after = self.retry_after(message, batch) if self.retry_after else None
        return Refusal(self, message, detail, until, expires_at, retry_after)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One message refused by one check. `until` is set if the message is deferred, `expires_at` if it is valid for longer."""

    check: Check
    message: Message = field(repr=False)
    detail: str
    until: datetime | None = None
    expires_at: datetime | None = None
    retry_after: int | None = None

    def hold(self) -> None:
        """Defer the message in memory, if the check does. One that is scheduled for later is judged when it is due."""
        message = self.message
        if self.check.ends is Ending.DEFER and message.status == Status.QUEUED:
            message.next_attempt_at = self.until
            message.expires_at = self.expires_at or message.expires_at
            message.error_code, message.error_detail = self.check.code, self.detail[:300]

    def as_error(self) -> DomainError:
        """The error to raise to the caller. Only for refusals at `Moment.ACCEPT`."""
        if self.check.error is None:
            raise ValueError(f"{self.check.code} does not run at acceptance")
        if issubclass(self.check.error, RateExceeded):
            return self.check.error(self.detail, retry_after=self.retry_after or 1)
        return self.check.error(self.detail)


def end(refusals: Iterable[Refusal], *, now: datetime, source: Source) -> None:
    """Fail, cancel or defer the refused messages: at most five queries for any number of messages.

    The caller has locked the rows in an open transaction. A queued message that is deferred gets no history row, because its
    status does not change.
    """
    moves: list[Transition] = []
    deferred: list[Message] = []
    for refusal in refusals:
        message, check = refusal.message, refusal.check
        if check.needs_operator and message.error_code != check.code:
            logger.error("message %s waits: %s", message.pk, refusal.detail)
        message.next_attempt_at = refusal.until
        message.expires_at = refusal.expires_at or message.expires_at
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
    """The inactive numbers and the opt-outs among a batch's recipients."""

    inactive: frozenset[str] = field(repr=False)
    opt_outs: OptOuts


NOTHING_KNOWN = Recipients(frozenset(), OptOuts({}, frozenset()))


def recipients(batch: Batch) -> Recipients:
    """One query; two more when a message without a sender goes to a number with an opt-out."""
    columns, numbers = ("number", "sender", "is_opt_out"), _as_one_parameter(batch.numbers)
    inactive = PhoneNumber.objects.filter(number__in=numbers, status=PhoneNumber.Status.INACTIVE).order_by()
    suppressed = Suppression.objects.filter(number__in=numbers).order_by()
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


def _as_one_parameter(numbers: "set[str] | QuerySet[models.Model, Any]") -> Any:
    """A thousand parameters take the driver ten times as long as one. SQLite has no such function."""
    if not isinstance(numbers, set) or len(numbers) < MANY or connection.vendor != "postgresql":
        return numbers
    return RawSQL("SELECT unnest(string_to_array(%s, ','))", [",".join(sorted(numbers))])


def _has_opted_out(message: Message, batch: Batch) -> bool:
    """Automatic replies are exempt: they confirm the STOP itself.

    Another sender in place of the one that was asked for does not evade a STOP to that one.
    """
    if message.is_automatic:
        return False
    opt_outs, number = batch.of(recipients).opt_outs, message.to_number
    if opt_outs.forbid(number=number, sender=message.from_number):
        return True
    return bool(message.replaced_sender) and opt_outs.forbid(number=number, sender=message.replaced_sender)


CANCELED = Check(
    code="canceled",
    detail="The message was canceled before a provider accepted it.",
    moments=frozenset({Moment.CLAIM, Moment.CALL, Moment.SWEEP}),
    applies=lambda message, _batch: message.cancel_requested,
    ends=Ending.CANCEL,
)
EXPIRED_DETAIL = "The message was not sent before its validity ended."
EXPIRED = Check(
    code="expired",
    detail=EXPIRED_DETAIL,
    moments=frozenset({Moment.CLAIM, Moment.CALL, Moment.LEAVE, Moment.SWEEP}),
    applies=lambda message, batch: message.expires_at is not None and message.expires_at <= batch.now,
    # The last provider error, or the reason of the last deferral, explains more.
    explain=lambda message, _batch: message.error_detail or EXPIRED_DETAIL,
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


def codes(batch: Batch) -> dict[UUID, CodeSlot]:
    """A query if a message of the batch tells a code."""
    return verification_codes.of_messages(batch.messages, now=batch.now)


VERIFICATION_ENDED = Check(
    code="verification_ended",
    detail="The verification whose code this text tells has ended.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=lambda message, batch: message.verification_id is not None and message.pk not in batch.of(codes),
    error=NotRetryable,
)


def rules_of_senders(_batch: Batch) -> SenderRules:
    """A query or two if the rules in memory are older than two seconds."""
    return sender_rules.current()


SENDER_NOT_ALLOWED = Check(
    code=SenderNotAllowedInCountry.code,
    detail="The recipient's country does not take this kind of sender.",
    moments=frozenset({Moment.ACCEPT}),
    applies=lambda message, batch: bool(batch.of(rules_of_senders).refusal(message)),
    error=SenderNotAllowedInCountry,
    explain=lambda message, batch: batch.of(rules_of_senders).refusal(message),
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


def rules_of_hours(_batch: Batch) -> Snapshot:
    """Two queries if the rules in memory are older than two seconds."""
    return hours.current()


def _hold_of(message: Message, batch: Batch) -> Hold | None:
    """Automatic replies are exempt: their recipient has just written. A message for later is judged by its own hour."""
    if message.is_automatic:
        return None
    due = message.next_attempt_at if message.status == Status.SCHEDULED else None
    return batch.of(rules_of_hours).hold(
        number=message.to_number,
        category=message.category,
        at=max(due or batch.now, batch.now),
        owner_id=message.owner_id,
        queue_id=message.queue_id,
    )


def _opens(message: Message, batch: Batch) -> datetime:
    hold = _hold_of(message, batch)
    return hold.until if hold is not None and hold.until is not None else batch.now + NO_HOURS_WAIT


def _valid_from_opening(message: Message, batch: Batch) -> datetime | None:
    """Hours in which sending is forbidden do not count: what is left of the validity begins when they are over.

    Otherwise a message that no account takes would be valid anew each night, and never expire.
    """
    hold = _hold_of(message, batch)
    if hold is None or hold.until is None or message.valid_for is None:
        return None
    left = timedelta(seconds=message.valid_for)
    if message.next_attempt_at is None and message.expires_at is not None:  # not held or scheduled: its validity runs
        left = min(left, message.expires_at - batch.now)
    return hold.until + left


HELD_BY_HOURS = Check(
    code=OUTSIDE_HOURS,
    detail="It is outside the hours in which this message may be sent.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL, Moment.LEAVE}),
    applies=lambda message, batch: _hold_of(message, batch) is not None,
    ends=Ending.DEFER,
    explain=lambda message, batch: hold.detail if (hold := _hold_of(message, batch)) is not None else "",
    until=_opens,
    expires_at=_valid_from_opening,
)


def limits_rules(_batch: Batch) -> rules.LimitRules:
    """Three queries if the rules in memory are older than two seconds."""
    return rules.current()


def _blocked(message: Message, batch: Batch) -> str:
    return batch.of(limits_rules).prefixes.blocked(message.to_number, message.owner_id)


PREFIX_IS_BLOCKED = Check(
    code=PREFIX_BLOCKED,
    detail="Texts to this number are not allowed.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=lambda message, batch: bool(_blocked(message, batch)),
    error=PrefixBlocked,
    explain=lambda message, batch: sentences.of_block(_blocked(message, batch)),
)


def _held_prefix(message: Message, batch: Batch) -> str:
    held = batch.of(limits_rules)
    return held.held_prefix(message.to_number) if held.held and message.category == Category.OTP else ""


PREFIX_IS_HELD = Check(
    code=PREFIX_HELD,
    detail="Codes to this prefix wait until staff have looked at an alert of SMS pumping.",
    moments=frozenset({Moment.ACCEPT, Moment.CLAIM, Moment.CALL}),
    applies=lambda message, batch: bool(_held_prefix(message, batch)),
    ends=Ending.DEFER,
    explain=lambda message, batch: sentences.of_hold(_held_prefix(message, batch)),
    until=lambda _message, batch: batch.now + HELD_WAIT,
)


def limits_exceeded(batch: Batch) -> dict[UUID, Exceeded]:
    """The velocity limits that messages exceed. Those that another check refuses are not counted. One request to Redis."""
    if not batch.of(limits_rules).has_velocity:
        return {}
    refused = _refused_before_limits(batch)
    asked = [message for message in batch.messages if message.pk not in refused]
    return velocity.judge(asked, rules=batch.of(limits_rules), counting=batch.counting)


def _refused_before_limits(batch: Batch) -> set[UUID]:
    return {message.pk for message in batch.messages if any(check.applies(message, batch) for check in BEFORE_LIMITS)}


def _exceeds(code: str) -> Callable[[Message, Batch], bool]:
    def is_exceeded(message: Message, batch: Batch) -> bool:
        exceeded = batch.of(limits_exceeded).get(message.pk)
        return exceeded is not None and exceeded.code == code

    return is_exceeded


def _limit_check(error: type[RateExceeded], detail: str) -> Check:
    return Check(
        code=error.code,
        detail=detail,
        moments=frozenset({Moment.ACCEPT}),
        applies=_exceeds(error.code),
        error=error,
        explain=lambda message, batch: sentences.of_velocity(batch.of(limits_exceeded)[message.pk]),
        retry_after=lambda message, batch: sentences.retry_after(batch.of(limits_exceeded)[message.pk]),
    )


RECIPIENT_RATE = _limit_check(
    RecipientRateExceeded, "The recipient has had as many texts within an hour as are allowed."
)
VELOCITY = _limit_check(VelocityExceeded, "As many texts were sent within a time as are allowed.")


def hold_or_release(message: Message, now: datetime) -> None:
    """Judge a message that is held by hours anew, in memory. One that is released is valid from now on."""
    batch = Batch([message], now=now)
    if HELD_BY_HOURS.applies(message, batch):
        HELD_BY_HOURS.refuse(message, batch).hold()
        return
    message.next_attempt_at, message.error_detail = None, HOURS_HAVE_BEGUN
    if message.valid_for is not None and message.expires_at is not None:
        message.expires_at = min(message.expires_at, now + timedelta(seconds=message.valid_for))


# The first check that applies wins, so checks that end a message come before those that only defer it.
CHECKS: tuple[Check, ...] = (
    CANCELED,
    EXPIRED,
    ERASED,
    RECIPIENT_INACTIVE,
    RECIPIENT_OPTED_OUT,
    VERIFICATION_ENDED,
    PREFIX_IS_BLOCKED,
    SENDER_NOT_ALLOWED,
    RECIPIENT_RATE,
    VELOCITY,
    TEXT_UNREADABLE,
    PREFIX_IS_HELD,
    HELD_BY_HOURS,
)
# What they refuse at acceptance is not counted by the velocity limits.
BEFORE_LIMITS = tuple(
    check
    for check in CHECKS
    if Moment.ACCEPT in check.moments and check.error is not None and not issubclass(check.error, RateExceeded)
)
