"""Read a call of `sendsms`: who gets which text from which sender, when, and which reports are wanted."""

import codecs
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote_plus

from django.conf import settings

from messaging import segments
from messaging.gateway_http import parties
from messaging.gateway_http.kannel_bodies import KannelRefusal
from messaging.gateway_http.parameters import Parameters, text_of
from messaging.models import Message
from messaging.services.errors import InvalidField
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput
from messaging.services.webhooks.dialects import escapes, kannel
from providers.http.public_addresses import AddressRefused, Guard

DENIED: Final = "Number(s) has/have been denied by white- and/or black-lists."
MAX_RECIPIENTS: Final = 100
MAX_ACCOUNT: Final = 64
MAX_VALID_FOR: Final = 604_800  # as in the REST API; a longer validity is shortened to it
MAX_MINUTES: Final = 5_256_000  # ten years
MAX_DLR_URL: Final = Message._meta.get_field("callback_url").max_length or 0  # noqa: SLF001 (public in all but its name)
UNDEFINED: Final = -1
EIGHT_BIT, UCS2 = 1, 2
# The name in refusals, and the range. -1 is the same as none.
NUMBERS: Final[Mapping[str, tuple[str, int, int]]] = {
    "mclass": ("MClass", UNDEFINED, 3),
    "pid": ("PID", UNDEFINED, 255),
    "rpi": ("RPI", UNDEFINED, 2),
    "alt-dcs": ("Alt-DCS", UNDEFINED, 1),
    "mwi": ("MWI", UNDEFINED, 7),
    "coding": ("Coding", UNDEFINED, 2),
    "compress": ("Compress", UNDEFINED, 1),
    "validity": ("Validity", UNDEFINED, 2**63),
    "deferred": ("Deferred", UNDEFINED, MAX_MINUTES),
    "priority": ("Priority", UNDEFINED, 3),
}
CHARSETS: Final = frozenset(
    {
        *("ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "koi8-r", "koi8-u", "mac-roman"),
        *("gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "tis-620"),
        *(f"iso8859-{number}" for number in range(1, 17)),
        *(f"cp{number}" for number in (437, 850, 852, 866, *range(1250, 1259))),
    }
)
# As iconv reads them: without a mark of their order, the octets are in network order.
SYNONYMS: Final[Mapping[str, str]] = {"ucs-2": "utf-16-be", "ucs-2be": "utf-16-be", "utf-16": "utf-16-be"}
_CHARSET: Final = re.compile(r"[A-Za-z0-9_:-]{1,20}")
_MARK: Final = "\ufeff"
_INTEGER: Final = re.compile(r"\s*([+-]?[0-9]{1,18})", re.ASCII)
_ACCOUNT: Final = re.compile(rf"[^\[\]\r\n]{{0,{MAX_ACCOUNT}}}")
_META_DATA: Final = re.compile(r"\?([^?]*)\?([^?]*)")
# The longest values of a report's escapes, as far as we know.
_LONGEST: Final = {
    **dict.fromkeys("Aabr", "x" * 200),
    **dict.fromkeys("ksSF", "x" * 128),
    **dict.fromkeys("IpPqQtTdi", "x" * 64),
}


def read(parameters: Parameters, *, is_post: bool, system_id: str, now: datetime) -> list[MessageInput]:
    """Return a draft for each recipient that can be one. Raises `KannelRefusal`."""
    recipients = _recipients(parameters, is_post=is_post)
    numbers = {name: _number(parameters, name) for name in NUMBERS}
    if numbers["coding"] == EIGHT_BIT or parameters.get("udh"):
        raise KannelRefusal(400, "Binary messages are not supported, rejected")
    deferred = max(0, numbers["deferred"])
    text, sender = _text(parameters, numbers["coding"]), _sender(parameters)
    dlr_url, mask = _dlr(parameters, numbers, system_id)
    return [
        MessageInput(
            to=number,
            text=text,
            valid_for=_valid_for(numbers["validity"], deferred),
            sender=sender,
            send_at=now + timedelta(minutes=deferred) if deferred else None,
            callback_url=dlr_url,
            callback_dialect=kannel.name_of(mask, prefix) if dlr_url else "",
        )
        for number, prefix in recipients.items()
    ]


def _recipients(parameters: Parameters, *, is_post: bool) -> dict[str, str]:
    """The numbers, each once, with their prefixes; those that cannot be numbers are left out, as Kannel does."""
    to = text_of(parameters, "to")
    if to is None:
        raise KannelRefusal(
            400, "Missing receiver(s) number(s), rejected" if is_post else "Missing receiver number, rejected"
        )
    if not to:
        raise KannelRefusal(400, "Empty receiver number not allowed, rejected")
    written = to.split()
    if len(written) > MAX_RECIPIENTS:
        raise KannelRefusal(400, f"More than {MAX_RECIPIENTS} receivers, rejected")
    found: dict[str, str] = {}
    for each in written:
        try:
            number, prefix = parties.read_recipient(each)
        except InvalidField:
            continue
        found.setdefault(number, prefix)
    if not found:
        raise KannelRefusal(400, DENIED)
    return found


def _number(parameters: Parameters, name: str) -> int:
    """`UNDEFINED` for what does not begin with a number, as in Kannel."""
    found = _INTEGER.match(text_of(parameters, name) or "")
    if found is None:
        return UNDEFINED
    words, lowest, highest = NUMBERS[name]
    if not lowest <= int(found[1]) <= highest:
        raise _malformed(words)
    return int(found[1])


def _malformed(words: str) -> KannelRefusal:
    return KannelRefusal(400, f"{words} field misformed, rejected")


def _valid_for(validity: int, deferred: int) -> int:
    """Seconds from the time that the message is due; Kannel counts minutes from now."""
    if validity == UNDEFINED:
        return DEFAULT_VALID_FOR
    if validity <= deferred:
        raise _malformed("Validity")
    return min(60 * (validity - deferred), MAX_VALID_FOR)


def _sender(parameters: Parameters) -> str | None:
    try:
        return parties.read_sender(text_of(parameters, "from") or "")
    except InvalidField:
        raise KannelRefusal(400, "Sender misformed, rejected") from None


# --- The text ---------------------------------------------------------------------------------------------------------


def _text(parameters: Parameters, coding: int) -> str:
    charset = _codec(text_of(parameters, "charset") or ("UTF-16BE" if coding == UCS2 else "UTF-8"))
    try:
        text = parameters.get("text", b"").decode(charset).removeprefix(_MARK).replace("\x00", "")
    except UnicodeDecodeError:
        raise _misread() from None
    if len(text) > segments.MAX_OUTBOUND_CHARACTERS:
        raise KannelRefusal(400, "Text too long, rejected")
    if not text.strip():
        raise KannelRefusal(400, "Text missing, rejected")
    return text


def _codec(charset: str) -> str:
    """The name of a codec for texts. Python has many that are none, or that run code or expand what they read."""
    if not _CHARSET.fullmatch(charset):
        raise _misread()
    charset = SYNONYMS.get(charset.lower(), charset)
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        raise _misread() from None
    if name not in CHARSETS:
        raise _misread()
    return name


def _misread() -> KannelRefusal:
    return KannelRefusal(400, "Charset or body misformed, rejected")


# --- Reports ----------------------------------------------------------------------------------------------------------


def _dlr(parameters: Parameters, numbers: Mapping[str, int], system_id: str) -> tuple[str, int]:
    """The address, filled with what is known now, and the mask; ("", 0) unless both are given."""
    account = text_of(parameters, "account") or ""
    if not _ACCOUNT.fullmatch(account):
        raise KannelRefusal(400, "Account field misformed or too long, rejected")
    mask_given = _INTEGER.match(text_of(parameters, "dlr-mask") or "")
    mask = int(mask_given[1]) & kannel.ALL if mask_given is not None and int(mask_given[1]) > 0 else 0
    template = text_of(parameters, "dlr-url") or ""
    if not template:
        return "", 0
    if not template.lower().startswith(("http://", "https://")) or escapes.origin_has_escape(template):
        raise _malformed("DLR-URL")
    if not mask:
        return "", 0
    _check_length(template)
    meta_data, sender = text_of(parameters, "meta-data") or "", text_of(parameters, "from") or ""
    known = {
        "n": system_id,
        "o": account,
        "D": meta_data,
        "B": text_of(parameters, "binfo") or "",
        "R": template,
        "m": str(numbers["mclass"]),
        "M": str(numbers["mwi"]),
        "c": str(UNDEFINED),
        "C": "UTF-8",
        "O": "00",
        **dict.fromkeys("fuvV", ""),
        **({"P": sender, "Q": f"+{sender[2:]}" if sender.startswith("00") else sender} if sender else {}),
    }
    # A longer value makes the address too long in any case, however often the template names it.
    known = {letter: value[: MAX_DLR_URL + 1] for letter, value in known.items()}
    url = escapes.fill_known(template, known, _parameters_of(meta_data))
    return _checked(url), mask


def _parameters_of(meta_data: str) -> dict[tuple[str, str], str]:
    """`?group?name=value&other=value?group2?…`."""
    return {
        (group, unquote_plus(name)): unquote_plus(value)[: MAX_DLR_URL + 1]
        for group, pairs in _META_DATA.findall(meta_data)
        for name, _, value in (pair.partition("=") for pair in pairs.split("&"))
        if name
    }


def _check_length(url: str) -> None:
    if len(url) > MAX_DLR_URL:
        raise KannelRefusal(400, "DLR-URL field is too long, rejected")


def _checked(url: str) -> str:
    """The address, if it may be called with any values."""
    _check_length(url)
    try:
        Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS).check_url(escapes.fill(url, _LONGEST))
    except AddressRefused:
        raise KannelRefusal(400, "DLR-URL field names an address that is not called, rejected") from None
    return url
