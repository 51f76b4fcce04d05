"""Marks of inbound texts: what is unusual about a stored text. They are shown as its error."""

from collections.abc import Iterable
from dataclasses import dataclass

from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.services.errors import SenderRateLimited

MAX_MEDIA_URL_LENGTH = 2000
MAX_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Mark:
    """`code` is stable, for programs; `detail` is a sentence for users."""

    code: str
    detail: str


UNREADABLE_SENDER = Mark("unreadable_number", "The sender's number cannot be read; this text got no automatic reply.")
UNREADABLE_RECIPIENT = Mark(
    "unreadable_number", "The number that received this text cannot be read; it got no automatic reply."
)
CUT = Mark(
    "too_long",
    f"Only the first {MAX_INBOUND_CHARACTERS:,} characters are shown here; the history has the whole text.",
)
TOO_LONG = Mark("too_long", "The text is longer than the limit; it got no automatic reply.")
RATE_LIMITED = Mark(SenderRateLimited.code, "The sender exceeded the rate limit; this text got no automatic reply.")
# A text with one of these codes gets no automatic reply. They come before other marks.
WITHOUT_REPLY = frozenset(mark.code for mark in (UNREADABLE_SENDER, TOO_LONG, RATE_LIMITED))


def parts_missing(missing: int, count: int) -> Mark:
    return Mark("parts_missing", f"{missing} of {count} parts of this text did not arrive in time.")


def media_left_out(left_out: int) -> Mark:
    return Mark(
        "media_left_out",
        f"{left_out} of the media could not be kept: at most {MAX_ATTACHMENTS} are, each with an HTTP URL of at most"
        f" {MAX_MEDIA_URL_LENGTH} characters.",
    )


def as_error(marks: Iterable[Mark]) -> tuple[str, str]:
    """The error code and detail of a text with these marks, the most important first; both empty without any."""
    found = list(dict.fromkeys(marks))
    return (found[0].code if found else ""), " ".join(mark.detail for mark in found)[:MAX_DETAIL]
