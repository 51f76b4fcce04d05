"""Detects polyglot files: images that another program would read as a document or an archive.

Only the copy that goes out is looked at: what was cut out of it does not leave the house.
"""

import re

from media_store.errors import BadImage
from media_store.validation.picture import Data

HEAD = 1024  # where PDF readers and old browsers look for a start marker
TAIL = 22 + 65_535  # where ZIP readers look for the end of the directory
_DOCUMENT = re.compile(rb"%PDF-|<(?:!doctype|html|head|body|script|iframe|svg|\?php)\b", re.IGNORECASE)
_ZIP_END, _ZIP_ENTRY = b"PK\x05\x06", b"PK\x01\x02"


def refuse(data: Data) -> None:
    """Raises `BadImage` for a copy that is also a document or an archive."""
    if _DOCUMENT.search(data[:HEAD]) or _is_archive(data):
        raise BadImage(
            "foreign_data",
            "A web page, a PDF or an archive is hidden in the picture. Save it again in a photo app, and upload that file.",
        )


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
