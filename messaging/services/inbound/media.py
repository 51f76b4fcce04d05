"""Fetches the media that providers' callbacks name, from URLs that are not trusted."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet

from media_store import services as media
from media_store.content_types import types_of
from media_store.errors import BadImage, FileNotAccepted, FileTooLarge, MediaError, NotAnImage
from media_store.models import MediaAsset
from messaging.database_faults import DATABASE_FAULTS, drop_connection, may_pass
from messaging.file_errors import MAX_DETAIL, FileError
from messaging.models import Attachment, Message
from providers import registry
from providers.contract.callbacks import MediaAccess, callback_parser
from providers.errors import Misconfigured
from providers.http.public_addresses import AddressRefused, Guard
from providers.http.public_http import Credentials, FetchFailed, PublicHttp, TooLarge

logger = logging.getLogger(__name__)

BATCH = 16
WORKERS = 4
DEADLINE_SECONDS = 20.0
# Longer than a batch can take when each thread fetches its files one after the other.
LEASE = timedelta(seconds=DEADLINE_SECONDS * BATCH / WORKERS + 30)
DELAYS = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))

_running = threading.Lock()


class _FetchError(NamedTuple):
    """Why a file was not fetched: a code, and a sentence for the sender's readers. It is given up unless `is_retryable`."""

    code: FileError
    detail: str
    is_retryable: bool = False


