"""Texts of alerts: a template is filled with values of the group, and the text is kept within a number of segments."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from messaging import segments
from messaging.services.alerts.groups import Alert, AlertGroup, clean
from messaging.services.errors import InvalidField
from messaging.text_templates import InvalidTemplate, Template, compile_template

ALERT_VARIABLES = frozenset(
    {
        *("status", "alertname", "alerts", "more", "count", "labels", "summary", "description", "severity", "instance"),
        *("receiver", "title", "message"),
    }
)
PASSWORD_VARIABLES = frozenset({"otp"})
DEFAULT_ALERT_TEMPLATE = "{status} {alerts} {more}"
DEFAULT_PASSWORD_TEMPLATE = "Your code is {otp}"  # noqa: S105 (a text)
MAX_VALUE, MAX_LISTED_VALUE, MOST_LISTED = 500, 160, 50
ELLIPSIS = "..."  # the character of that name is not in the GSM alphabet: a text with it has half the room

_JOINERS = frozenset({"\u200d", "\ufe0e", "\ufe0f"})


def check_template(text: str, known: frozenset[str]) -> None:
    """Raises `InvalidField`."""
    try:
        unknown = compile_template(text).variables - known
    except InvalidTemplate as error:
        raise InvalidField("template", "invalid_template", str(error)) from None
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise InvalidField("template", "unknown_variable", f"There is no value for {{{min(unknown)}}}. Known: {names}.")


def alert_text(group: AlertGroup, *, template: str, max_segments: int) -> str:
    """`{alerts}` lists as many alerts as there is room for. How many are not shown is added if the template has no `{more}`.

    The group has at least one alert.
    """
    compiled = compile_template(template or DEFAULT_ALERT_TEMPLATE)
    values, total = _values(group), len(group.alerts) + group.omitted
    entries = [_entry(alert, group) for alert in group.alerts[:MOST_LISTED]]

    def filled(shown: int) -> str:
        return _filled(compiled, {**values, "alerts": "; ".join(entries[:shown])}, left=total - shown)

    shown = _most_that_fit(filled, len(entries), max_segments) if "alerts" in compiled.variables else 1
    text = filled(shown)
    if _fits(text, max_segments):
        return text
    body = _filled(compiled, {**values, "alerts": entries[0]}, left=0)
    return shortened(body, max_segments=max_segments, suffix=_more(total - 1))


def printable_text(text: str) -> str:
    """A text of several lines, as another system has written it, with each line as `clean` leaves it."""
    return "\n".join(filter(None, (clean(line, segments.MAX_OUTBOUND_CHARACTERS) for line in text.splitlines())))


def password_text(password: str, *, template: str) -> str:
    return compile_template(template or DEFAULT_PASSWORD_TEMPLATE).render({"otp": password})


def digest_text(counts: Mapping[str, int], *, max_segments: int) -> str:
    """How many alerts of each name, most first: `14 more alerts: HighLoad x9, DiskFull x5`."""
    total = sum(counts.values())
    head = f"{total:,} more alert{'' if total == 1 else 's'}"
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    entries = [f"{name} x{count:,}" for name, count in ordered[:MOST_LISTED]]

    def filled(shown: int) -> str:
        listed = f"{head}: {', '.join(entries[:shown])}" if shown else head
        return listed + (_more(len(ordered) - shown) if shown else "")

    return filled(_most_that_fit(filled, len(entries), max_segments, fewest=0))


def shortened(text: str, *, max_segments: int, suffix: str = "") -> str:
    """The text, cut between two characters where the segments are full, with the suffix at its end."""
    if _fits(text + suffix, max_segments):
        return text + suffix
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _fits(text[:middle] + ELLIPSIS + suffix, max_segments):
            fits = middle
        else:
            too_long = middle
    while fits and _belongs_to_the_last(text[fits - 1], text[fits]):
        fits -= 1
    return text[:fits].rstrip() + ELLIPSIS + suffix


def _belongs_to_the_last(last: str, following: str) -> bool:
    return last == "\u200d" or following in _JOINERS or unicodedata.category(following).startswith("M")


def _fits(text: str, max_segments: int) -> bool:
    return segments.measure(text).segments <= max_segments


def _most_that_fit(filled: Callable[[int], str], most: int, max_segments: int, *, fewest: int = 1) -> int:
    shown = fewest
    while shown < most and _fits(filled(shown + 1), max_segments):
        shown += 1
    return shown


def _more(left: int) -> str:
    return f" +{left:,} more" if left > 0 else ""


def _filled(compiled: Template, values: Mapping[str, str], *, left: int) -> str:
    more = _more(left)
    text = compiled.render({**values, "more": more.strip()}).strip()
    return text if "more" in compiled.variables else text + more


def _values(group: AlertGroup) -> dict[str, str]:
    first = group.alerts[0]
    labels, annotations = {**first.labels, **group.common_labels}, {**first.annotations, **group.common_annotations}
    return {
        "status": clean(group.status.upper(), MAX_VALUE),
        "alertname": clean(first.name, MAX_VALUE),
        "count": str(len(group.alerts) + group.omitted),
        "labels": clean(", ".join(f"{name}={value}" for name, value in _some(group.group_labels)), MAX_VALUE),
        "summary": clean(annotations.get("summary", ""), MAX_VALUE),
        "description": clean(annotations.get("description", ""), MAX_VALUE),
        "severity": clean(labels.get("severity", ""), MAX_VALUE),
        "instance": clean(labels.get("instance", ""), MAX_VALUE),
        "receiver": clean(group.receiver, MAX_VALUE),
        "title": clean(group.title, MAX_VALUE),
        "message": clean(group.message, MAX_VALUE),
    }


def _some(labels: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return list(labels.items())[:MOST_LISTED]


def _entry(alert: Alert, group: AlertGroup) -> str:
    """The alert's name, and what says best what is wrong. Its state only where the group has another one."""
    about = alert.annotations.get("summary") or alert.annotations.get("description") or alert.labels.get("instance", "")
    state = f"{alert.status} " if alert.status != group.status else ""
    return (
        f"{state}{clean(alert.name, MAX_LISTED_VALUE)}{': ' if about.strip() else ''}{clean(about, MAX_LISTED_VALUE)}"
    )
