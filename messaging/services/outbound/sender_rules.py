"""Does the recipient's country take this sender? By the enabled rules, which each process keeps in memory.

A sender that it does not take is replaced by its owner's fallback sender when the message is accepted, or refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import F, Q

from messaging.models import CountrySenders, Message, OwnerPolicy
from messaging.policy import zones
from messaging.policy.sender_rules import SenderRule, in_words, shipped
from messaging.services.snapshots import SnapshotMemory
from providers.senders import SenderKind, kind_of

# The rules are read again when they are older, so that a change takes effect everywhere within this time.
REFRESH_SECONDS = 2.0


@dataclass(slots=True)
class SenderRules:
    """The enabled rules by country, and the fallback senders by owner, as they were at one time."""

    rules: Mapping[str, SenderRule] = field(default_factory=dict)
    fallbacks: Mapping[int, str] = field(default_factory=dict)
    read_at: float = 0.0

    def refusal(self, message: Message) -> str:
        """Why the country does not take the message's sender, to users; empty if it does.

        Without a sender the account decides. An automatic reply has the sender that was written to.
        """
        if not self.rules or not message.from_number or message.is_automatic:
            return ""
        return self._refusal(message.from_number, message.to_number)

    def replace(self, messages: Iterable[Message]) -> None:
        """Give messages whose sender is not taken that of their owner's policy, in memory, if the country takes it."""
        if not self.fallbacks:
            return
        for message in messages:
            fallback = self.fallbacks.get(message.owner_id or 0)
            if fallback and self.refusal(message) and not self._refusal(fallback, message.to_number):
                message.replaced_sender, message.from_number = message.from_number, fallback

    def _refusal(self, sender: str, number: str) -> str:
        rule = self.rules.get(zones.location_of(number).country)
        kind = kind_of(sender)
        if rule is None or kind in rule.takes:
            return ""
        taken = " and ".join(in_words(each) for each in SenderKind if each in rule.takes)
        return f"{rule.country} takes no {in_words(kind)} as senders, only {taken}."


def announced(message: Message) -> str:
    """What became of the sender, for the history of the message; empty if it is the one that was asked for."""
    if not message.replaced_sender:
        return ""
    kind = in_words(kind_of(message.replaced_sender))
    return (
        f"Sender {message.replaced_sender} replaced by {message.from_number}: the recipient's country takes no {kind}."
    )


def install() -> None:
    """Add the shipped rules that are missing, switched off: an installation may have carriers that replace names."""
    CountrySenders.objects.bulk_create(
        [
            CountrySenders(
                country=rule.country,
                takes_numbers=SenderKind.NUMBER in rule.takes,
                takes_short_codes=SenderKind.SHORT_CODE in rule.takes,
                takes_names=SenderKind.NAME in rule.takes,
                source=rule.source,
                is_enabled=False,
            )
            for rule in shipped()
        ],
        ignore_conflicts=True,
    )


def _read(_last: SenderRules) -> SenderRules:
    rules = {row.country: row.as_rule() for row in CountrySenders.objects.filter(is_enabled=True)}
    fallbacks = dict[int, str]()
    if rules:
        usable = Q(fallback_sender__owner=F("owner")) | Q(fallback_sender__owner__isnull=True)
        found = OwnerPolicy.objects.filter(usable, fallback_sender__isnull=False).order_by()
        fallbacks = dict(found.values_list("owner_id", "fallback_sender__number"))
    return SenderRules(rules, fallbacks)


_memory = SnapshotMemory(SenderRules(), _read, seconds=lambda: REFRESH_SECONDS)
current = _memory.fresh
"""The rules, read again if they are older than `REFRESH_SECONDS`: one query, and another one if there are any."""
expire = _memory.expire
use = _memory.use
