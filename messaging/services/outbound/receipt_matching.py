"""Finds the attempt that a receipt is about, and the parked receipts of an attempt.

The order: the attempt that our signed address names, our message's id, the provider's id as written, then its other spellings.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from messaging import provider_ids
from messaging.models import AttemptPart, DeliveryAttempt, ProviderCallback
from messaging.provider_ids import Likeness
from messaging.services.outbound.receipt_results import RECEIPT_MISSING
from messaging.states import AWAITING_RECEIPT
from providers.contract.callbacks import StatusReport
from providers.models import ProviderAccount

Outcome = DeliveryAttempt.Outcome
State = ProviderCallback.State
M = TypeVar("M", DeliveryAttempt, AttemptPart)

MAYBE_ACCEPTED = (Outcome.CALLING, Outcome.ACCEPTED, Outcome.UNKNOWN)
# A message that ended longer ago gets no receipt by the provider's id: the id may be in use again, and its new message unknown.
ID_KEPT_FOR = timedelta(hours=72)
# When the sweep looks for the attempt of a parked receipt, counted from its arrival.
LOOKS = (
    timedelta(0),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=2),
    timedelta(hours=24),
)
# Of the attempts with one id the newest ones are considered.
MAX_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Match:
    """`note` says why a receipt without an attempt will never have one; it is empty while the receipt may wait."""

    attempt: DeliveryAttempt | None = None
    note: str = ""


def named_attempt(
    report: StatusReport, *, account: ProviderAccount, attempt_id: UUID | None, is_only: bool
) -> DeliveryAttempt | None:
    """The attempt that a report names by our address (`attempt_id`), else by our message's id.

    A provider may send the reports about several messages (not `is_only`) to the address of one of them. As long as that one's
    own id is not known, a report there names it by our message's id only.
    """
    if attempt_id is not None:
        addresses = DeliveryAttempt.objects.select_related("message").defer("message__text")
        addressed = addresses.filter(pk=attempt_id, provider=account).first()
        if addressed is not None and (is_only or not _is_of_another(report, addressed)):
            return addressed
    return _by_reference(report, account.pk)


def _is_of_another(report: StatusReport, addressed: DeliveryAttempt) -> bool:
    """Return True if a report among several names another message than the one of the address."""
    referred = _by_reference(report, addressed.provider_id)
    if referred is not None:
        return referred.message_id != addressed.message_id
    given = Q(provider_message_id=report.provider_message_id)
    if addressed.provider_message_id == report.provider_message_id or addressed.parts.filter(given).exists():
        return False
    if _has_another_id(report.provider_message_id, addressed):
        return True
    others = [attempt for _, attempt in _with_ids(addressed.provider_id, given)]
    return any(each.message_id != addressed.message_id and each.message.status in AWAITING_RECEIPT for each in others)


def _has_another_id(given: str, addressed: DeliveryAttempt) -> bool:
    """A text of one part has one id, known or not. Another one may belong to a message whose response is not stored yet."""
    known = addressed.provider_message_id
    return bool(given) and addressed.message.segments == 1 and provider_ids.likeness(known, given) is None


def _by_reference(report: StatusReport, account: str) -> DeliveryAttempt | None:
    """Some providers repeat our message's id in the place of their own."""
    for given in (report.reference, report.provider_message_id):
        message_id = _uuid(given)
        if message_id is not None:
            attempts = list(DeliveryAttempt.objects.filter(message=message_id, provider=account).order_by("-number"))
            if attempts:
                return _latest(attempts, report.provider_message_id)
    return None


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given) if given else None
    except ValueError:
        return None


def _latest(attempts: Sequence[DeliveryAttempt], provider_message_id: str) -> DeliveryAttempt:
    """The attempt with the id, else the latest one that the provider may have accepted, else the latest one."""
    with_id = [
        each for each in attempts if each.provider_message_id and each.provider_message_id == provider_message_id
    ]
    accepted = [each for each in attempts if each.outcome in MAYBE_ACCEPTED]
    return (with_id or accepted or attempts)[0]


def find(callback: ProviderCallback, *, now: datetime) -> Match:
    named = callback.attempt
    if named is not None:
        if named.outcome in MAYBE_ACCEPTED:
            return Match(named)
        return Match(note=f"names attempt {named.number}, whose call was not accepted")
    if not callback.provider_message_id:
        return Match(note="names neither a message nor an attempt")
    found = _by_id(callback)
    if not found:
        return Match()
    best = min(likeness for likeness, _ in found)
    return _choose([attempt for likeness, attempt in found if likeness is best], now)


def _by_id(callback: ProviderCallback) -> list[tuple[Likeness, DeliveryAttempt]]:
    """Attempts whose id, or the id of a part of theirs, is a spelling of the receipt's, newest first."""
    given = callback.provider_message_id
    exact = _with_ids(callback.provider_id, Q(provider_message_id=given))
    if exact:
        return [(Likeness.EXACT, attempt) for _, attempt in exact]
    alike = _with_ids(callback.provider_id, Q(key__in=provider_ids.keys(given)))
    compared = [(provider_ids.likeness(written, given), attempt) for written, attempt in alike]
    return [(likeness, attempt) for likeness, attempt in compared if likeness is not None]


