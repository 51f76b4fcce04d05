"""Suppressions: numbers that must not be sent to. `outbound.eligibility` reads them before a message is sent."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from messaging.models import Suppression
from messaging.services.errors import InvalidField
from providers.models import ProviderAccount, SenderNumber

EVERY_SENDER = ""
MAX_NOTE = 500
# By so much the clock of a client may be ahead.
CLOCK_SKEW = timedelta(minutes=1)
# How a person may have told a client or staff member.
CHANNELS = tuple(channel for channel in Suppression.Channel.values if channel != Suppression.Channel.TEXT)

Source = Suppression.Source


def add(
    *,
    number: str,
    sender: str,
    source: Source,
    reason: str,
    now: datetime,
    actor: User | None = None,
    channel: str = "",
    note: str = "",
    requested_at: datetime | None = None,
) -> tuple[Suppression, bool]:
    """Return the suppression and whether it is new. An existing one keeps its reason. An empty sender means all senders.

    Each source and channel has its own row, and for the API each client: a client neither sees nor removes another client's
    row. `channel` is how the person said so, and `requested_at` when: then a client or staff member enters it.
    """
    values = {"reason": reason[:200], "note": note[:MAX_NOTE], "requested_at": requested_at, "created_at": now}
    if source == Source.API:
        return Suppression.objects.get_or_create(
            number=number, sender=sender, source=source, channel=channel, created_by=actor, defaults=values
        )
    return Suppression.objects.get_or_create(
        number=number, sender=sender, source=source, channel=channel, defaults={**values, "created_by": actor}
    )


def add_by_keyword(*, number: str, sender: str, reason: str, posted_by: User | None, now: datetime) -> bool:
    """Store a person's opt-out by keyword; return whether it is new. `posted_by` is the client that posted the text, if any."""
    row, is_new = add(number=number, sender=sender, source=Source.KEYWORD, reason=reason, now=now, actor=posted_by)
    if row.created_by_id is not None and posted_by is None:
        # A provider has confirmed what until now one client claimed.
        Suppression.objects.filter(pk=row.pk).update(created_by=None)
    return is_new


def add_by_user(
    *,
    number: str,
    sender: str,
    reason: str,
    actor: User,
    now: datetime,
    channel: str = "",
    note: str = "",
    requested_at: datetime | None = None,
) -> tuple[Suppression, bool]:
    """As `add`, for a client. Raises `InvalidField` for another client's sender number, and a time in the future."""
    check_requested_at(requested_at, now=now)
    if sender and SenderNumber.objects.filter(number=sender, owner__isnull=False).exclude(owner=actor).exists():
        raise InvalidField("sender", "sender_not_allowed", "This is not one of your senders.")
    return add(
        number=number,
        sender=sender,
        source=Source.API,
        reason=reason,
        now=now,
        actor=actor,
        channel=channel,
        note=note,
        requested_at=requested_at,
    )


def check_requested_at(requested_at: datetime | None, *, now: datetime) -> None:
    """Raise `InvalidField` for an opt-out that the person is said to have made in the future."""
    if requested_at is not None and requested_at > now + CLOCK_SKEW:
        raise InvalidField("requested_at", "in_the_future", "This time has not come yet.")


def add_reported(pairs: Iterable[tuple[str, str]], *, reason: str, now: datetime) -> None:
    """Store the opt-outs (number, sender) that providers reported, in one query."""
    Suppression.objects.bulk_create(
        [
            Suppression(number=number, sender=sender, source=Source.PROVIDER, reason=reason[:200], created_at=now)
            for number, sender in sorted(set(pairs))
        ],
        ignore_conflicts=True,
    )


def may_lift(suppression: Suppression, *, user: User) -> bool:
    """Whether this client may remove it: the client created it by the API, or owns its sender number.

    A suppression for all senders, or for a shared number, protects the recipient from all clients.
    """
    if suppression.source == Source.API and suppression.created_by_id == user.pk:
        return True
    return bool(suppression.sender) and SenderNumber.objects.filter(number=suppression.sender, owner=user).exists()


def remove(*, suppression_id: UUID) -> bool:
    deleted, _ = Suppression.objects.filter(pk=suppression_id).delete()
    return bool(deleted)


def visible_to(user: User) -> QuerySet[Suppression]:
    """The suppressions that a client sees: those for its own numbers, shared numbers or all senders, and not other clients'."""
    foreign = SenderNumber.objects.filter(owner__isnull=False).exclude(owner=user)
    return Suppression.objects.exclude(sender__in=foreign.values("number")).filter(
        ~Q(source=Source.API) | Q(created_by=user)
    )


def lift(*, number: str, senders: Collection[str], posted_by: User | None) -> bool:
    """Remove the opt-outs that START revokes: those by keyword or reported by a provider; return whether there were any.

    Suppressions of clients and staff stay. A START posted by a client (`posted_by`) removes an opt-out from all senders only if
    the same client posted that opt-out, because it protects the person from every client.
    """
    own = Q(source__in=[Source.KEYWORD, Source.PROVIDER], sender__in=senders)
    if posted_by is not None:
        own &= ~Q(sender=EVERY_SENDER) | Q(created_by=posted_by)
    deleted, _ = Suppression.objects.filter(own, number=number).delete()
    return bool(deleted)


@dataclass(frozen=True, slots=True)
class OptOuts:
    """For each number the senders that must not send to it."""

    senders: Mapping[str, frozenset[str]] = field(repr=False)
    named_only: frozenset[str]

    def forbid(self, *, number: str, sender: str) -> bool:
        """Whether this sender must not send to this number.

        A message without a sender is sent from its account's number or one that the provider chooses, so an opt-out from any
        of these forbids it. An opt-out from a number that is used only when named (`named_only`) does not.
        """
        found = self.senders.get(number, frozenset())
        return bool(found & {sender, EVERY_SENDER} if sender else found - self.named_only)


def opt_outs(found: Iterable[tuple[str, str]], *, without_sender: Collection[str]) -> OptOuts:
    """Build `OptOuts` from pairs of number and sender. `without_sender` are the recipients of messages without a sender.

    No query, or two if one of these recipients has an opt-out.
    """
    senders: dict[str, set[str]] = {}
    for number, sender in found:
        senders.setdefault(number, set()).add(sender)
    undecided = set().union(*(senders.get(number, ()) for number in without_sender))
    named = _named_only().filter(number__in=undecided).values_list("number", flat=True) if undecided else ()
    return OptOuts({number: frozenset(found) for number, found in senders.items()}, frozenset(named))


def _named_only() -> QuerySet[SenderNumber]:
    """Sender numbers that are used only by messages that name them: those that are not an account's own number."""
    own = [account.from_number for account in ProviderAccount.objects.all() if account.from_number]
    return SenderNumber.objects.exclude(number__in=own)
