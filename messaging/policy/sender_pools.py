"""Which number of a pool a recipient gets: always the same one, by rendezvous hashing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType

from messaging.policy import zones
from providers.senders import SenderKind, kind_of


@dataclass(frozen=True, slots=True)
class SenderPool:
    """The senders of one queue. Numbers of the recipient's country go first; the others serve where there is none.

    A sender that leaves moves only the recipients that it had. One that joins takes over its own share, and no other moves;
    the first of a country takes over all recipients there.
    """

    senders: tuple[str, ...]
    _by_country: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, tuple[str, ...]] = {}
        for sender in sorted(set(self.senders)):
            country = zones.location_of(sender).country if kind_of(sender) is SenderKind.NUMBER else ""
            found[country] = (*found.get(country, ()), sender)
        object.__setattr__(self, "_by_country", MappingProxyType(found))

    def sender_for(self, recipient: str) -> str:
        """For a number in E.164; empty if the pool is."""
        own = () if len(self._by_country) <= 1 else self._by_country.get(zones.location_of(recipient).country, ())
        return _highest(own or self.senders, recipient)


def _highest(senders: Iterable[str], recipient: str) -> str:
    return max(senders, key=lambda sender: (_weight(sender, recipient), sender), default="")


def _weight(sender: str, recipient: str) -> bytes:
    """The same in all processes and releases: another one would move every recipient."""
    return blake2b(f"{sender}\n{recipient}".encode(), digest_size=8).digest()
