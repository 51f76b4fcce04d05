"""Log formats, and redaction of message texts and phone numbers."""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from messaging import log_context

logger = logging.getLogger(__name__)

# PostgreSQL quotes the whole row that violates a constraint, with texts and numbers, after DETAIL (on several lines if the text
# has line breaks). A row from COPY is quoted again after CONTEXT.
_ROW = re.compile(
    r"(DETAIL|CONTEXT(?=:\s+COPY)):.*?(?=\n(?:HINT|CONTEXT|QUERY|STATEMENT|Traceback|  File|The above|During handling)|\Z)",
    re.DOTALL,
)
# A safety net: code must not log phone numbers. Parts of ids and timestamps are not matched.
_NUMBER = re.compile(r"(?:\+|%2[Bb])\d{7,15}|(?<![\w.:-])\d{10,15}(?![\w:-])")


def redact(text: str) -> str:
    """Remove rows quoted by a database, and mask the middle of phone numbers."""
    return _NUMBER.sub(_masked, _ROW.sub(r"\1: (left out)", text))


def _masked(found: re.Match[str]) -> str:
    digits = found[0].removeprefix("%2B").removeprefix("%2b")
    return f"{digits[:3]}***{digits[-2:]}"


class LogContextFilter(logging.Filter):
    """Sets `request_id` and `message_id` (empty if unknown) and `trail`, their text for log lines, on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id, message_id = log_context.request_id.get(), log_context.message_id.get()
        ids = (("request", request_id), ("message", message_id))
        trail = "".join(f" {name}={value}" for name, value in ids if value)
        record.__dict__.update(request_id=request_id, message_id=message_id, trail=trail)
        return True


class RedactingFormatter(logging.Formatter):
    """Formats records as text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object per line, with fixed fields: what libraries add to their records may be private."""

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
    """Log an exception that ends the process or a thread as one record.

    Does nothing at a terminal, where Python's own traceback is easier to read.
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
