"""Read a call of Jasmin's `/send`: who gets which text from which sender, when, and which receipts are wanted."""

import binascii
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from messaging import segments
from messaging.gateway_http import parties
from messaging.gateway_http.jasmin_arguments import MAX_SHOWN, JasminRefusal, invalid
from messaging.gateway_http.parameters import Parameters, text_of
from messaging.models import Message
from messaging.services.errors import InvalidField
from messaging.services.gateway import texts, times
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput
from messaging.services.webhooks.dialects import jasmin
from providers.http.public_addresses import AddressRefused, Guard

MAX_VALID_FOR: Final = 604_800  # as in the REST API; a longer validity is shortened to it
MAX_MINUTES: Final = 5_256_000  # ten years
MAX_DLR_URL: Final = Message._meta.get_field("callback_url").max_length or 0  # noqa: SLF001 (public in all but its name)
UTF8: Final = 0


def read(arguments: Parameters, *, is_json: bool, now: datetime) -> MessageInput:
    """Raises `JasminRefusal`, and `InvalidField` for a number, a sender and a text that cannot be sent."""
    text = text_from(arguments, is_json=is_json)
    if text is None:
        raise JasminRefusal(400, "content or hex-content not present.")
    if len(text) > segments.MAX_OUTBOUND_CHARACTERS:
        raise InvalidField("message", "too_long", f"At most {segments.MAX_OUTBOUND_CHARACTERS} characters.")
    if not text.strip():
        raise InvalidField("message", "blank", "The text is blank.")
    send_at = _send_at(arguments, now)
    dlr_url = _dlr_url(arguments)
    return MessageInput(
        to=parties.read_recipient(text_of(arguments, "to") or "")[0],
        text=text,
        valid_for=_valid_for(arguments, send_at, now),
        sender=parties.read_sender(text_of(arguments, "from") or ""),
        send_at=send_at,
        callback_url=dlr_url,
        callback_dialect=_dialect(arguments) if dlr_url else "",
    )


def text_from(arguments: Parameters, *, is_json: bool = False) -> str | None:
    """The text, None without any. `content` is UTF-8 where `coding` is 0; with any other the octets are in that coding."""
    content, hexadecimal = arguments.get("content"), arguments.get("hex-content")
    if content is not None and hexadecimal is not None:
        raise JasminRefusal(400, "content and hex-content cannot be used both in same request.")
    coding = int(arguments.get("coding", b"0"))
    if hexadecimal is not None:
        try:
            return texts.read(binascii.unhexlify(hexadecimal), coding)
        except ValueError:
            raise JasminRefusal(400, f"Invalid hex-content data: '{hexadecimal[:MAX_SHOWN]!r}'") from None
    if content is None:
        return None
    if coding != UTF8 and not is_json:
        return texts.read(content, coding)
    try:
        return content.decode().replace("\x00", "")
    except UnicodeDecodeError:
        raise JasminRefusal(400, "The content is not UTF-8.") from None


def _send_at(arguments: Parameters, now: datetime) -> datetime | None:
    """None for a time that has passed: the message is due at once."""
    text = text_of(arguments, "sdt") or text_of(arguments, "schedule_delivery_time")
    if not text:
        return None
    try:
        send_at = times.read(text, now=now)
    except (ValueError, OverflowError):
        raise invalid("sdt", text) from None
    return send_at if send_at > now else None


def _valid_for(arguments: Parameters, send_at: datetime | None, now: datetime) -> int:
    """Seconds from the time that the message is due; Jasmin counts minutes from now."""
    text = text_of(arguments, "validity-period")
    if text is None:
        return DEFAULT_VALID_FOR
    minutes = int(text) if len(text) < len(str(MAX_MINUTES)) else MAX_MINUTES
    seconds = (now + timedelta(minutes=minutes) - (send_at or now)).total_seconds()
    if seconds < 1:
        raise invalid("validity-period", text)
    return min(int(seconds), MAX_VALID_FOR)


def _dialect(arguments: Parameters) -> str:
    level = int(arguments.get("dlr-level", b"1"))
    return jasmin.name_of(level, (text_of(arguments, "dlr-method") or "POST").upper())


def _dlr_url(arguments: Parameters) -> str:
    """The address to call; empty without one. Jasmin sends receipts to it whatever `dlr` says."""
    url = text_of(arguments, "dlr-url") or ""
    if not url:
        return ""
    if len(url) > MAX_DLR_URL:
        raise invalid("dlr-url", url)
    try:
        Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS).check_url(url)
    except AddressRefused:
        raise invalid("dlr-url", url) from None
    return url
