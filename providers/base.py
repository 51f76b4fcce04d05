"""What every provider backend is: a pure translator between our words and one provider's.

A backend knows no ORM, no settings and no Celery. It gets its configuration with every secret resolved, and speaks only
in the dataclasses of this module and the errors of `providers.errors`. One instance serves one account for as long as
the account's configuration does not change, and is called from many threads at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from providers.config_types import Prefix, Price, Sender


class CommonConfig(BaseModel):
    """The keys that every backend's `config` may have."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    from_number: Sender | None = None
    max_per_second: float | None = Field(default=None, gt=0, le=10_000, strict=True, allow_inf_nan=False)
    allowed_prefixes: tuple[Prefix, ...] = ()
    denied_prefixes: tuple[Prefix, ...] = ()
    price_per_segment: Mapping[Prefix, Price] = Field(default_factory=dict)


class ReportedStatus(StrEnum):
    """What a receipt says, in our words. `PROGRESS` changes nothing (the provider is still busy)."""

    PROGRESS = "progress"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"
    INVALID = "invalid"
    OPTED_OUT = "opted_out"
    UNKNOWN_WORD = "unknown_word"


@dataclass(frozen=True, slots=True)
class OutboundText:
    """One text to hand to a provider. `reference` is our message's id; `callback_url` already carries its proof."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    callback_url: str | None = field(default=None, repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the text. An empty `provider_message_id` means that no receipt can be matched by id."""

    provider_message_id: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What became of a text whose answer never came? `called_at` is when it was handed over, or meant to be."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    called_at: datetime


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One receipt. `word` is the provider's own word, `error_code` its own code; both are at most 64 characters."""

    provider_message_id: str
    status: ReportedStatus
    word: str
    error_code: str = ""


class ProviderKeyword(StrEnum):
    """What a person has asked for by a word that the provider has understood itself, and has answered."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InboundText:
    """One text from a person. `provider_message_id` is empty when the provider gives none.

    `keyword` is set where the provider has obeyed and answered a keyword itself, in whatever language; it decides then.
    """

    provider_message_id: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)
    keyword: ProviderKeyword | None = None


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What a provider wants to read when it has brought a text."""

    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class MediaAccess:
    """How an account's incoming media are fetched: who we are at the origin they lie at, and where that may redirect to."""

    origin: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    redirect_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A provider's HTTP request, as it reached us: the public URL with its query; header names in lower case."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    token: str = field(default="", repr=False)


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
    inbound_answer: ClassVar[CallbackAnswer] = CallbackAnswer("application/json", '{"result": "stored"}')

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
    def parse_inbound(self, request: CallbackRequest) -> InboundText:
        """Translate a verified incoming text; raise `MalformedCallback` when it makes no sense."""

    @abstractmethod
    def send(self, text: OutboundText) -> Accepted:
        """Hand the text over: one HTTP call, no retry. Raises only errors of `providers.errors.SendError`, and
        `providers.departure.NotYet`, which `providers.transport.Transport` raises before anything has left.
        """

    @property
    def is_called_with_token(self) -> bool:
        """Whether a callback proves itself by a token of ours in its address."""
        return False

    def media_access(self) -> MediaAccess | None:
        """For media of incoming texts that only the account may read; None where they are public."""
        return None

    @property
    def can_look_up(self) -> bool:
        """Whether `look_up` can find anything, as this account is configured."""
        return False

    def look_up(self, question: Question) -> Sequence[StatusReport]:
        """What the provider has that may be this text: nothing, one, or several that cannot be told apart.

        Reads only. Raises only errors of `providers.errors.SendError`.
        """
        return ()

    def close(self) -> None:  # noqa: B027 (a backend without connections has nothing to give back)
        """Give pooled connections back."""
