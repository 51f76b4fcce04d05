"""Asking providers what became of texts whose answer never came. It settles what is `unknown`, and never sends anything."""

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
from providers.contract.lookup import StatusQuery
from providers.contract.sender import Backend
from providers.errors import Misconfigured, SendError
from providers.models import ProviderAccount

logger = logging.getLogger(__name__)

# After the attempt ended: the first time soon, because most are settled then, and later for those that arrive late.
DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720))
# Of one sweep: so many questions, and no new one after so long.
LIMIT = 20
MAX_DURATION = timedelta(seconds=20)


def reconcile(*, clock: Callable[[], datetime]) -> int:
    """Ask about some of the attempts that are due; returns how many messages were settled. No transaction is open meanwhile."""
    backends = _backends()
    if not backends:
        return 0
    started, settled = clock(), 0
    for attempt in _due(backends.keys(), started):
        if clock() - started > MAX_DURATION:
            break
        if _is_ours(attempt):
            settled += _settle(attempt, backends[attempt.provider_id], clock)
    return settled


def _backends() -> dict[str, Backend]:
    found = {}
    for account in ProviderAccount.objects.all():
        try:
            backend = registry.backend_for(account)
        except Misconfigured:
            continue  # whoever sends through it says so
        if backend.can_fetch_status:
            found[account.slug] = backend
    return found


def _due(slugs: Sequence[str], now: datetime) -> list[DeliveryAttempt]:
    """The last attempts of messages that are `unknown`, whose time to be asked about has come."""
    due = Q()
    for asked, delay in enumerate(DELAYS):
        due |= Q(look_ups=asked, finished_at__lte=now - delay)
    return list(
        DeliveryAttempt.objects.filter(
            due,
            outcome=DeliveryAttempt.Outcome.UNKNOWN,
            finished_at__gt=now - 2 * DELAYS[-1],
            provider__in=list(slugs),
            message__status=Status.UNKNOWN,
            message__attempts=F("number"),
        )
        .select_related("message", "provider")
        .order_by("finished_at")[:LIMIT]
    )


def _is_ours(attempt: DeliveryAttempt) -> bool:
    """One conditional UPDATE decides which of two sweeps asks, and counts the question even if we die over it."""
    mine = DeliveryAttempt.objects.filter(pk=attempt.pk, look_ups=attempt.look_ups)
    return bool(mine.update(look_ups=attempt.look_ups + 1))


def _settle(attempt: DeliveryAttempt, backend: Backend, clock: Callable[[], datetime]) -> bool:
    message = attempt.message
    try:
        found = backend.fetch_status(_question(attempt))
    except SendError as error:
        logger.warning("account %s could not be asked about a message: %s", attempt.provider_id, error.error_code)
        return False
    except CannotBeOpened as fault:
        logger.warning("nobody is asked about message %s: %s", message.pk, fault)
        return False
    report = _only_new(attempt, found)
    if report is None:
        return False
    now = clock()
    note = {"looked_up": str(attempt.pk), "message_id": report.provider_message_id, "status": report.word}
    body = json.dumps(note).encode()
    kept = receipts.record(account=attempt.provider, body=body, report=report, attempt_id=attempt.pk, now=now)
    receipts.apply(kept.pk, now=now)
    message.refresh_from_db(fields=["status"])
    return message.status != Status.UNKNOWN


def _question(attempt: DeliveryAttempt) -> StatusQuery:
    message = attempt.message
    return StatusQuery(
        to=message.to_number,
        text=message.text,
        sender=message.from_number or attempt.provider.from_number,
        reference=str(message.pk),
        called_at=attempt.started_at,
    )


def _only_new(attempt: DeliveryAttempt, found: Sequence[StatusReport]) -> StatusReport | None:
    """The one report that no other attempt has; two that look alike settle nothing, a person has to."""
    ids = {report.provider_message_id for report in found}
    others = DeliveryAttempt.objects.filter(provider=attempt.provider_id, provider_message_id__in=ids)
    known = set(others.exclude(pk=attempt.pk).values_list("provider_message_id", flat=True))
    new = [report for report in found if report.provider_message_id not in known]
    if len(new) != 1:
        return None
    # The provider knows it: whatever it is busy with, it has taken the message.
    return replace(new[0], status=ReportedStatus.SENT) if new[0].status is ReportedStatus.PROGRESS else new[0]
