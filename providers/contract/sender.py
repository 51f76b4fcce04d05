"""Sending: the part of a backend that every provider has.

A backend is a pure translator between our values and one provider's API. It knows no ORM, no settings and no Celery. It gets
its configuration with all secrets resolved, and uses only the dataclasses of `providers.contract` and the errors of
`providers.errors`. One instance serves one account until the account changes, and is called from many threads at once.

A backend class is composed of what its provider can do: `Sender`, and optionally `providers.contract.callbacks.CallbackParser`
and `providers.contract.lookup.StatusLookup`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from providers.contract.config_types import CountryCode, Currency, Prefix, Price, SenderId
from providers.contract.media_limits import NO_LIMITS, MediaLimits, MediaLimitsConfig
from providers.contract.messages import Accepted, OutboundMessage
from providers.numbers import Notation, NumberFormat


class CommonConfig(BaseModel):
    """The keys that every backend's `config` may have."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    from_number: SenderId | None = None
    max_per_second: float | None = Field(default=None, gt=0, le=10_000, strict=True, allow_inf_nan=False)
    allowed_prefixes: tuple[Prefix, ...] = ()
    denied_prefixes: tuple[Prefix, ...] = ()
    price_per_segment: Mapping[Prefix, Price] = Field(default_factory=dict)
    currency: Currency | None = None
    number_format: Notation = Notation.E164
    default_country: CountryCode | None = None
    media_limits: MediaLimitsConfig | None = None

    @model_validator(mode="after")
    def _national_numbers_have_a_country(self) -> Self:
        if self.number_format is Notation.NATIONAL and self.default_country is None:
            raise ValueError("number_format national needs default_country")
        return self

    @property
    def numbers(self) -> NumberFormat:
        """How this provider writes numbers."""
        return NumberFormat(self.number_format, self.default_country)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for one call: `connect` for the connection, `read` from the end of the request to the end of the response."""

    connect: float = 3.0
    read: float = 10.0


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend gets besides its account's configuration. `callback_keys` sign and check callback tokens, newest first.

    `smpp_connector_urls` are the processes that may hold binds of SMPP accounts.
    """

    slug: str
    callback_keys: tuple[str, ...] = field(repr=False)
    timeouts: Timeouts = Timeouts()
    pool_size: int = 16
    smpp_connector_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do for one account, as the account is configured."""

    media: bool = False
    """`send` transmits `media_urls`."""

    media_limits: MediaLimits = NO_LIMITS
    """What the provider takes of them."""

    callbacks: bool = False
    """The provider posts receipts or incoming messages to us; the backend is a `CallbackParser`."""

    token_in_callback: bool = False
    """A token of ours in the callback address authenticates callbacks (`providers.callback_tokens`)."""

    status_lookup: bool = False
    """The provider can be asked about a message; the backend is a `StatusLookup`."""


class Sender(ABC):
    """The base class of every backend."""

    Config: ClassVar[type[CommonConfig]]
    capabilities: Capabilities = Capabilities()

    def __init__(self, config: CommonConfig, context: BackendContext) -> None:
        self.config = config
        self.context = context

    @abstractmethod
    def send(self, text: OutboundMessage) -> Accepted:
        """Hand the message over in one HTTP call, without a retry.

        Raises only errors of `providers.errors.SendError`, and `providers.send_gate.RetryAfter`, which
        `providers.http.transport.Transport` raises before the first byte is written.
        """

    def close(self) -> None:  # noqa: B027 (a backend without connections has nothing to release)
        """Release pooled connections. Called once, when no call is in flight any more."""
