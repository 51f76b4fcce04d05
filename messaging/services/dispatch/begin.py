"""Choosing an account for each claimed message and writing the attempt, before anything is called."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from messaging.models import DeliveryAttempt, Message
from messaging.retry_policy import NO_ACCOUNT_DELAY
from messaging.services import transitions
from messaging.services.transitions import Move, save_together
from messaging.states import Source, Status
from providers import routing
from providers.models import ProviderAccount, SenderNumber
from providers.routing import Candidate, SpreadSequence

logger = logging.getLogger(__name__)

_positions = SpreadSequence()


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt that is written down and may now be made. `tried` are the accounts of this round, this one included."""

    attempt_id: UUID
    number: int
    claim_id: UUID
    message: Message = field(repr=False)
    account: ProviderAccount
    tried: frozenset[str]
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed message that is to be tried at an account that it was not yet tried at in this round."""

    message: Message = field(repr=False)
    claim_id: UUID
    tried: frozenset[str] = frozenset()
    retry_after: float | None = None


class Accounts:
    """The enabled accounts and the numbers that only one of them can carry, as one snapshot."""

    def __init__(self, senders: Iterable[str]) -> None:
        self.by_slug: Mapping[str, ProviderAccount] = {
            account.slug: account for account in ProviderAccount.objects.filter(is_enabled=True)
        }
        self.candidates = [candidate_of(account) for account in self.by_slug.values()]
        bound = SenderNumber.objects.filter(number__in=set(senders), account__isnull=False)
        self.bound = {str(number): slug for number, slug in bound.values_list("number", "account_id")}

    def serving(self, message: Message) -> list[Candidate]:
        """All accounts that can carry this message, tried or not."""
        only = self.bound.get(message.from_number)
        return [
            candidate
            for candidate in self.candidates
            if (only is None or candidate.slug == only) and routing.serves(candidate, message.to_number)
        ]

    def choose(self, message: Message, tried: frozenset[str]) -> ProviderAccount | None:
        slug = routing.choose(
            self.serving(message), number=message.to_number, position=_positions.next(), exclude=tried
        )
        return self.by_slug[slug] if slug is not None else None


def candidate_of(account: ProviderAccount) -> Candidate:
    return Candidate(
        slug=account.slug,
        weight=account.weight,
        allowed_prefixes=tuple(account.config.get("allowed_prefixes") or ()),
        denied_prefixes=tuple(account.config.get("denied_prefixes") or ()),
    )


def begin(claimed: Sequence[Message], *, now: datetime, lease: timedelta) -> list[Call]:
    """Attempts for freshly claimed messages; those that no account serves end or wait here."""
    turns = [Turn(message, message.claim_id) for message in claimed]
    with transaction.atomic():
        held = _without_canceled(lock_held(turns, now), now)
        accounts = Accounts(message.from_number for message in held.values())
        calls = open_attempts(turns, held, accounts, now=now, lease=lease)
        begun = {call.message.pk for call in calls}
        _put_back([message for pk, message in held.items() if pk not in begun], accounts, now)
    return calls


def _without_canceled(held: dict[UUID, Message], now: datetime) -> dict[UUID, Message]:
    """Those that somebody has taken back between the claim and the call end here."""
    canceled = [message for message in held.values() if message.cancel_requested]
    moves = [Move(message, Status.CANCELED, Source.DISPATCH, detail="canceled before the call") for message in canceled]
    transitions.apply(moves, now=now)
    return {pk: message for pk, message in held.items() if not message.cancel_requested}


def lock_held(turns: Sequence[Turn], now: datetime) -> dict[UUID, Message]:
    """The messages that are still ours: a claim whose lease is over may have another owner by now."""
    claims = {turn.message.pk: turn.claim_id for turn in turns}
    rows = Message.objects.select_for_update().filter(pk__in=list(claims), status=Status.SENDING, lease_until__gt=now)
    return {row.pk: row for row in rows.order_by("pk") if row.claim_id == claims[row.pk]}


def open_attempts(
    turns: Sequence[Turn], held: Mapping[UUID, Message], accounts: Accounts, *, now: datetime, lease: timedelta
) -> list[Call]:
    """Choose, write the attempts and prolong the leases: two queries. Runs inside the caller's transaction."""
    calls: list[Call] = []
    for turn in turns:
        message = held.get(turn.message.pk)
        account = accounts.choose(message, turn.tried) if message is not None else None
        if message is None or account is None:
            continue
        message.attempts += 1
        message.provider = account
        message.lease_until = now + lease
        calls.append(
            Call(
                attempt_id=uuid7(),
                number=message.attempts,
                claim_id=turn.claim_id,
                message=message,
                account=account,
                tried=turn.tried | {account.slug},
                retry_after=turn.retry_after,
            )
        )
    if calls:
        DeliveryAttempt.objects.bulk_create(
            DeliveryAttempt(
                id=call.attempt_id,
                message=call.message,
                number=call.number,
                provider=call.account,
                claim_id=call.claim_id,
                started_at=now,
            )
            for call in calls
        )
        save_together([call.message for call in calls], ["attempts", "provider", "lease_until"])
    return calls


def _put_back(messages: Sequence[Message], accounts: Accounts, now: datetime) -> None:
    """No account can take these: without any account they wait, with the wrong ones only they fail at once."""
    moves = []
    for message in messages:
        if any(candidate.weight for candidate in accounts.candidates):
            message.error_code = "no_route"
            message.error_detail = "No enabled provider account serves this number."
            moves.append(Move(message, Status.FAILED, Source.DISPATCH, detail="no_route"))
        else:
            message.next_attempt_at = min(now + timedelta(seconds=NO_ACCOUNT_DELAY), message.expires_at)
            moves.append(Move(message, Status.QUEUED, Source.DISPATCH, detail="no provider account is enabled"))
    if any(move.to is Status.QUEUED for move in moves):
        logger.error("no provider account is enabled; messages wait")
    transitions.apply(moves, now=now, fields=["error_code", "error_detail", "next_attempt_at"])
