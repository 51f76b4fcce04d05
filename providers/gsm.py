"""The GSM 03.38 alphabet, one octet for each septet (unpacked), as HTTP gateways and SMPP hand it over.

Source: 3GPP TS 23.038, section 6.2.1.
"""

from typing import Final

ESCAPE: Final = 0x1B
BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_OCTETS: Final = {
    **{character: bytes([code]) for code, character in enumerate(BASIC) if code != ESCAPE},
    **{character: bytes([ESCAPE, code]) for code, character in EXTENSION.items()},
}
_UNKNOWN: Final = _OCTETS["?"]


def encode(text: str) -> bytes:
    """The text's octets. A character outside the alphabet becomes a question mark."""
    return b"".join(_OCTETS.get(character, _UNKNOWN) for character in text)


def decode(octets: bytes) -> str:
    """The text of these octets. Raises `ValueError` for an octet above 127.

    By the standard, what the extension table does not have is read from the basic one, and an escape at the end is a space.
    """
    characters, escaped = [], False
    for octet in octets:
        if octet >= len(BASIC):
            raise ValueError("not GSM 03.38")
        if octet == ESCAPE and not escaped:
            escaped = True
            continue
        basic = " " if octet == ESCAPE else BASIC[octet]
        characters.append(EXTENSION.get(octet, basic) if escaped else basic)
        escaped = False
    return "".join(characters) + (" " if escaped else "")
