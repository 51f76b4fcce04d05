"""A user's numbers, and where the texts that people send to them go in Twilio's form."""

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from messaging.models import WebhookEndpoint
from messaging.services.webhooks import endpoints
from messaging.services.webhooks.endpoints import EndpointInput
from providers.http.public_addresses import Guard
from providers.models import SenderNumber

EVENT = "message.received"


def numbers_of(user: User) -> QuerySet[SenderNumber]:
    """The user's own and the shared numbers in E.164, oldest first; no short codes and names."""
    return SenderNumber.objects.filter(Q(owner=user) | Q(owner=None), number__startswith="+").order_by("pk")


def sms_urls(user: User, numbers: Collection[str]) -> dict[str, str]:
    rows = _endpoints(user).filter(number__in=numbers).order_by("-pk")
    return dict(rows.values_list("number", "url"))


def set_sms_url(*, user: User, number: str, url: str, guard: Guard, now: datetime) -> None:
    """Post the texts that people send to this number to `url`; to none if it is empty. Safe to repeat.

    Raises `InvalidField` or `TooManyEndpoints`.
    """
    with transaction.atomic():
        # Of two calls at once the second finds the first one's endpoint.
        User.objects.select_for_update().get(pk=user.pk)
        known = _endpoints(user).filter(number=number).order_by("pk").first()
        if not url:
            _endpoints(user).filter(number=number).delete()
        elif known is None:
            data = EndpointInput(url=url, events=(EVENT,), dialect=WebhookEndpoint.Dialect.TWILIO, number=number)
            endpoints.create(owner=user, data=data, guard=guard, now=now)
        else:
            changes = {"url": url, "is_enabled": True}
            endpoints.change(endpoint_id=known.pk, changes=changes, guard=guard, now=now)


def _endpoints(user: User) -> QuerySet[WebhookEndpoint]:
    """Those for incoming texts: one without a list gets all events, of which this is one."""
    ours = WebhookEndpoint.objects.filter(owner=user, kind=WebhookEndpoint.Kind.ENDPOINT)
    return ours.filter(dialect=WebhookEndpoint.Dialect.TWILIO, events=[EVENT])
