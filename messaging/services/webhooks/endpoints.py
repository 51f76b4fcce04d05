"""Create, change and test webhook endpoints, and rotate their secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from messaging.models import TwilioAccount, WebhookDelivery, WebhookEndpoint
from messaging.services.errors import EndpointDisabled, InvalidField, NoSecret, TooManyEndpoints
from messaging.services.webhooks import secrets
from providers.http.public_addresses import AddressRefused, Guard
from providers.models import SenderNumber

MAX_ENDPOINTS = 50
Kind = WebhookEndpoint.Kind
Dialect = WebhookEndpoint.Dialect


@dataclass(frozen=True, slots=True)
class EndpointInput:
    """`number` is as senders are stored; empty for all numbers."""

    url: str
    events: tuple[str, ...] = ()
    description: str = ""
    dialect: str = Dialect.STANDARD
    number: str = ""


def create(*, owner: User, data: EndpointInput, guard: Guard, now: datetime) -> tuple[WebhookEndpoint, str | None]:
    """Return the endpoint and its secret, which is not shown again; None if it is signed with another credential.

    Raises `InvalidField` or `TooManyEndpoints`.
    """
    check_url(data.url, field="url", guard=guard)
    _check_owned({"dialect": data.dialect, "number": data.number}, owner_id=owner.pk)
    with transaction.atomic():
        type(owner)._default_manager.select_for_update().get(pk=owner.pk)  # noqa: SLF001 (lock the owner, to count)
        if WebhookEndpoint.objects.filter(owner=owner.pk, kind=Kind.ENDPOINT).count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints(f"There are {MAX_ENDPOINTS} endpoints already.")
        endpoint = WebhookEndpoint.objects.create(
            owner_id=owner.pk,
            url=data.url,
            events=list(data.events),
            description=data.description,
            dialect=data.dialect,
            number=data.number,
            created_at=now,
            updated_at=now,
        )
        if endpoint.dialect != Dialect.STANDARD:
            return endpoint, None
        return endpoint, secrets.rotate(owner_id=owner.pk, endpoint=endpoint, now=now)


def change(*, endpoint_id: UUID, changes: Mapping[str, Any], guard: Guard, now: datetime) -> WebhookEndpoint:
    """Set the named fields. Enabling clears the record of failures. Raises `InvalidField`."""
    if "url" in changes:
        check_url(changes["url"], field="url", guard=guard)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id, kind=Kind.ENDPOINT)
        _check_owned(
            {name: value for name, value in changes.items() if getattr(endpoint, name) != value},
            owner_id=endpoint.owner_id,
        )
        for name, value in changes.items():
            setattr(endpoint, name, value)
        if changes.get("is_enabled") is True:
            endpoint.disabled_reason, endpoint.failing_since = "", None
        elif changes.get("is_enabled") is False:
            endpoint.disabled_reason = "Disabled by hand."
        endpoint.updated_at = now
        endpoint.save()
    return endpoint


def rotate_secret(*, endpoint_id: UUID, now: datetime) -> str:
    """Raises `NoSecret` for an endpoint that is signed with another credential."""
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id, kind=Kind.ENDPOINT)
        if endpoint.dialect != Dialect.STANDARD:
            raise NoSecret("This endpoint's callbacks are signed with the auth token of its owner's Twilio credential.")
        return secrets.rotate(owner_id=endpoint.owner_id, endpoint=endpoint, now=now)


def rotate_default_secret(*, owner: User, now: datetime) -> str:
    with transaction.atomic():
        type(owner)._default_manager.select_for_update().get(pk=owner.pk)  # noqa: SLF001
        return secrets.rotate(owner_id=owner.pk, endpoint=None, now=now)


def test(*, endpoint_id: UUID, now: datetime) -> WebhookDelivery:
    """Create a test delivery, due now and tried once. Raises `EndpointDisabled`."""
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id, kind=Kind.ENDPOINT)
    if not endpoint.is_enabled:
        raise EndpointDisabled("The endpoint is disabled; enable it first.")
    return WebhookDelivery.objects.create(endpoint=endpoint, next_attempt_at=now, created_at=now)


def _check_owned(values: Mapping[str, Any], *, owner_id: int) -> None:
    """Raise `InvalidField` for a dialect without the owner's credential, or a number that is no sender of the owner."""
    accounts = TwilioAccount.objects.filter(user=owner_id, revoked_at__isnull=True)
    if values.get("dialect") == Dialect.TWILIO and not accounts.exists():
        raise InvalidField("dialect", "no_credential", "The owner has no Twilio credential to sign with.")
    usable = SenderNumber.objects.filter(Q(owner=owner_id) | Q(owner__isnull=True))
    if values.get("number") and not usable.filter(number=values["number"]).exists():
        raise InvalidField("number", "sender_not_allowed", "This is not one of the owner's senders.")


def check_url(url: str, *, field: str, guard: Guard) -> None:
    """Raise `InvalidField` for a URL that would never be called."""
    try:
        guard.check_url(url)
    except AddressRefused as error:
        raise InvalidField(field, "address_refused", f"This address is not called: {error}.") from None
