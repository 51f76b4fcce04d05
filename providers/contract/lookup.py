"""Status lookup: asking a provider about a text whose call was never answered."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """What became of a text whose answer never came? `called_at` is when it was handed over, or meant to be."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    called_at: datetime
