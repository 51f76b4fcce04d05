"""Log formats, and the redaction of quoted rows and phone numbers."""

import json
import logging
import os
import subprocess
import sys

import pytest

from config.logging import JsonFormatter, LogContextFilter, RedactingFormatter, redact
from messaging import log_context

ROW = 'null value violates constraint\nDETAIL:  Failing row contains (1, +14155550101, Your code\nis 123456, "x").'


def record_of(message: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("name", logging.ERROR, "path", 1, message, args, exc_info)


def refuse() -> None:
    raise ValueError(ROW)


COPIED = '\nCONTEXT:  COPY messaging_message, line 1: "0191\\t+14155550101\\tYour code is 123456"'
COLUMN = '\nCONTEXT:  COPY messaging_message, line 1, column text: "Your code\n\nis 123456"'


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ("", ""),
        ("\nCONTEXT:  PL/pgSQL function f() line 1", "\nCONTEXT:  PL/pgSQL function f() line 1"),
        (COPIED, "\nCONTEXT: (left out)"),
        (f"{COLUMN}\nHINT:  None.", "\nCONTEXT: (left out)\nHINT:  None."),
    ],
)
@pytest.mark.parametrize("row", [ROW, ROW.replace("is 123456", "\nis 123456")])
def test_a_row_in_a_message_is_removed(row: str, end: str, kept: str) -> None:
    text = RedactingFormatter("{message}", style="{").format(record_of("failed: %s", row + end))

    assert text == f"failed: null value violates constraint\nDETAIL: (left out){kept}"


def test_a_row_in_a_traceback_is_removed() -> None:
    try:
        refuse()
    except ValueError:
        record = record_of("failed", exc_info=sys.exc_info())

    text = RedactingFormatter("{message}", style="{").format(record)

    assert "ValueError: null value violates constraint\nDETAIL: (left out)" in text
    assert "123456" not in text
    assert "4155550101" not in text


def test_other_lines_stay_as_they_are() -> None:
    assert (
        RedactingFormatter("{levelname} {message}", style="{").format(record_of("all is %s", "well"))
        == "ERROR all is well"
    )


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to +14155550101.", "to +14***01."),
        ("GET /api/v1/messages/?to=%2B14155550101", "GET /api/v1/messages/?to=141***01"),
        ("number 4915123456789 here", "number 491***89 here"),
        ("{'to': '+33612345678'}", "{'to': '+33***78'}"),
        ("+14155550101,+14155550102", "+14***01,+14***02"),
    ],
)
def test_numbers_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "0191a5f0-1234-7123-8123-123456789012",
        "2026-11-22T09:00:00.123456Z",
        "a 16 ms call, 200 answers, process 1234567",
        "01a201b799c577f891373f034ae7b9e2",
        "sandbox-1234567890",
    ],
)
def test_ids_and_times_are_not_phone_numbers(text: str) -> None:
    assert redact(text) == text


def json_of(record: logging.LogRecord) -> dict:
    LogContextFilter().filter(record)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_of_json_has_these_fields() -> None:
    with log_context.request_context("r-1"), log_context.message_context("m-1"):
        line = json_of(record_of("sent to %s", "+14155550101"))

    moment = line.pop("time")
    assert moment.endswith("Z")
    assert line.pop("process") > 0
    assert line == {
        "level": "ERROR",
        "logger": "name",
        "message": "sent to +14***01",
        "request_id": "r-1",
        "message_id": "m-1",
    }


def test_what_libraries_add_to_a_record_is_not_printed() -> None:
    record = record_of("failed")
    record.request = "<WSGIRequest: GET '/api/v1/messages/?search=secret'>"

    assert "secret" not in json.dumps(json_of(record))


def test_a_traceback_is_one_redacted_field() -> None:
    try:
        refuse()
    except ValueError:
        line = json_of(record_of("failed", exc_info=sys.exc_info()))

    assert line["traceback"].startswith("Traceback (most recent call last)")
    assert line["traceback"].endswith("DETAIL: (left out)")
    assert "123456" not in line["traceback"]


def test_an_exception_that_ends_a_thread_is_one_record() -> None:
    code = (
        "import threading, django; django.setup(); "
        "thread = threading.Thread(target=lambda: 1 / 0, name='one'); thread.start(); thread.join(); "
        "threading.Thread(target=exit).start()"
    )
    environment = {**os.environ, "LOG_FORMAT": "json"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    [line] = done.stderr.splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("CRITICAL", "thread one ended by ZeroDivisionError")
    assert record["traceback"].endswith("ZeroDivisionError: division by zero")
