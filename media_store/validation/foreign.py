"""Detects polyglot files: images that another program would read as a document or an archive."""

import re

from media_store.errors import BadImage
from media_store.validation.picture import Data

HEAD = 1024  # where PDF readers and old browsers look for a start marker
TAIL = 22 + 65_535  # where ZIP readers look for the end of the directory
_DOCUMENT = re.compile(rb"%PDF-|<(?:!doctype|html|head|body|script|iframe|svg|\?php)\b", re.IGNORECASE)
_ZIP_END, _ZIP_ENTRY = b"PK\x05\x06", b"PK\x01\x02"


def refuse(data: Data) -> None:
    """Raises `BadImage` for a file that is also a document or an archive."""
    if _DOCUMENT.search(data[:HEAD]) or _is_archive(data):
        raise BadImage("foreign_data", "The file is also a document or an archive.")


def _is_archive(data: Data) -> bool:
    """Whether a ZIP directory ends in the tail. Four bytes alone may be chance, so its first entry must exist too."""
    start = max(0, len(data) - TAIL)
    tail = data[start:]
    at = tail.find(_ZIP_END)
    while at >= 0:
        size = int.from_bytes(tail[at + 12 : at + 16], "little")
        first = start + at - size
        if size and first >= 0 and data[first : first + 4] == _ZIP_ENTRY:
            return True
        at = tail.find(_ZIP_END, at + 1)
    return False
