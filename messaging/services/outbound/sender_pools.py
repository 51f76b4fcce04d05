"""The sender of a message that names none, from its queue's pool, which each process keeps in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from messaging.models import OutboundQueue
from messaging.policy.sender_pools import SenderPool
from messaging.services.errors import InvalidField
from messaging.services.snapshots import SnapshotMemory
from providers.models import SenderNumber

# The pools are read again when they are older, so that a change takes effect everywhere within this time.
REFRESH_SECONDS = 2.0
MAX_SENDERS = 100


@dataclass(slots=True)
class SenderPools:
    """The pools by queue, as they were at one time; queues without one are not in it."""

    pools: Mapping[str, SenderPool] = field(default_factory=dict)
    read_at: float = 0.0

    def sender_for(self, queue: str, recipient: str) -> str:
        """The recipient's number in the queue's pool; empty without a pool."""
        pool = self.pools.get(queue)
        return pool.sender_for(recipient) if pool is not None else ""


def find(numbers: Collection[str]) -> list[SenderNumber]:
    """The senders with these numbers, for a pool. Raises `InvalidField` if one is unknown or a user's own, or for too many."""
    wanted = set(numbers)
    if len(wanted) > MAX_SENDERS:
        raise InvalidField("sender_pool", "too_many", f"At most {MAX_SENDERS} senders.")
    found = list(SenderNumber.objects.filter(number__in=wanted, owner__isnull=True))
    missing = sorted(wanted - {each.number for each in found})
    if missing:
        detail = f"{', '.join(missing)}: not a sender number that all users may use."
        raise InvalidField("sender_pool", "unknown_sender", detail)
    return found


def of_queues(names: Collection[str]) -> dict[str, list[str]]:
    """The senders of these queues' pools, in order, with one query."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for queue, number in _members(Q(pk__in=names)):
        found[queue].append(number)
    return found


def _members(queues: Q) -> list[tuple[str, str]]:
    """Queue and number of the senders in their pools. A number that has got an owner since is in none."""
    rows = OutboundQueue.objects.filter(queues, sender_pool__isnull=False, sender_pool__owner__isnull=True)
    return list(rows.order_by("sender_pool__number").values_list("name", "sender_pool__number"))


def _read(_last: SenderPools) -> SenderPools:
    members: dict[str, list[str]] = {}
    for queue, number in _members(Q()):
        members.setdefault(queue, []).append(number)
    return SenderPools({queue: SenderPool(tuple(numbers)) for queue, numbers in members.items()})


_memory = SnapshotMemory(SenderPools(), _read, seconds=lambda: REFRESH_SECONDS)
current = _memory.fresh
"""The pools, read again if they are older than `REFRESH_SECONDS`: one query."""
expire = _memory.expire
use = _memory.use
