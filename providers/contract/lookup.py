"""Status lookup: finding a message whose call was never answered."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from providers.contract.callbacks import StatusReport
from providers.contract.sender import Sender


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """The message to find. `reference` is our message's id, `called_at` the time at which its attempt was started."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    called_at: datetime


class StatusLookup(ABC):
    """The part of a backend whose provider can be asked about messages."""

    @abstractmethod
    def fetch_status(self, query: StatusQuery) -> Sequence[StatusReport]:
        """The provider's messages that may be this one: none, one, or several that cannot be distinguished.

        Reads only. Raises only errors of `providers.errors.SendError`.
        """


def status_lookup(backend: Sender) -> StatusLookup | None:
    """The backend, if its provider can be asked about messages as it is configured."""
    return backend if backend.capabilities.status_lookup and isinstance(backend, StatusLookup) else None
