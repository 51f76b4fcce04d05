"""Suppressions: the numbers that get nothing. `outbound.eligibility` reads these rows before a message is sent."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from messaging.models import Suppression
from messaging.services.errors import InvalidField
from providers.models import ProviderAccount, SenderNumber

EVERY_SENDER = ""

Source = Suppression.Source


def add(
    *, number: str, sender: str, source: Source, reason: str, now: datetime, actor: User | None = None
) -> tuple[Suppression, bool]:
    """The suppression and whether it is new; one that is there already keeps its reason. An empty sender means all.

    Each source has its own, and of clients each: what another has said is neither shown nor taken back with it.
    """
    same = {"number": number, "sender": sender, "source": source}
    values = {"reason": reason[:200], "created_at": now, "created_by": actor}
    if source == Source.API:
        same["created_by"] = values.pop("created_by")
    return Suppression.objects.get_or_create(**same, defaults=values)


def add_by_word(*, number: str, sender: str, reason: str, brought_by: User | None, now: datetime) -> bool:
    """What a person has asked for with a word of theirs; whether it is new. `brought_by`: the client that posted it, if any."""
    row, is_new = add(number=number, sender=sender, source=Source.KEYWORD, reason=reason, now=now, actor=brought_by)
    if row.created_by_id is not None and brought_by is None:
        # Their provider says so too: now it is not one client's account of it any more.
        Suppression.objects.filter(pk=row.pk).update(created_by=None)
    return is_new


def add_by_user(*, number: str, sender: str, reason: str, actor: User, now: datetime) -> tuple[Suppression, bool]:
    """As `add`, for a client. Raises `InvalidField` for a sender number that belongs to somebody else."""
    if sender and SenderNumber.objects.filter(number=sender, owner__isnull=False).exclude(owner=actor).exists():
        raise InvalidField("sender", "sender_not_allowed", "This is not one of your sender numbers.")
    return add(number=number, sender=sender, source=Source.API, reason=reason, now=now, actor=actor)


def add_reported(pairs: Iterable[tuple[str, str]], *, reason: str, now: datetime) -> None:
    """What providers say about (number, sender), in one query."""
    Suppression.objects.bulk_create(
        [
            Suppression(number=number, sender=sender, source=Source.PROVIDER, reason=reason[:200], created_at=now)
            for number, sender in sorted(set(pairs))
        ],
        ignore_conflicts=True,
    )


def may_lift(suppression: Suppression, *, user: User) -> bool:
    """Whether it is this client's own: for a sender number of theirs, or put there by themselves.

    What stands for all senders, or for a number that others use too, protects a person from everybody.
    """
    if suppression.source == Source.API and suppression.created_by_id == user.pk:
        return True
    return bool(suppression.sender) and SenderNumber.objects.filter(number=suppression.sender, owner=user).exists()


def remove(*, suppression_id: UUID) -> bool:
    deleted, _ = Suppression.objects.filter(pk=suppression_id).delete()
    return bool(deleted)


def visible_to(user: User) -> QuerySet[Suppression]:
    """For a client: what stands for its numbers or for everybody's, but not what other clients have put there."""
    foreign = SenderNumber.objects.filter(owner__isnull=False).exclude(owner=user)
    return Suppression.objects.exclude(sender__in=foreign.values("number")).filter(
        ~Q(source=Source.API) | Q(created_by=user)
    )


def lift(*, number: str, senders: Collection[str], brought_by: User | None) -> bool:
    """What a person takes back with START: all that their own words or their provider put here, and nothing of staff's.

    A client that posted the START cannot take back in the person's name what stands for all senders, unless it brought
    that word, too: it protects the person from every client.
    """
    own = Q(source__in=[Source.KEYWORD, Source.PROVIDER], sender__in=senders)
    if brought_by is not None:
        own &= ~Q(sender=EVERY_SENDER) | Q(created_by=brought_by)
    deleted, _ = Suppression.objects.filter(own, number=number).delete()
    return bool(deleted)


@dataclass(frozen=True, slots=True)
class OptOuts:
    """For each number the senders that must not write to it."""

    senders: Mapping[str, frozenset[str]] = field(repr=False)
    named_only: frozenset[str]

    def forbid(self, *, number: str, sender: str) -> bool:
        """Whether this sender must not write to this number.

        A message without a sender leaves from whatever number its account has, or its provider chooses: it is forbidden
        by an opt-out from any of these, and allowed by one from a number that is used only where it is named.
        """
        found = self.senders.get(number, frozenset())
        return bool(found & {sender, EVERY_SENDER} if sender else found - self.named_only)


def opt_outs(found: Iterable[tuple[str, str]], *, without_sender: Collection[str]) -> OptOuts:
    """The opt-outs that these pairs of number and sender are, for messages of which those to `without_sender` name no sender.

    No query, or two where one of these numbers is among the pairs.
    """
    senders: dict[str, set[str]] = {}
    for number, sender in found:
        senders.setdefault(number, set()).add(sender)
    undecided = set().union(*(senders.get(number, ()) for number in without_sender))
    named = _named_only().filter(number__in=undecided).values_list("number", flat=True) if undecided else ()
    return OptOuts(
        {number: frozenset(found) for number, found in senders.items()}, frozenset(str(number) for number in named)
    )


def _named_only() -> QuerySet[SenderNumber]:
    """The numbers that no message leaves from which does not name them, be it by its owner's default."""
    own = [account.from_number for account in ProviderAccount.objects.all() if account.from_number]
    return SenderNumber.objects.exclude(number__in=own)
