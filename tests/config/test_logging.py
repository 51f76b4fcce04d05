"""What a database quotes of its rows does not reach the log."""

import logging
import sys

import pytest

from config.logging import DiscreetFormatter

ROW = 'null value violates constraint\nDETAIL:  Failing row contains (1, +14155550101, Your code\nis 123456, "x").'


def record_of(message: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("name", logging.ERROR, "path", 1, message, args, exc_info)


def refuse() -> None:
    raise ValueError(ROW)


@pytest.mark.parametrize("end", ["", "\nCONTEXT:  COPY messaging_message, line 1"])
def test_a_row_in_a_message_is_left_out(end: str) -> None:
    text = DiscreetFormatter("{message}", style="{").format(record_of("failed: %s", ROW + end))

    assert text == f"failed: null value violates constraint\nDETAIL: (left out){end}"


def test_a_row_in_a_traceback_is_left_out() -> None:
    try:
        refuse()
    except ValueError:
        record = record_of("failed", exc_info=sys.exc_info())

    text = DiscreetFormatter("{message}", style="{").format(record)

    assert "ValueError: null value violates constraint\nDETAIL: (left out)" in text
    assert "123456" not in text
    assert "4155550101" not in text


def test_other_lines_stay_as_they_are() -> None:
    assert (
        DiscreetFormatter("{levelname} {message}", style="{").format(record_of("all is %s", "well"))
        == "ERROR all is well"
    )
