"""Fetching the files that a provider's callback has named, from addresses that nobody has vouched for."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from media_store import services as media
from media_store.errors import MediaError
from media_store.models import MediaAsset
from messaging.database_faults import DATABASE_FAULTS, drop_connection, may_pass
from messaging.models import Attachment, Message
from providers import registry
from providers.contract.callbacks import MediaAccess
from providers.errors import Misconfigured
from providers.http.public_addresses import AddressRefused, Guard
from providers.http.public_http import Credentials, FetchFailed, PublicHttp, TooLarge

logger = logging.getLogger(__name__)

BATCH = 16
WORKERS = 4
DEADLINE_SECONDS = 20.0
# Longer than a whole batch can take, one file after the other in each worker.
LEASE = timedelta(seconds=DEADLINE_SECONDS * BATCH / WORKERS + 30)
DELAYS = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))

_busy = threading.Lock()


class _Gone(NamedTuple):
    """Why a file cannot be had; for good, unless it is worth another try."""

    reason: str
    is_retryable: bool = False


# Each try began and none came to an end: it is the file that ends the workers.
LOST = _Gone("fetching it was never finished")
FAULT = _Gone("it could not be judged", is_retryable=True)
VERDICTS: Mapping[type[Exception], _Gone] = {
    AddressRefused: _Gone("the address is not public"),
    TooLarge: _Gone("the file is too large"),
    Misconfigured: _Gone("the provider account cannot be used as it is configured", is_retryable=True),
    OSError: _Gone("the file could not be kept", is_retryable=True),
}


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How files are fetched; tests bring one that reaches no network."""

    http: PublicHttp

    def chunks(self, url: str, access: MediaAccess | None) -> Iterator[bytes]:
        credentials = access and Credentials.basic(access.origin, access.username, access.password)
        return self.http.fetch(
            url,
            max_bytes=settings.MEDIA_MAX_BYTES,
            deadline_seconds=DEADLINE_SECONDS,
            credentials=credentials,
            redirect_hosts=access.redirect_hosts if access else frozenset(),
        )


_fetcher: Fetcher | None = None


def default_fetcher() -> Fetcher:
    global _fetcher  # noqa: PLW0603 (one pool of connections for the process, made when it is first needed)
    if _fetcher is None:
        _fetcher = Fetcher(PublicHttp(Guard.allowing(settings.MEDIA_FETCH_ALLOWED_NETWORKS)))
    return _fetcher


def fetch_due(*, clock: Callable[[], datetime], fetcher: Fetcher | None = None) -> int:
    """Fetch what is due, a batch at a time; returns how many files were tried. One run at a time in a process."""
    if not _busy.acquire(blocking=False):
        return 0
    try:
        tried = 0
        while claimed := _claim(clock()):
            with ThreadPoolExecutor(min(WORKERS, len(claimed)), thread_name_prefix="media") as executor:
                list(executor.map(lambda file: _fetch(file, fetcher or default_fetcher(), clock), claimed))
            tried += len(claimed)
        return tried
    finally:
        _busy.release()


def _claim(now: datetime) -> list[Attachment]:
    """Push the time of what is due beyond this worker's lease: if the worker dies, somebody else tries then."""
    with transaction.atomic():
        rows = list(
            Attachment.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(next_attempt_at__lte=now)
            .order_by("next_attempt_at")
            .select_related("message__provider", "message__owner")[:BATCH]
        )
        if rows:
            Attachment.objects.filter(pk__in=[row.pk for row in rows]).update(
                next_attempt_at=now + LEASE, attempts=F("attempts") + 1
            )
    return rows


def _fetch(file: Attachment, fetcher: Fetcher, clock: Callable[[], datetime]) -> None:
    """What went wrong stands in the row; only a database that is away is raised, and the lease brings the file back."""
    try:
        asset = LOST if file.attempts > len(DELAYS) else _asset(file, fetcher, clock)
        if isinstance(asset, _Gone):
            _give_up(file, asset, clock())
        else:
            _keep(file, asset)
    except DATABASE_FAULTS as fault:
        if may_pass(fault):
            drop_connection()
        raise
    finally:
        connection.close()  # the thread ends with the batch


def _asset(file: Attachment, fetcher: Fetcher, clock: Callable[[], datetime]) -> MediaAsset | _Gone:
    try:
        access = registry.backend_for(file.message.provider).media_access()
        chunks = fetcher.chunks(file.source_url, access)
        return media.store(owner=file.message.owner, stream=chunks, now=clock()).asset
    except (AddressRefused, TooLarge, FetchFailed, MediaError, Misconfigured, OSError) as fault:
        if isinstance(fault, OSError):
            logger.error("an incoming file cannot be kept: %s", type(fault).__name__)
        return _verdict(fault)
    except DATABASE_FAULTS:
        raise
    except Exception as fault:  # noqa: BLE001 (a fault in the program must not stop the other files of the batch)
        logger.error("an incoming file met a fault: %s", type(fault).__name__)
        return FAULT


def _verdict(fault: Exception) -> _Gone:
    if isinstance(fault, FetchFailed):
        return _Gone(str(fault), is_retryable=fault.retryable)
    if isinstance(fault, MediaError):
        return _Gone(f"the file is not taken: {fault.code}")
    return next(gone for kind, gone in VERDICTS.items() if isinstance(fault, kind))


def _keep(file: Attachment, asset: MediaAsset) -> None:
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(pk=file.message_id).first()
        if message is None:  # erased meanwhile
            return
        if message.attachments.filter(asset=asset).exclude(pk=file.pk).exists():  # the same picture under two addresses
            Attachment.objects.filter(pk=file.pk).delete()
            Message.objects.filter(pk=message.pk).update(media_count=F("media_count") - 1)
            return
        Attachment.objects.filter(pk=file.pk).update(asset=asset, next_attempt_at=None, error="")


def _give_up(file: Attachment, gone: _Gone, now: datetime) -> None:
    place = file.attempts  # as it was before this attempt
    next_attempt_at = now + DELAYS[place] if gone.is_retryable and place < len(DELAYS) else None
    Attachment.objects.filter(pk=file.pk, asset=None).update(next_attempt_at=next_attempt_at, error=gone.reason[:200])
    if next_attempt_at is None:
        logger.warning("file %d of message %s is not to be had: %s", file.position, file.message_id, gone.reason)
