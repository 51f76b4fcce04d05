"""A request to send a message: its parameters become a `MessageInput`."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings

from messaging import e164, twilio_ids
from messaging.models import OutboundQueue
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput
from messaging.twilio_api import errors
from messaging.twilio_api.errors import TwilioError, TwilioFault
from messaging.twilio_api.parameters import Parameters
from providers import senders
from providers.http.public_addresses import AddressRefused, Guard

MAX_BODY = 1600
MAX_CALLBACK_URL = 500
MAX_DATE = 10  # `2026-12-01`
LONGEST_VALIDITY = 36_000
EARLIEST, FURTHEST = timedelta(minutes=15), timedelta(days=35)
CALLBACK_DIALECT = "twilio"
# `whatsapp:+14155550101`, `messenger:…`: another channel than SMS.
_CHANNEL = re.compile(r"[a-z][a-z0-9_.-]*:", re.IGNORECASE)
# In a form, a `+` that was not escaped arrives as a blank.
_LOST_PLUS = re.compile(r" (?=[0-9]{7})")


def _party(fields: Parameters, name: str) -> str:
    text = fields.text(name) or ""
    return (f"+{text[1:]}" if _LOST_PLUS.match(text) else text).strip()


def recipient(fields: Parameters) -> str:
    text = _party(fields, "To")
    if not text:
        raise TwilioError(errors.NO_TO)
    if _CHANNEL.match(text):
        raise TwilioError(errors.OTHER_CHANNEL)
    try:
        return e164.normalise(text)
    except e164.InvalidNumber:
        raise TwilioError(errors.INVALID_TO) from None


def sender(fields: Parameters, *, by_service: bool) -> str | None:
    """None for the default sender, which only a messaging service may choose."""
    text = _party(fields, "From")
    if not text:
        if by_service:
            return None
        raise TwilioError(errors.NO_FROM)
    if _CHANNEL.match(text):
        raise TwilioError(errors.OTHER_CHANNEL)
    try:
        return senders.normalise(text)
    except senders.InvalidSender:
        raise TwilioError(errors.INVALID_FROM) from None


def queue(fields: Parameters) -> str | None:
    """The queue that the messaging service names; None if the request names none. One query if it does."""
    sid = (fields.text("MessagingServiceSid") or "").strip()
    if not sid:
        return None
    wanted = sid[:2] + sid[2:].lower()
    for name in OutboundQueue.objects.values_list("name", flat=True):
        if twilio_ids.service_sid(name) == wanted:
            return name
    raise TwilioError(errors.NO_SUCH_SERVICE)


def body(fields: Parameters) -> str:
    text = fields.text("Body") or ""
    if len(text) > MAX_BODY:
        raise TwilioError(errors.BODY_TOO_LONG)
    if not text.strip():
        if not media_urls(fields):
            raise TwilioError(errors.NO_CONTENT)
        return ""
    return text


def media_urls(fields: Parameters) -> list[str]:
    urls = [url.strip() for url in fields.all("MediaUrl") if url.strip()]
    if len(urls) > MAX_ATTACHMENTS:
        raise TwilioError(errors.TOO_MANY_MEDIA)
    return urls


def validity(fields: Parameters) -> int:
    text = (fields.text("ValidityPeriod") or "").strip()
    if not text:
        return DEFAULT_VALID_FOR
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= LONGEST_VALIDITY):  # noqa: PLR2004
        raise TwilioError(errors.BAD_REQUEST, f"'ValidityPeriod' must be from 1 to {LONGEST_VALIDITY} seconds.")
    return int(text)


def send_at(fields: Parameters, now: datetime, *, is_repeat: bool) -> datetime | None:
    """Scheduling needs no messaging service here; the limits are Twilio's, and clients know its errors.

    The repeat of an accepted request gets its answer, though the time may have come too near.
    """
    text, kind = (fields.text("SendAt") or "").strip(), (fields.text("ScheduleType") or "").strip()
    if not text and not kind:
        return None
    if kind != "fixed":
        raise TwilioError(errors.BAD_SCHEDULE_TYPE)
    if not text:
        raise TwilioError(errors.NO_SEND_AT)
    try:
        given = datetime.fromisoformat(text if len(text) > MAX_DATE else "")  # a date alone names no time
        at = (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise TwilioError(errors.BAD_SEND_AT) from None
    if not is_repeat and not now + EARLIEST <= at <= now + FURTHEST:
        raise TwilioError(errors.BAD_SEND_AT)
    return at


def callback_url(fields: Parameters, name: str, fault: TwilioFault) -> str | None:
    """The address that is called; None if the request does not have this parameter. Raises `TwilioError` with `fault`."""
    given = fields.text(name)
    if given is None:
        return None
    url = given.strip()
    if len(url) > MAX_CALLBACK_URL:
        raise TwilioError(fault)
    try:
        if url:
            Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS).check_url(url)
    except AddressRefused:
        raise TwilioError(fault) from None
    return url


def message_input(
    fields: Parameters, *, media: tuple[UUID, ...], now: datetime, is_repeat: bool = False
) -> MessageInput:
    """Raises `TwilioError` for the first parameter that is not valid. `media` are the assets of the URLs."""
    to, queue_name = recipient(fields), queue(fields)
    by_service = queue_name is not None
    called = callback_url(fields, "StatusCallback", errors.BAD_CALLBACK) or ""
    return MessageInput(
        to=to,
        text=body(fields),
        valid_for=validity(fields),
        sender=sender(fields, by_service=by_service),
        queue=queue_name,
        send_at=send_at(fields, now, is_repeat=is_repeat),
        callback_url=called,
        callback_dialect=CALLBACK_DIALECT if called else "",
        media=media,
    )
