"""What clients that speak SMPP get: people's texts, and receipts. A text waits for no receipt."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from messaging.models import GatewayText
from messaging.services.webhooks import gateway_claims, gateway_receipts, gateway_texts
from messaging.services.webhooks.gateway_receipts import ReceiptJob
from messaging.services.webhooks.gateway_texts import TextJob

DeliveryJob = ReceiptJob | TextJob


def claim(
    *, places: Mapping[int, int], take_texts: Collection[int], now: datetime, lease: timedelta
) -> list[DeliveryJob]:
    """Claim what is due: of each credential in `places` at most so many, and texts only of those in `take_texts`."""
    of_texts = {pk: free for pk, free in places.items() if pk in take_texts}
    texts = gateway_texts.claim(places=of_texts, now=now, lease=lease) if of_texts else []
    taken = Counter(job.credential_id for job in texts)
    left = {pk: free - taken[pk] for pk, free in places.items()}
    return [*texts, *gateway_receipts.claim(places=left, now=now, lease=lease)]


def settle(*, acknowledged: Sequence[DeliveryJob], refused: Sequence[DeliveryJob], now: datetime) -> None:
    """Forget what was acknowledged, and try the others again later. What another process has claimed is left alone."""
    gateway_texts.settle(acknowledged=_texts(acknowledged), refused=_texts(refused), now=now)
    gateway_receipts.settle(acknowledged=_receipts(acknowledged), refused=_receipts(refused), now=now)


def release(job: DeliveryJob, *, now: datetime) -> None:
    """Make what was claimed and provably not sent due again."""
    gateway_texts.release(_texts([job]), now=now)
    gateway_receipts.release(_receipts([job]), now=now)


def take_late(job: DeliveryJob, *, part: int, count: int) -> None:
    """An acknowledgment came late, when the delivery was to be tried again."""
    if isinstance(job, TextJob):
        gateway_texts.take_late(job.id, part=part, count=count)
    else:
        gateway_receipts.forget(job.id)


def hasten(credential_id: int, *, now: datetime) -> None:
    """A receiver has bound: try at once what failed before it."""
    gateway_claims.hasten(GatewayText, credential_id, now=now)
    gateway_receipts.hasten(credential_id, now=now)


def sweep(*, now: datetime) -> None:
    """Return what dead processes have claimed, and report messages as unknown of whose end nothing was heard."""
    gateway_claims.return_expired(GatewayText, now=now)
    gateway_receipts.sweep(now=now)


def purge(*, now: datetime) -> None:
    """Delete what no client has taken in time."""
    gateway_texts.purge(now=now)
    gateway_receipts.purge(now=now)


def _texts(jobs: Sequence[DeliveryJob]) -> list[TextJob]:
    return [job for job in jobs if isinstance(job, TextJob)]


def _receipts(jobs: Sequence[DeliveryJob]) -> list[ReceiptJob]:
    return [job for job in jobs if isinstance(job, ReceiptJob)]
