"""The fields of a provider's callback, with secrets masked, and on request without anything that may be a text."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from messaging.services.representation import HIDDEN

SECRET_KEYS = re.compile(
    r"secret|token|signature|password|passwd|authorization|api[_-]?key|^auth$|credential", re.IGNORECASE
)
_NAME = re.compile(r"[A-Za-z_][\w.\[\]-]{0,63}")  # anything else may be part of a text
# Last words of field names that mark an id, a number, a status, a time or a count. Each provider has its own name for the text,
# so without the permission only these fields are shown. A plain `code` is excluded: it may be the one-time password itself.
_PLAIN_WORDS = frozenset({
    *("id", "sid", "uuid", "ref", "reference", "status", "state", "event", "error", "version"),
    *("number", "msisdn", "phone", "from", "to", "src", "dst", "source", "destination", "recipient", "sender"),
    *("date", "time", "timestamp", "at", "sent", "received", "delivered"),
    *("segments", "parts", "count", "price", "currency", "country", "mcc", "mnc"),
})  # fmt: skip
_CODE_OF = frozenset({"error", "err", "status", "country", "network", "reason", "result"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_VALUE = re.compile(r"[\w.:+@/-]{0,64}|[\d:./+ TZ-]{0,40}")


def callback_fields(body: str, *, readable: bool) -> list[tuple[str, str]] | None:
    """Return a callback's fields in order, with secrets masked, and unless `readable` also everything that may be a text.

    None if the body is neither a JSON object nor a form.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = dict(parse_qsl(body, keep_blank_values=True)) if "=" in body else None
    if not isinstance(content, dict) or not content or not all(_NAME.fullmatch(str(key)) for key in content):
        return None
    return [(str(key), _value(str(key), value, readable=readable)) for key, value in content.items()]


def _value(key: str, value: Any, *, readable: bool) -> str:
    cleaned = _cleaned(key, value, readable=readable)
    return cleaned if isinstance(cleaned, str) else json.dumps(cleaned, ensure_ascii=False)


def _cleaned(key: str, value: Any, *, readable: bool) -> Any:
    if SECRET_KEYS.search(key):
        return HIDDEN
    if isinstance(value, dict):
        return {
            name if readable or _NAME.fullmatch(name) else HIDDEN: _cleaned(name, inner, readable=readable)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(key, inner, readable=readable) for inner in value]
    return value if readable or _is_plain(key, value) else HIDDEN


def _is_plain(key: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or not _VALUE.fullmatch(str(value)):
        return False
    return words[-1] in _PLAIN_WORDS or (words[-1] == "code" and not _CODE_OF.isdisjoint(words))
