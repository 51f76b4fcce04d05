"""Whether a list may have a number, in whatever notation, encoding and column it is written."""

import re
from io import TextIOWrapper
from typing import BinaryIO, Final

import phonenumbers
from phonenumbers import PhoneNumberFormat

from providers.numbers import plain
from scheduling.recipients_csv import MAX_RECORD, is_utf_16

_LONGEST_COUNTRY_CODE: Final = 3


def may_have(stream: BinaryIO, number: str) -> bool:
    """Whether a line of the file has the digits of the number (E.164), without those of a country code.

    True may be wrong, because digits of other cells of the line count too. False is wrong only for a number that is broken
    into two lines.
    """
    last = number[1 + _LONGEST_COUNTRY_CODE :]
    national = _national(number) or last
    encoding = "utf-16" if is_utf_16(stream) else "utf-8-sig"
    text = TextIOWrapper(stream, encoding=encoding, errors="replace", newline=None)
    try:
        while line := text.readline(MAX_RECORD):
            digits = re.sub(r"[^0-9]", "", plain(line))
            if last in digits or national in digits:
                return True
        return False
    finally:
        text.detach()


def _national(number: str) -> str:
    """The digits of the number as it is dialled in its country, without a first 0: mobile ones in Argentina have others."""
    try:
        dialled = phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.NATIONAL)
    except phonenumbers.NumberParseException:
        return ""
    return re.sub(r"[^0-9]", "", dialled).lstrip("0")
