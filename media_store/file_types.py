"""Recognises the files other than images that people send with a text, by their first octets.

A signature says what a file is meant to be, not that it is whole or harmless. Two libraries were tried: `filetype` 1.2.0, of
2022, knows neither vCard nor 3GP and takes Ogg video for audio; `puremagic` 1.30 names no type for AMR and for a vCard with a
byte order mark, and has several answers for WebM and MP3.
"""

from collections.abc import Callable
from typing import BinaryIO, Final

from media_store.validation import isobmff

HEAD_BYTES: Final = 4096
_VCARD: Final = "begin:vcard"
_BYTE_ORDER_MARK: Final = "\ufeff"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_BRANDS: Final = {
    "audio/mp4": ("M4A ", "M4B "),
    "video/3gpp": ("3gp", "3gr", "3gs", "3ge", "3gg"),
    "video/quicktime": ("qt  ",),
    "video/mp4": (
        "mp41",
        "mp42",
        "isom",
        "iso2",
        "iso3",
        "iso4",
        "iso5",
        "iso6",
        "avc1",
        "M4V ",
        "dash",
        "MSNV",
        "mmp4",
    ),
}
_OGG_AUDIO: Final = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")
_OGG_FIRST_PACKET: Final = 28  # octets of a page's header with one segment
_ID3_HEADER: Final = 10
_EBML: Final = b"\x1a\x45\xdf\xa3"
_EBML_DOCTYPE: Final = b"\x42\x82"

# MPEG audio: bitrates in kbit/s and rates in Hz by their indexes. Source: ISO/IEC 11172-3 and 13818-3.
_MPEG1_BITRATES: Final = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_BITRATES: Final = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG1: Final = 3


def recognise(file: BinaryIO) -> str | None:
    """The media type, one of `FILE_TYPES`; None for any other file. Reads a few thousand octets at most."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    for content_type, is_type in _TESTS.items():
        if is_type(head):
            return content_type
    if head.startswith(b"ID3") and len(head) >= _ID3_HEADER:
        return _behind_id3(file, head)
    return _iso_media(head)


def _is_vcard(head: bytes) -> bool:
    if head.startswith(_UTF_16_MARKS):
        text = head.decode("utf-16", "replace")
    elif b"\x00" in head[:4]:
        text = head.decode("utf-16-be" if head[0] == 0 else "utf-16-le", "replace")
    else:
        text = head.decode("utf-8", "replace")
    first, _, rest = text.lstrip(_BYTE_ORDER_MARK).lstrip().partition("\n")
    return first.rstrip().lower() == _VCARD and ":" in rest


def _is_ogg_audio(head: bytes) -> bool:
    return head.startswith(b"OggS") and head[_OGG_FIRST_PACKET:].startswith(_OGG_AUDIO)


def _is_wav(head: bytes) -> bool:
    return head.startswith((b"RIFF", b"RF64")) and head[8:12] == b"WAVE"


def _is_webm(head: bytes) -> bool:
    """Matroska's first element names its document type."""
    at = head.find(_EBML_DOCTYPE, 0, 64)
    return head.startswith(_EBML) and at > 0 and head[at + 2 : at + 7] == b"\x84webm"


def _is_mpeg_audio(head: bytes) -> bool:
    return _has_two_frames(head, _mpeg_frame)


def _is_adts(head: bytes) -> bool:
    return _has_two_frames(head, _adts_frame)


def _has_two_frames(head: bytes, size_of: Callable[[bytes], int]) -> bool:
    """Two frames in a row: the twelve bits that begin one stand in other data too."""
    size = size_of(head)
    return size > 0 and size_of(head[size:]) > 0


def _mpeg_frame(octets: bytes) -> int:
    """The size of the frame of MPEG audio that begins here, 0 without one."""
    if len(octets) < 4 or octets[0] != 0xFF or octets[1] & 0xE0 != 0xE0:  # noqa: PLR2004 (four octets of header)
        return 0
    version, layer = octets[1] >> 3 & 0b11, 4 - (octets[1] >> 1 & 0b11)
    bitrate_index, rate_index, padding = octets[2] >> 4, octets[2] >> 2 & 0b11, octets[2] >> 1 & 1
    bitrates = (_MPEG1_BITRATES if version == _MPEG1 else _MPEG2_BITRATES).get(layer)
    rates = _MPEG_RATES.get(version)
    if bitrates is None or rates is None or not 1 <= bitrate_index <= len(bitrates) or rate_index >= len(rates):
        return 0
    bits, rate = bitrates[bitrate_index - 1] * 1000, rates[rate_index]
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (144 if layer == 2 or version == _MPEG1 else 72) * bits // rate + padding  # noqa: PLR2004 (the layers' numbers)


def _adts_frame(octets: bytes) -> int:
    """The size of the frame of AAC in ADTS that begins here, 0 without one."""
    if len(octets) < 7 or octets[0] != 0xFF or octets[1] & 0xF6 != 0xF0:  # noqa: PLR2004 (seven octets of header)
        return 0
    size = (octets[3] & 0b11) << 11 | octets[4] << 3 | octets[5] >> 5
    return size if size >= 7 else 0  # noqa: PLR2004 (the same)


def _behind_id3(file: BinaryIO, head: bytes) -> str | None:
    """What stands behind the tag, which may be long: it can have a picture. MP3, where that is padding or no frame."""
    size = 0
    for octet in head[6:_ID3_HEADER]:
        if octet > 0x7F:  # noqa: PLR2004 (seven bits of each octet)
            return None
        size = size << 7 | octet
    file.seek(_ID3_HEADER + size)
    return "audio/aac" if _is_adts(file.read(HEAD_BYTES)) else "audio/mpeg"


def _iso_media(head: bytes) -> str | None:
    """By the major brand, else by the first of the compatible ones that is known. Pictures are left to their own validation."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= size <= len(head) or isobmff.codec(head):  # noqa: PLR2004 (the box with one brand)
        return None
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    names = [brand.decode("latin-1") for brand in brands]
    return next((kind for name in names for kind, known in _BRANDS.items() if name.startswith(known)), None)


_TESTS: Final[dict[str, Callable[[bytes], bool]]] = {
    "application/pdf": lambda head: head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-"),
    "text/vcard": _is_vcard,
    # Also what is called audio/amr-wb: players tell the two by their first octets.
    "audio/amr": lambda head: head.startswith((b"#!AMR\n", b"#!AMR-WB\n")),
    "audio/ogg": _is_ogg_audio,
    "audio/wav": _is_wav,
    "video/webm": _is_webm,
    "audio/mpeg": _is_mpeg_audio,
    "audio/aac": _is_adts,
}
