"""Requests by configuration: JSON whose texts hold placeholders, such as `{"dest": "{to}", "text": "{message}"}`."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from providers import gsm
from providers.backends.validity import ValidityLimits
from providers.contract.messages import OutboundMessage
from providers.numbers import NumberFormat

PLACEHOLDERS: Final = (
    "to",
    "from",
    "message",
    "message_hex",
    "id",
    "callback_url",
    "media_urls",
    "encoding",
    "segments",
    "valid_for",
    "valid_for_minutes",
    "valid_for_ms",
    "valid_until",
    "category",
)
# One of the message's `parameters`, which has no value in most messages.
_PARAMETER = re.compile(r"parameters\.[A-Za-z_][A-Za-z0-9_]*")
UCS2: Final = "ucs2"
NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}")
Values = Mapping[str, Any]


def values_of(
    text: OutboundMessage,
    *,
    sender: str | None,
    numbers: NumberFormat,
    now: datetime,
    limits: ValidityLimits | None = None,
) -> dict[str, Any]:
    """What each placeholder stands for.

    The validity is what is left of it, within the provider's limits, rounded down, and at least one unit.
    """
    valid_until = _limited(text.valid_until, limits, now=now)
    seconds = (valid_until - now).total_seconds() if valid_until else None
    return {
        "to": numbers.write(text.to),
        "from": numbers.write(sender) if sender else None,
        "message": text.text,
        "message_hex": (text.text.encode("utf-16-be") if text.encoding == UCS2 else gsm.encode(text.text)).hex(),
        "id": text.reference,
        "callback_url": text.callback_url,
        "media_urls": list(text.media_urls),
        "encoding": text.encoding,
        "segments": text.segments,
        "valid_for": _whole(seconds),
        "valid_for_minutes": _whole(seconds, 1 / 60),
        "valid_for_ms": _whole(seconds, 1000),
        "valid_until": f"{valid_until:%Y-%m-%dT%H:%M:%SZ}" if valid_until else None,
        "category": text.category,
        **{f"parameters.{name}": value for name, value in text.parameters.items()},
    }


def _limited(valid_until: datetime | None, limits: ValidityLimits | None, *, now: datetime) -> datetime | None:
    if valid_until is None or limits is None:
        return valid_until
    latest = now + timedelta(seconds=limits.longest) if limits.longest else valid_until
    return max(min(valid_until, latest), now + timedelta(seconds=limits.shortest))


def _whole(seconds: float | None, factor: float = 1) -> int | None:
    return None if seconds is None else max(1, math.floor(seconds * factor))


def check(template: Any) -> None:
    """Raise `ValueError` for a placeholder that does not exist."""
    for name in names_in(template):
        if name not in PLACEHOLDERS and not _PARAMETER.fullmatch(name):
            known = ", ".join(f"{{{each}}}" for each in (*PLACEHOLDERS, "parameters.NAME"))
            raise ValueError(f"there is no {{{name}}}; known are {known}")


def names_in(template: Any) -> Iterator[str]:
    """The names of all placeholders, also of unknown ones."""
    if isinstance(template, str):
        yield from _PLACEHOLDER.findall(template)
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from names_in(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from names_in(value)


def render(template: Any, values: Values) -> Any:
    """The template with its placeholders filled. What has no value is left out of its mapping or list.

    A text that is one placeholder takes the type of its value. A longer text has no value if one of its placeholders has none.
    Other braces stay as they are: they may be part of a secret.
    """
    if isinstance(template, str):
        return _filled(template, values)
    if isinstance(template, Mapping):
        filled = ((key, value, render(value, values)) for key, value in template.items())
        return {key: result for key, value, result in filled if result not in NOTHING or value in NOTHING}
    if isinstance(template, list | tuple):
        rendered = ((value, render(value, values)) for value in template)
        return [result for value, result in rendered if result not in NOTHING or value in NOTHING]
    return template


def _filled(template: str, values: Values) -> Any:
    whole = _PLACEHOLDER.fullmatch(template)
    names = [name for name in names_in(template) if name in values or _PARAMETER.fullmatch(name)]
    if whole is not None and names:
        return values.get(whole[1])
    if any(values.get(name) in NOTHING for name in names):
        return None
    return _PLACEHOLDER.sub(lambda found: _text(values[found[1]]) if found[1] in values else found[0], template)


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
