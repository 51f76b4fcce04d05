"""What clients that speak SMPP are told, receipts and texts: each row by one server process at a time, under a lease."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from uuid_utils.compat import uuid7

from messaging.models import GatewayCredential, GatewayReceipt, GatewayText

Row = TypeVar("Row", GatewayReceipt, GatewayText)

PENDING, SENDING = "pending", "sending"
# Seconds until the next attempt after the first, second, … that was refused or not answered; then the last one.
DELAYS = (5, 30, 120, 600, 1800, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayClaim:
    """One row to deliver, by its key. `attempts` includes this one."""

    id: Any
    credential_id: int
    claim_id: UUID
    attempts: int


def held_by(row: GatewayReceipt | GatewayText) -> dict[str, Any]:
    """The fields of the claim of a row that `claim` has returned."""
    return {
        "id": row.pk,
        "credential_id": row.credential_id,
        "claim_id": row.claim_id,
        "attempts": row.attempts,
    }


def claim(model: type[Row], *, places: Mapping[int, int], now: datetime, lease: timedelta) -> list[Row]:
    """Claim due rows: of each credential in `places` at most so many. Concurrent processes claim different ones."""
    due = model.objects.filter(state=PENDING, next_attempt_at__lte=now)
    of_each = due.filter(credential=OuterRef("pk"))  # a probe of the index, however many rows there are
    free = GatewayCredential.objects.filter(pk__in=[pk for pk, count in places.items() if count > 0])
    credential_ids = list(free.filter(Exists(of_each)).order_by("pk").values_list("pk", flat=True))
    if not credential_ids:
        return []
    claim_id = uuid7()
    with transaction.atomic():
        rows: list[Row] = []
        for credential_id in credential_ids:
            of_credential = due.filter(credential=credential_id).order_by("next_attempt_at")
            rows += of_credential.select_for_update(skip_locked=True)[: places[credential_id]]
        model.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=SENDING, attempts=F("attempts") + 1, next_attempt_at=None, claim_id=claim_id, lease_until=now + lease
        )
    for row in rows:
        row.claim_id, row.attempts = claim_id, row.attempts + 1
    return rows


def settle(
    model: type[Row], *, acknowledged: Sequence[GatewayClaim], refused: Sequence[GatewayClaim], now: datetime
) -> None:
    """Forget what was acknowledged, and try the others again later. A row whose lease has ended is left alone."""
    for job in refused:
        seconds = DELAYS[min(job.attempts, len(DELAYS)) - 1]
        held(model, job).update(**_pending(now + timedelta(seconds=seconds)))
    by_claim: dict[UUID, list[Any]] = {}
    for job in acknowledged:
        by_claim.setdefault(job.claim_id, []).append(job.id)
    for claim_id, ids in by_claim.items():
        model.objects.filter(pk__in=ids, claim_id=claim_id).delete()


def release(model: type[Row], jobs: Sequence[GatewayClaim], *, now: datetime) -> None:
    """Make rows due again that were claimed and provably not sent."""
    for job in jobs:
        held(model, job).update(**_pending(now), attempts=job.attempts - 1)


def held(model: type[Row], job: GatewayClaim) -> QuerySet[Row]:
    """The row, if the claim still holds it."""
    return model.objects.filter(pk=job.id, claim_id=job.claim_id)


def hasten(model: type[Row], credential_id: int, *, now: datetime) -> None:
    """A receiver has bound: try at once what failed before it."""
    waiting = model.objects.filter(credential=credential_id, state=PENDING, next_attempt_at__gt=now)
    waiting.update(next_attempt_at=now)


def return_expired(model: type[Row], *, now: datetime) -> None:
    """Make the rows of dead processes due again."""
    model.objects.filter(state=SENDING, lease_until__lte=now).update(**_pending(now))


def _pending(at: datetime) -> dict[str, Any]:
    return {"state": PENDING, "next_attempt_at": at, "claim_id": None, "lease_until": None}
