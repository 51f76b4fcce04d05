"""The bound sessions of all server processes, each under a lease that its process renews."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count

from messaging.models import GatewayCredential, GatewaySession
from messaging.services.errors import DomainError
from messaging.services.gateway.credentials import PERMISSION

LEASE = timedelta(seconds=60)
BACKEND = "django.contrib.auth.backends.ModelBackend"


class TooManySessions(DomainError):
    code = "too_many_sessions"


def bind(*, credential: GatewayCredential, kind: GatewaySession.Bind, address: str, now: datetime) -> GatewaySession:
    """Take one of the credential's sessions. Raises `TooManySessions`."""
    with transaction.atomic():
        GatewayCredential.objects.select_for_update().get(pk=credential.pk)
        others = GatewaySession.objects.filter(credential=credential)
        others.filter(lease_until__lte=now).delete()
        if others.count() >= credential.max_sessions:
            raise TooManySessions(f"The credential has {credential.max_sessions} sessions already.")
        return GatewaySession.objects.create(
            credential=credential, bind=kind, address=address[:45], bound_at=now, lease_until=now + LEASE
        )


def renew(session_ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Renew the leases; return the sessions that may go on: their credential is not revoked, and its user may send.

    A session whose lease has ended unnoticed has its row no more, and is not among them.
    """
    if not session_ids:
        return set()
    users = get_user_model().objects.with_perm(PERMISSION, backend=BACKEND)
    allowed = GatewaySession.objects.filter(
        pk__in=session_ids, credential__revoked_at__isnull=True, credential__user__in=users.values("pk")
    )
    ids = set(allowed.values_list("pk", flat=True))
    GatewaySession.objects.filter(pk__in=ids).update(lease_until=now + LEASE)
    return ids


def counts(credential_ids: Collection[int], *, now: datetime) -> dict[int, int]:
    """The open sessions of each of these credentials that has any."""
    rows = GatewaySession.objects.filter(credential__in=credential_ids, lease_until__gt=now).order_by()
    return dict(rows.values_list("credential").annotate(count=Count("pk")))


def by_kind(*, now: datetime) -> dict[str, int]:
    """The open sessions of each kind of bind."""
    rows = GatewaySession.objects.filter(lease_until__gt=now).order_by()
    found = dict(rows.values_list("bind").annotate(count=Count("pk")))
    return {kind: found.get(kind, 0) for kind in GatewaySession.Bind.values}


def release(session_ids: Collection[UUID]) -> None:
    GatewaySession.objects.filter(pk__in=session_ids).delete()
