"""How long a provider may keep a message, for providers that can be told."""

import math
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from providers.contract.config_types import Part

Seconds = Annotated[int, Field(ge=1, strict=True)]


class ValidityLimits(Part):
    """The limits of a provider's own field, in seconds."""

    shortest: Seconds = 1
    longest: Seconds | None = None

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.longest is not None and self.longest < self.shortest:
            raise ValueError("longest is less than shortest")
        return self


def seconds_left(valid_until: datetime | None, *, now: datetime, shortest: int, longest: int) -> int | None:
    """The whole seconds until `valid_until`, within the provider's limits; None for a message without an end.

    Rounded down, so that the provider never sends after the end. The dispatcher calls no account after it.
    """
    if valid_until is None:
        return None
    return min(max(math.floor((valid_until - now).total_seconds()), shortest), longest)
