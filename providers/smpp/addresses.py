"""Numbers, short codes and names as SMPP addresses: the text with its type of number (TON) and numbering plan (NPI).

| what | TON | NPI | text |
| --- | --- | --- | --- |
| a number in international notation | 1 | 1 | as the account writes numbers: digits without a plus, unless it says otherwise |
| a number in national notation, or with `00` | 2, or 0 | 1 | the same |
| a short code | 3 | 0 | its digits |
| a name | 5 | 0 | the name |
| nothing | 0 | 0 | empty: the carrier chooses the sender |

Carriers' guides agree on numbers and names. For a short code most of the guides that mention it ask for 3 and 0 (Voxox refuses
anything else); the others ignore the types of a sender that they know.
Source: SMPP 3.4, sections 5.2.5 and 5.2.6.
"""

from enum import IntEnum

from providers import numbers
from providers.numbers import Notation, NumberFormat
from providers.smpp.pdu import SmppAddress


class TypeOfNumber(IntEnum):
    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6


class NumberingPlan(IntEnum):
    UNKNOWN = 0
    ISDN = 1


NO_ADDRESS = SmppAddress("")
_ISDN = NumberingPlan.ISDN
# Types of what is no telephone number, whatever digits it has.
_NO_NUMBERS = frozenset({TypeOfNumber.NETWORK_SPECIFIC, TypeOfNumber.ALPHANUMERIC, TypeOfNumber.ABBREVIATED})
_INTERNATIONAL_FORMAT = NumberFormat(Notation.E164)
DOUBLE_ZERO = "00"


def write(sender_or_recipient: str | None, number_format: NumberFormat) -> SmppAddress:
    """The address of a number in E.164, a short code or a name; an empty one for None."""
    if not sender_or_recipient:
        return NO_ADDRESS
    if numbers.is_number(sender_or_recipient):
        return _number(sender_or_recipient, number_format)
    if sender_or_recipient.isascii() and sender_or_recipient.isdigit():
        return SmppAddress(sender_or_recipient, TypeOfNumber.NETWORK_SPECIFIC)
    return SmppAddress(sender_or_recipient, TypeOfNumber.ALPHANUMERIC)


def read(address: SmppAddress, number_format: NumberFormat) -> str:
    """The number in E.164 if it can be read, else the text as it came.

    The digits of an international address have their country code. Of all others the account's notation decides: peers declare
    digits as national that are none (Kannel does), so that type proves nothing.
    """
    if address.ton in _NO_NUMBERS:
        return address.text
    if address.ton == TypeOfNumber.INTERNATIONAL:
        return _international(address.text) or address.text
    return number_format.read(address.text) or address.text


def _number(number: str, number_format: NumberFormat) -> SmppAddress:
    text = number_format.write(number)
    if text.startswith(DOUBLE_ZERO):
        return SmppAddress(text, TypeOfNumber.UNKNOWN, _ISDN)
    is_national = number_format.notation is Notation.NATIONAL
    return SmppAddress(text, TypeOfNumber.NATIONAL if is_national else TypeOfNumber.INTERNATIONAL, _ISDN)


def _international(text: str) -> str | None:
    """The number with a plus, with `00`, or with neither."""
    digits = text.strip()
    return _INTERNATIONAL_FORMAT.read(digits if digits.startswith(("+", DOUBLE_ZERO)) else f"+{digits}")
