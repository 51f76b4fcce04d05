"""What every provider backend is: a pure translator between our words and one provider's.

A backend knows no ORM, no settings and no Celery. It gets its configuration with every secret resolved, and speaks only
in the dataclasses of this module and the errors of `providers.errors`. One instance serves one account for as long as
the account's configuration does not change, and is called from many threads at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from providers.contract.callbacks import CallbackRequest, CallbackResponse, MediaAccess, StatusReport
from providers.contract.config_types import Prefix, Price, SenderId
from providers.contract.lookup import StatusQuery
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage


class CommonConfig(BaseModel):
    """The keys that every backend's `config` may have."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    from_number: SenderId | None = None
    max_per_second: float | None = Field(default=None, gt=0, le=10_000, strict=True, allow_inf_nan=False)
    allowed_prefixes: tuple[Prefix, ...] = ()
    denied_prefixes: tuple[Prefix, ...] = ()
    price_per_segment: Mapping[Prefix, Price] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for one call: to connect, and from the request's end to the answer's end."""

    connect: float = 3.0
    read: float = 10.0


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What an account gives its backend besides the configuration."""

    slug: str
    callback_keys: tuple[str, ...] = field(repr=False)
    timeouts: Timeouts = Timeouts()
    pool_size: int = 16


class Backend(ABC):
    """The verbs, always in this order in a backend's file: verify, parse, parse, send, and for some look up."""

    Config: ClassVar[type[CommonConfig]]
    supports_media: ClassVar[bool] = False
    inbound_response: ClassVar[CallbackResponse] = CallbackResponse("application/json", '{"result": "stored"}')

    def __init__(self, config: CommonConfig, context: BackendContext) -> None:
        self.config = config
        self.context = context

    @abstractmethod
    def verify(self, request: CallbackRequest) -> None:
        """Raise `BadProof` unless the request proves that it comes from this account's provider."""

    @abstractmethod
    def parse_status(self, request: CallbackRequest) -> StatusReport:
        """Translate a verified receipt; raise `MalformedCallback` if it makes no sense. An unknown status word does."""

    @abstractmethod
    def parse_inbound(self, request: CallbackRequest) -> InboundMessage:
        """Translate a verified incoming text; raise `MalformedCallback` when it makes no sense."""

    @abstractmethod
    def send(self, text: OutboundMessage) -> Accepted:
        """Hand the text over: one HTTP call, no retry. Raises only errors of `providers.errors.SendError`, and
        `providers.send_gate.NotYet`, which `providers.http.transport.Transport` raises before anything has left.
        """

    @property
    def is_called_with_token(self) -> bool:
        """Whether a callback proves itself by a token of ours in its address."""
        return False

    def media_access(self) -> MediaAccess | None:
        """For media of incoming texts that only the account may read; None where they are public."""
        return None

    @property
    def can_fetch_status(self) -> bool:
        """Whether `fetch_status` can find anything, as this account is configured."""
        return False

    def fetch_status(self, question: StatusQuery) -> Sequence[StatusReport]:
        """What the provider has that may be this text: nothing, one, or several that cannot be told apart.

        Reads only. Raises only errors of `providers.errors.SendError`.
        """
        return ()

    def close(self) -> None:  # noqa: B027 (a backend without connections has nothing to give back)
        """Give pooled connections back."""
