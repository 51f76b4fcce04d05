"""Webhook signing secrets: shown once, stored encrypted. After a rotation, the old secret stays valid for a day."""

import base64
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from messaging.callback_policy import OLD_SECRET_VALID_FOR
from messaging.models import WebhookEndpoint, WebhookSecret
from messaging.sealing import seal, unseal

PURPOSE = "webhook-secrets"
PREFIX = "whsec_"
BYTES = 32


def rotate(*, owner_id: int, endpoint: WebhookEndpoint | None, now: datetime) -> str:
    """Create and return a new secret of an endpoint, or the owner's default; the previous one stays valid for 24 hours."""
    text = PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()
    with transaction.atomic():
        _of(owner_id, endpoint).filter(expires_at__isnull=True).update(expires_at=now + OLD_SECRET_VALID_FOR)
        _of(owner_id, endpoint).filter(expires_at__lte=now).delete()
        WebhookSecret.objects.create(owner_id=owner_id, endpoint=endpoint, sealed=seal(PURPOSE, text), created_at=now)
    return text


def default_secret(*, owner_id: int) -> WebhookSecret | None:
    """The owner's current default secret, encrypted; None when the owner has none."""
    return _of(owner_id, None).filter(expires_at__isnull=True).first()


def valid(endpoints: Iterable[WebhookEndpoint], *, now: datetime) -> Mapping[UUID, tuple[str, ...]]:
    """The secrets to sign with, newest first, by endpoint. Endpoints for `callback_url`s use their owner's default."""
    rows = list(endpoints)
    by_owner = [row for row in rows if row.kind == WebhookEndpoint.Kind.ORIGIN]
    kept = WebhookSecret.objects.filter(
        Q(endpoint__in=[row.pk for row in rows])
        | Q(endpoint__isnull=True, owner__in={row.owner_id for row in by_owner}),
        Q(expires_at__isnull=True) | Q(expires_at__gt=now),
    ).order_by("-pk")
    found: dict[object, list[str | None]] = {}
    for row in kept:
        found.setdefault(row.endpoint_id or row.owner_id, []).append(unseal(PURPOSE, row.sealed))
    for owner_id in {row.owner_id for row in by_owner} - set(found):
        # The owner has no default secret yet, and every call is signed.
        found[owner_id] = [rotate(owner_id=owner_id, endpoint=None, now=now)]
    return {row.pk: tuple(filter(None, found.get(row.owner_id if row in by_owner else row.pk, ()))) for row in rows}


def _of(owner_id: int, endpoint: WebhookEndpoint | None) -> QuerySet[WebhookSecret]:
    if endpoint is not None:
        return WebhookSecret.objects.filter(endpoint=endpoint)
    return WebhookSecret.objects.filter(owner=owner_id, endpoint__isnull=True)