# Every attempt started and none ended: fetching this file probably kills the worker.
LOST = _FetchError(FileError.FAILED, "Fetching the file was never finished.")
FAULT = _FetchError(FileError.FAILED, "The file could not be processed.", is_retryable=True)
ERRORS: Mapping[type[Exception], _FetchError] = {
    AddressRefused: _FetchError(FileError.ADDRESS_NOT_PUBLIC, "The file is at an address that is not public."),
    Misconfigured: _FetchError(
        FileError.FAILED, "The provider account cannot be used as it is configured.", is_retryable=True
    ),
    OSError: _FetchError(FileError.FAILED, "The file could not be stored.", is_retryable=True),
}
# Errors of the media store, whose texts are sentences.
MEDIA_CODES: Mapping[type[MediaError], FileError] = {
    FileTooLarge: FileError.TOO_LARGE,
    FileNotAccepted: FileError.NOT_ACCEPTED,
    NotAnImage: FileError.NOT_ACCEPTED,
    BadImage: FileError.DAMAGED,
}
# What is wrong with an image that is whole, but more than the limits allow.
OVER_THE_LIMITS = frozenset({"too_many_pixels", "too_many_frames"})


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches one URL. Tests inject one without network access."""

    http: PublicHttp

    def chunks(self, url: str, access: MediaAccess | None) -> Iterator[bytes]:
        credentials = Credentials.basic(access.origin, access.username, access.password) if access else None
        return self.http.fetch(
            url,
            max_bytes=settings.MEDIA_MAX_BYTES,
            deadline_seconds=DEADLINE_SECONDS,
            credentials=credentials,
            redirect_hosts=access.redirect_hosts if access else frozenset(),
        )


_fetcher: Fetcher | None = None


def default_fetcher() -> Fetcher:
    global _fetcher  # noqa: PLW0603 (one connection pool per process, created on first use)
    if _fetcher is None:
        _fetcher = Fetcher(PublicHttp(Guard.allowing(settings.MEDIA_FETCH_ALLOWED_NETWORKS)))
    return _fetcher


def fetch_due(*, clock: Callable[[], datetime], fetcher: Fetcher | None = None) -> int:
    """Fetch due files in batches; return how many were attempted. Returns 0 if this process is already fetching."""
    if not _running.acquire(blocking=False):
        return 0
    try:
        attempted = 0
        while claimed := _claim(clock()):
            with ThreadPoolExecutor(min(WORKERS, len(claimed)), thread_name_prefix="media") as executor:
                list(executor.map(lambda file: _fetch(file, fetcher or default_fetcher(), clock), claimed))
            attempted += len(claimed)
        return attempted
    finally:
        _running.release()


def due(now: datetime) -> QuerySet[Attachment]:
    return Attachment.objects.filter(next_attempt_at__lte=now)


def _claim(now: datetime) -> list[Attachment]:
    """Claim due files by moving `next_attempt_at` past the lease: if this worker dies, another one retries them then."""
    with transaction.atomic():
        rows = list(
            due(now)
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("next_attempt_at")
            .select_related("message__provider", "message__owner")[:BATCH]
        )
        if rows:
            Attachment.objects.filter(pk__in=[row.pk for row in rows]).update(
                next_attempt_at=now + LEASE, attempts=F("attempts") + 1
            )
    return rows


def _fetch(file: Attachment, fetcher: Fetcher, clock: Callable[[], datetime]) -> None:
    """Store the asset or the error. Raises only database faults; the lease makes the file due again."""
    try:
        result = LOST if file.attempts > len(DELAYS) else _download(file, fetcher, clock)
        if isinstance(result, _FetchError):
            _store_error(file, result, clock())
        else:
            _store_asset(file, result)
    except DATABASE_FAULTS as fault:
        if may_pass(fault):
            drop_connection()
        raise
    finally:
        connection.close()  # the thread ends with the batch


def _download(file: Attachment, fetcher: Fetcher, clock: Callable[[], datetime]) -> MediaAsset | _FetchError:
    if file.message.provider is None:
        return FAULT
    try:
        with registry.backend_for(file.message.provider) as backend:
            parser = callback_parser(backend)
            access = parser.media_access() if parser is not None else None
        chunks = fetcher.chunks(file.source_url, access)
        allowed = types_of(settings.INBOUND_FILE_TYPES)
        return media.store(owner=file.message.owner, stream=chunks, now=clock(), allow_files=allowed).asset
    except (AddressRefused, TooLarge, FetchFailed, MediaError, Misconfigured, OSError) as fault:
        if isinstance(fault, OSError):
            logger.error("an inbound file cannot be stored: %s", type(fault).__name__)
        return _error_of(fault)
    except DATABASE_FAULTS:
        raise
    except Exception as fault:  # noqa: BLE001 (a bug must not stop the other files of the batch)
        logger.error("an inbound file cannot be processed: %s", type(fault).__name__)
        return FAULT


def _error_of(fault: Exception) -> _FetchError:
    if isinstance(fault, FetchFailed):
        detail = f"The file could not be fetched: {fault}."
        return _FetchError(FileError.UNAVAILABLE, detail, is_retryable=fault.retryable)
    if isinstance(fault, TooLarge):
        return _error_of(FileTooLarge(settings.MEDIA_MAX_BYTES))
    if isinstance(fault, MediaError):
        is_over = isinstance(fault, BadImage) and fault.field_code in OVER_THE_LIMITS
        code = next((code for kind, code in MEDIA_CODES.items() if isinstance(fault, kind)), FileError.NOT_ACCEPTED)
        return _FetchError(FileError.TOO_LARGE if is_over else code, fault.detail)
    return next(error for kind, error in ERRORS.items() if isinstance(fault, kind))


def _store_asset(file: Attachment, asset: MediaAsset) -> None:
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(pk=file.message_id).first()
        if message is None:  # erased meanwhile
            return
        if message.attachments.filter(asset=asset).exclude(pk=file.pk).exists():  # the same image under two URLs
            Attachment.objects.filter(pk=file.pk).delete()
            Message.objects.filter(pk=message.pk).update(media_count=F("media_count") - 1)
            return
        Attachment.objects.filter(pk=file.pk).update(asset=asset, next_attempt_at=None, error="")


def _store_error(file: Attachment, error: _FetchError, now: datetime) -> None:
    earlier = file.attempts  # as it was before this attempt
    is_retried = error.is_retryable and earlier < len(DELAYS)
    Attachment.objects.filter(pk=file.pk, asset=None).update(
        next_attempt_at=now + DELAYS[earlier] if is_retried else None,
        error=error.detail[:MAX_DETAIL],
        error_code="" if is_retried else error.code,
    )
    if not is_retried:
        logger.warning("file %d of message %s given up: %s", file.position, file.message_id, error.code)
