"""Asks providers for the status of `unknown` messages, and settles those. Never sends anything."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import F, Q

from messaging.encryption import CannotBeOpened
from messaging.models import DeliveryAttempt
from messaging.services.outbound import receipts
from messaging.states import Status
from providers import registry
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.lookup import StatusQuery, status_lookup
from providers.errors import SendError
from providers.models import ProviderAccount

logger = logging.getLogger(__name__)

# Delays after the attempt ended. The first is short, because most are settled then; the others catch late ones.
DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720))
# Limits of one sweep: the number of queries, and the time after which it starts no new one.
MAX_QUERIES = 20
MAX_DURATION = timedelta(seconds=20)


def reconcile(*, clock: Callable[[], datetime]) -> int:
    """Query the providers of due attempts; return how many messages were settled. No transaction is open during a query."""
    accounts = ProviderAccount.objects.all()
    slugs = [account.slug for account in accounts if registry.capabilities_of(account).status_lookup]
    if not slugs:
        return 0
    started, settled = clock(), 0
    for attempt in _due(slugs, started):
        if clock() - started > MAX_DURATION:
            break
        if _claim(attempt):
            settled += _settle(attempt, clock)
    return settled


def _due(slugs: Sequence[str], now: datetime) -> list[DeliveryAttempt]:
    """The last attempts of `unknown` messages whose next query is due, oldest first."""
    due = Q()
    for look_ups, delay in enumerate(DELAYS):
        due |= Q(look_ups=look_ups, finished_at__lte=now - delay)
    return list(
        DeliveryAttempt.objects.filter(
            due,
            outcome=DeliveryAttempt.Outcome.UNKNOWN,
            finished_at__gt=now - 2 * DELAYS[-1],
            provider__in=slugs,
            message__status=Status.UNKNOWN,
            message__attempts=F("number"),
        )
        .select_related("message", "provider")
        .order_by("finished_at")[:MAX_QUERIES]
    )


def _claim(attempt: DeliveryAttempt) -> bool:
    """Claim the query with one conditional UPDATE. It counts even if this process dies before the response."""
    unclaimed = DeliveryAttempt.objects.filter(pk=attempt.pk, look_ups=attempt.look_ups)
    return bool(unclaimed.update(look_ups=attempt.look_ups + 1))


def _settle(attempt: DeliveryAttempt, clock: Callable[[], datetime]) -> bool:
    message = attempt.message
    try:
        found = _fetch_status(attempt)
    except SendError as error:
        logger.warning("status query to account %s failed: %s", attempt.provider_id, error.error_code)
        return False
    except CannotBeOpened as fault:
        logger.warning("status of message %s not queried: %s", message.pk, fault)
        return False
    report = _only_new(attempt, found)
    if report is None:
        return False
    now = clock()
    note = {"looked_up": str(attempt.pk), "message_id": report.provider_message_id, "status": report.raw_status}
    body = json.dumps(note).encode()
    receipts.ingest([report], account=attempt.provider, body=body, attempt_id=attempt.pk, now=now)
    message.refresh_from_db(fields=["status"])
    return message.status != Status.UNKNOWN


def _fetch_status(attempt: DeliveryAttempt) -> Sequence[StatusReport]:
    """Raises `SendError` when the provider cannot be asked, `CannotBeOpened` when the text cannot be decrypted."""
    message = attempt.message
    query = StatusQuery(
        to=message.to_number,
        text=message.text,
        sender=message.from_number or attempt.provider.from_number,
        reference=str(message.pk),
        called_at=attempt.started_at,
    )
    with registry.backend_for(attempt.provider) as backend:
        lookup = status_lookup(backend)
        return lookup.fetch_status(query) if lookup is not None else ()


def _only_new(attempt: DeliveryAttempt, found: Sequence[StatusReport]) -> StatusReport | None:
    """Return the only report that belongs to no other attempt. With two candidates an operator has to decide."""
    ids = {report.provider_message_id for report in found}
    others = DeliveryAttempt.objects.filter(provider=attempt.provider_id, provider_message_id__in=ids)
    known = set(others.exclude(pk=attempt.pk).values_list("provider_message_id", flat=True))
    new = [report for report in found if report.provider_message_id not in known]
    if len(new) != 1:
        return None
    # The provider knows the message, so it accepted it, even if it is still working on it.
    return replace(new[0], status=ReportedStatus.SENT) if new[0].status is ReportedStatus.PROGRESS else new[0]
