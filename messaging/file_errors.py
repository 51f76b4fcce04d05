"""Why a file of a message is not kept: stable codes for programs, sentences for people."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class FileError(StrEnum):
    TOO_LARGE = "too_large"
    NOT_ACCEPTED = "not_accepted"
    DAMAGED = "damaged"
    ADDRESS_NOT_PUBLIC = "address_not_public"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    NOT_KEPT = "not_kept"


# What is said where nothing more is known.
DETAILS: Final[Mapping[str, str]] = {
    FileError.TOO_LARGE: "The file is too large.",
    FileError.NOT_ACCEPTED: "Files of this type are not accepted here.",
    FileError.DAMAGED: "The file is damaged.",
    FileError.ADDRESS_NOT_PUBLIC: "The file is at an address that is not public.",
    FileError.UNAVAILABLE: "The file could not be fetched.",
    FileError.FAILED: "The file could not be stored here.",
    FileError.NOT_KEPT: "The file was not fetched: the message has too many files, or this one's address cannot be used.",
}
MAX_DETAIL: Final = 200


def code_and_detail(code: str, detail: str) -> tuple[str, str]:
    """As a reader gets them. Files that were given up by older versions have a reason but no code."""
    if code:
        return code, detail or DETAILS.get(code, "")
    return FileError.UNAVAILABLE, f"The file could not be fetched: {detail}." if detail else DETAILS["unavailable"]
