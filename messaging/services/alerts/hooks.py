"""Supabase's "Send SMS" hook: one-time passwords, in requests that are signed as Standard Webhooks prescribe.

Supabase sends each try of a request with a `webhook-id` of its own, and separates the signatures under several secrets by a
comma and a blank, which the library's `verify` does not read.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from django.db import transaction
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from messaging import sealing
from messaging.models import AlertReceiver, Message
from messaging.services.alerts import notices, texts
from messaging.services.alerts.notices import AlertTarget
from messaging.services.errors import InvalidField
from providers.errors import InvalidSignature

PURPOSE = "alert-receiver-secrets"
TOLERANCE = timedelta(minutes=5)
# No request is valid for longer than the tolerance, in both directions.
KEPT_FOR = timedelta(hours=1)
# Supabase's passwords are valid for a minute to an hour; one that comes late is only confusing.
VALID_FOR = 300
MAX_SECRETS, MAX_ID = 4, 255

_SECRET = re.compile(r"v1,(whsec_[A-Za-z0-9+/]{8,128}={0,6})")
_SIGNATURE = re.compile(r"(?:^|[\s,])(v1,[A-Za-z0-9+/]{43}=)")
_TIMESTAMP = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class OneTimePassword:
    """`identities` are of the request: a repeat has one of them at least."""

    number: str = field(repr=False)
    password: str = field(repr=False)
    identities: tuple[str, ...]


def read_secrets(text: str) -> list[Webhook]:
    """Read secrets such as `v1,whsec_…`, several separated by `|`. Raises `InvalidField`, which does not quote them."""
    parts = [part.strip() for part in text.split("|")]
    found = [_SECRET.fullmatch(part) for part in parts]
    if not 1 <= len(parts) <= MAX_SECRETS or not all(found):
        raise InvalidField(
            "secret", "invalid_secret", "A secret begins with v1,whsec_ and is shown in the hook's settings."
        )
    try:
        return [Webhook(match[1]) for match in found if match]
    except (binascii.Error, EmptyWebhookSecretError):
        raise InvalidField("secret", "invalid_secret", "What follows v1,whsec_ is not base64.") from None


def receiver_of(name: str) -> AlertReceiver | None:
    """The hook of this name or, without one, the only hook."""
    hooks = AlertReceiver.objects.filter(kind=AlertReceiver.Kind.SUPABASE).select_related("owner")
    rows = list((hooks.filter(name=name.replace("\0", "")) if name else hooks)[:2])
    return rows[0] if len(rows) == 1 else None


def verify(receiver: AlertReceiver, headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Return the `webhook-id`. Raises `InvalidSignature`. `headers` have lower-case names."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = _SIGNATURE.findall(headers.get("webhook-signature", "")[:2_000])
    if not 1 <= len(webhook_id) <= MAX_ID or not _TIMESTAMP.fullmatch(timestamp) or not given:
        raise InvalidSignature("the headers of the signature are missing or malformed")
    signed_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - signed_at) > TOLERANCE:
        raise InvalidSignature("the request was signed too long ago")
    secrets = sealing.unseal(PURPOSE, receiver.secret)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidSignature("the body is not UTF-8") from None
    expected = [each.sign(webhook_id, signed_at, text) for each in read_secrets(secrets)] if secrets else []
    if not any(compare_digest(one, other) for one in expected for other in given):
        raise InvalidSignature("no signature is valid")
    return webhook_id


def send_password(
    *, receiver: AlertReceiver, password: OneTimePassword, default_queue: str, now: datetime
) -> Message | None:
    """Store the text; None for a repeat. Raises what `submit` raises; then nothing is stored."""
    target = AlertTarget(receiver.owner, (password.number,), receiver)
    text = texts.password_text(password.password, template=receiver.template)
    with transaction.atomic():
        channel = notices.channel_of(target, now)
        if not notices.store_once(channel, password.identities, now=now, kept_for=KEPT_FOR):
            return None
        [message] = notices.send(target, text, default_queue, now, valid_for=VALID_FOR).messages
    return message
