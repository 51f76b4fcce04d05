"""How log lines look, and what never gets into them."""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from messaging import log_context

logger = logging.getLogger(__name__)

# PostgreSQL quotes the whole row that breaks a constraint, texts and numbers included, in a line (or more, if the text has
# line breaks) that begins with DETAIL; a row that came by COPY once more in the line that begins with CONTEXT.
_ROW = re.compile(
    r"(DETAIL|CONTEXT(?=:\s+COPY)):.*?(?=\n(?:HINT|CONTEXT|QUERY|STATEMENT|Traceback|  File|The above|During handling)|\Z)",
    re.DOTALL,
)
# The last guard: nobody should log a phone number in the first place. Parts of ids and of moments are left alone.
_NUMBER = re.compile(r"(?:\+|%2[Bb])\d{7,15}|(?<![\w.:-])\d{10,15}(?![\w:-])")


def redact(text: str) -> str:
    """Without what a database quotes of its rows, and with phone numbers cut down to their ends."""
    return _NUMBER.sub(_masked, _ROW.sub(r"\1: (left out)", text))


def _masked(found: re.Match) -> str:
    digits = found[0].removeprefix("%2B").removeprefix("%2b")
    return f"{digits[:3]}***{digits[-2:]}"


class LogContextFilter(logging.Filter):
    """Gives each record the ids of the request and of the message that it is about; empty for none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id, record.message_id = log_context.request_id.get(), log_context.message_id.get()
        ids = (("request", record.request_id), ("message", record.message_id))
        record.trail = "".join(f" {name}={value}" for name, value in ids if value)
        return True


class RedactingFormatter(logging.Formatter):
    """A line of text for people."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object in a line. The fields are these and no others: what a library adds to its records may be private."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            "request_id": getattr(record, "request_id", ""),
            "message_id": getattr(record, "message_id", ""),
            "process": record.process,
            "traceback": redact(self.formatException(record.exc_info)) if record.exc_info else "",
        }
        return json.dumps({name: value for name, value in line.items() if value != ""})


def log_uncaught_exceptions() -> None:
    """Make an exception that ends the process or a thread one record of the log, in the format of the others.

    At a terminal nothing changes: Python's own traceback is easier to read there.
    """
    if sys.stderr.isatty():
        return
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None, where: str = "the process"
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logger.critical("%s ended by %s", where, kind.__name__, exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and args.exc_value is not None:
        thread = args.thread.name if args.thread else "unknown"
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback, f"thread {thread}")