def _with_ids(account: str, condition: Q) -> list[tuple[str, DeliveryAttempt]]:
    attempts = _with_key(DeliveryAttempt.objects.filter(provider=account)).filter(condition)
    parts = _with_key(AttemptPart.objects.filter(provider=account)).filter(condition)
    attempts = attempts.select_related("message").defer("message__text").order_by("-pk")[:MAX_CANDIDATES]
    parts = parts.select_related("attempt__message").defer("attempt__message__text").order_by("-pk")[:MAX_CANDIDATES]
    found = [(each.provider_message_id, each) for each in attempts]
    found += [(part.provider_message_id, part.attempt) for part in parts]
    return sorted(found, key=lambda pair: pair[1].pk, reverse=True)


def _with_key(rows: QuerySet[M]) -> QuerySet[M]:
    return rows.exclude(provider_message_id="").alias(key=provider_ids.key("provider_message_id"))


def _choose(attempts: Sequence[DeliveryAttempt], now: datetime) -> Match:
    """Of attempts with the same id, newest first: the one whose message waits for a receipt. Two of them are a guess."""
    late = [each for each in attempts if each.message.status in AWAITING_RECEIPT]
    waiting = [each for each in late if each.message.error_code != RECEIPT_MISSING]
    if len({each.message_id for each in waiting}) > 1:
        return Match(note="several messages that wait for a receipt have this id")
    recent = [each for each in attempts if each.message.updated_at > now - ID_KEPT_FOR]
    return Match(next(iter(waiting or late or recent), None))


def started_since(callback: ProviderCallback, named: DeliveryAttempt | None) -> DeliveryAttempt | None:
    """The attempt, started after this settled receipt, that the same bytes are about now; it waits for a receipt.

    The provider uses the id of another message again, or a message that the report names (`named`) was sent again.
    """
    if callback.state not in {State.APPLIED, State.IGNORED}:
        return None
    newest = named or _newest_of_another_message(callback)
    if newest is None or newest.pk == callback.attempt_id or newest.started_at <= callback.received_at:
        return None
    return newest if newest.message.status in AWAITING_RECEIPT else None


def _newest_of_another_message(callback: ProviderCallback) -> DeliveryAttempt | None:
    if not callback.provider_message_id:
        return None
    exact = _with_ids(callback.provider_id, Q(provider_message_id=callback.provider_message_id))
    newest = exact[0][1] if exact else None
    return None if newest is None or newest.message_id == callback.message_id else newest


def parked_for(rows: Sequence[DeliveryAttempt | AttemptPart]) -> QuerySet[ProviderCallback]:
    """Parked receipts that name these attempts, or that have their ids or those of their parts."""
    keys: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.provider_message_id:
            keys[row.provider_id] |= provider_ids.keys(row.provider_message_id)
    clauses = Q(attempt__in=[row.pk for row in rows if isinstance(row, DeliveryAttempt)])
    for account, of_account in keys.items():
        clauses |= Q(provider=account, id_key__in=of_account)
    return ProviderCallback.objects.filter(clauses, state=State.UNMATCHED, note="").order_by("pk")


def next_look(callback: ProviderCallback, *, now: datetime) -> datetime | None:
    """When to look for the attempt of a parked receipt again. Both are in the database soon, or the receipt is not ours."""
    looks = (callback.received_at + delay for delay in LOOKS)
    return next((look for look in looks if look > now), None)


def due(*, now: datetime, limit: int) -> list[ProviderCallback]:
    """The parked receipts to look at, those that have waited longest first."""
    waiting = ProviderCallback.objects.filter(state=State.UNMATCHED, match_at__lte=now)
    return list(waiting.defer("body").order_by("match_at")[:limit])


def with_candidates(callbacks: Sequence[ProviderCallback]) -> list[ProviderCallback]:
    """Those that name an attempt, or whose id an attempt or a part may have. Two queries for each account."""
    found: dict[str, set[str]] = {}
    for account in {callback.provider_id for callback in callbacks}:
        given = {each.provider_message_id for each in callbacks if each.provider_id == account} - {""}
        keys = {key for each in given for key in provider_ids.keys(each)}
        known = Q(key__in=keys) | Q(provider_message_id__in=given)
        ids = [
            rows.filter(known).values_list("provider_message_id", flat=True)
            for rows in (
                _with_key(DeliveryAttempt.objects.filter(provider=account)),
                _with_key(AttemptPart.objects.filter(provider=account)),
            )
        ]
        found[account] = {key for each in chain(*ids) for key in provider_ids.keys(each)}
    return [
        callback
        for callback in callbacks
        if callback.attempt_id or found[callback.provider_id] & provider_ids.keys(callback.provider_message_id)
    ]
