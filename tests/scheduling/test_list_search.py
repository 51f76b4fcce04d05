"""A number is found in a list in any notation and encoding."""

import io

import pytest

from scheduling.list_search import may_have
from scheduling.recipient_numbers import read

A, B = "+14155550101", "+14155550102"
FULLWIDTH = "".join(chr(ord(digit) + 0xFEE0) for digit in "4155550101")


@pytest.mark.parametrize(
    "line",
    ["+1 415 555-0101", "(415) 555 0101;x", "0014155550101", "a,5550101 415 555-0101", FULLWIDTH, "x\r415.555.0101"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_number_is_found_in_any_notation(line: str, encoding: str) -> None:
    content = f"to,name\n{line}\n".encode(encoding)

    assert may_have(io.BytesIO(content), A)
    assert not may_have(io.BytesIO(content), B)


@pytest.mark.parametrize("line", ["011 15-2345-6789", "+54 11 15 2345 6789", "+54 9 11 2345 6789"])
def test_a_number_whose_national_notation_has_other_digits_is_found(line: str) -> None:
    content = f"to\n{line}\n".encode()

    assert read(line, "AR").number == "+5491123456789"
    assert may_have(io.BytesIO(content), "+5491123456789")
    assert not may_have(io.BytesIO(content), "+5491123456780")


def test_bytes_that_are_no_text_hide_nothing() -> None:
    assert may_have(io.BytesIO(b"to\n\xff\xfe\xff 4155550101\n"), A)
