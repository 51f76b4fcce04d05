"""Tells by its first bytes what a file is that is no accepted picture, so that its refusal can say so."""

import re

from media_store.validation import isobmff

HEAD = isobmff.HEAD
# In this order: the first that matches. Only for the text of a refusal; nothing is accepted because of it.
_KNOWN = (
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"(?:II\*\x00|MM\x00\*)"), "a TIFF or raw image"),
    (re.compile(rb"BM.{4}\x00\x00\x00\x00", re.DOTALL), "a BMP image"),
    (re.compile(rb"\x00\x00\x01\x00"), "an icon file"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 image"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "a JPEG XL image"),
    (re.compile(rb"8BPS"), "a Photoshop file"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg\b", re.DOTALL), "an SVG drawing"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE), "a web page"),
    (re.compile(rb"PK\x03\x04"), "an archive or an office document"),
    (re.compile(rb".{4}ftypcrx ", re.DOTALL), "a raw image"),
    (re.compile(rb".{4}ftyp(?:M4A |M4B )|ID3|\xff[\xfb\xf3\xf2]|OggS|#!AMR|RIFF.{4}WAVE", re.DOTALL), "a sound"),
    (re.compile(rb".{4}(?:ftyp|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF.{4}AVI ", re.DOTALL), "a video"),
    (re.compile(rb"(?:\xef\xbb\xbf)?BEGIN:VCARD", re.IGNORECASE), "a contact card"),
)


def described(head: bytes) -> str:
    """What the file is, with its article, for a person; empty if that is not known."""
    if not head:
        return "an empty file"
    return next((name for pattern, name in _KNOWN if pattern.match(head)), "")
