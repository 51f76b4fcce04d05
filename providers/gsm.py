"""The GSM 03.38 alphabet, one octet for each septet (unpacked), as HTTP gateways and SMPP hand it over, and packed.

Source: 3GPP TS 23.038, sections 6.2.1 (alphabet) and 6.1.2 (packing).
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
CHARACTERS: Final = frozenset(_OCTETS)
EXTENDED: Final = frozenset(EXTENSION.values())
"""The characters that take two septets."""

SEPTET_BITS, OCTET_BITS = 7, 8
CARRIAGE_RETURN: Final = 0x0D
_SEPTET, _OCTET = 0x7F, 0xFF


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


def pack(septets: bytes, *, fill_bits: int = 0) -> bytes:
    """Eight septets in seven octets, lowest bits first, behind so many bits that are zero.

    Seven bits that are left over at the end become a carriage return: zeros would be read as one more `@`.
    """
    packed, bits, held = bytearray(), 0, fill_bits
    for septet in septets:
        bits |= septet << held
        held += SEPTET_BITS
        if held >= OCTET_BITS:
            packed.append(bits & _OCTET)
            bits >>= OCTET_BITS
            held -= OCTET_BITS
    if held:
        packed.append(bits | CARRIAGE_RETURN << 1 if held == 1 else bits)
    return bytes(packed)


def unpack(octets: bytes, *, fill_bits: int = 0) -> bytes:
    """The septets, one an octet. What `pack` appended to fill the last octet is among them."""
    septets, bits, held = bytearray(), 0, -fill_bits
    for octet in octets:
        bits |= octet << (held + fill_bits)
        held += OCTET_BITS
        if fill_bits:
            bits >>= fill_bits
            fill_bits = 0
        while held >= SEPTET_BITS:
            septets.append(bits & _SEPTET)
            bits >>= SEPTET_BITS
            held -= SEPTET_BITS
    return bytes(septets)
