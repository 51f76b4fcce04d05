"""What a provider takes of a message's media."""

from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from providers.contract.config_types import Part

JPEG = "image/jpeg"

Bytes = Annotated[int, Field(ge=10_000, le=100_000_000, strict=True)]
Pixels = Annotated[int, Field(ge=64, le=20_000, strict=True)]
ContentType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]{1,40}$")]


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bytes of all files of a message together and of each one, pixels of an image's longer side, and media types.

    None is no limit. A larger image, or one of another type, is sent as a smaller JPEG; any other file cannot be sent.
    """

    message_bytes: int | None = None
    file_bytes: int | None = None
    max_side: int | None = None
    content_types: frozenset[str] | None = None


NO_LIMITS = MediaLimits()


class MediaLimitsConfig(Part):
    """The key `media_limits` of an account: each limit that is given replaces the provider's, and null removes it."""

    message_bytes: Bytes | None = None
    file_bytes: Bytes | None = None
    max_side: Pixels | None = None
    content_types: frozenset[ContentType] | None = None

    @model_validator(mode="after")
    def _takes_jpeg(self) -> Self:
        if self.content_types is not None and JPEG not in self.content_types:
            raise ValueError(f"content_types must have {JPEG}: images are scaled to it")
        return self

    def over(self, limits: MediaLimits) -> MediaLimits:
        return replace(limits, **{name: getattr(self, name) for name in self.model_fields_set})
