"""Answers of a carrier that no worker waits for: they came too late, or the worker has died.

An acceptance makes its message `sent`, with the carrier's ids; a refusal makes it `failed`. Without them it would stay
`unknown`, and its receipt would match nothing.
"""

import functools
import logging
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from messaging import notifier
from messaging.database_threads import DatabaseThreads
from messaging.services.outbound import receipts
from messaging.services.outbound.dispatch import lost_results
from messaging.services.outbound.dispatch.sending import MAX_ID_LENGTH
from messaging.smpp_connector.submissions import Submission
from providers import account_cache
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.smpp.constants import CommandStatus, status_name

logger = logging.getLogger(__name__)


async def save_in(threads: DatabaseThreads, submission: Submission) -> None:
    """Save the answers once all parts have one. Never raises: what is not saved stays `unknown`, its receipts are parked."""
    if submission.is_reported or any(answer is None for answer in submission.answers):
        return
    submission.is_reported = True
    try:
        is_saved = await threads.run(functools.partial(save, submission, now=timezone.now()))
    except Exception as error:  # noqa: BLE001 (any fault: it is logged, and the message stays `unknown`)
        logger.error("%s: a late answer could not be saved (%s)", submission.slug, type(error).__name__)
        return
    if is_saved:
        notifier.notify_webhooks()


def save(submission: Submission, *, now: datetime) -> bool:
    """Save the answers to all parts. Returns False where they change nothing: a test message, or a result that is known."""
    try:
        attempt_id = UUID(submission.attempt)
    except ValueError:
        return False
    if not submission.is_accepted:
        return _save_refusal(submission, attempt_id, now)
    ids = [each if each.isprintable() and len(each) <= MAX_ID_LENGTH else "" for each in submission.ids()]
    return lost_results.settle_late(attempt_id, provider_message_id=ids[0], part_ids=tuple(ids), now=now)


def _save_refusal(submission: Submission, attempt_id: UUID, now: datetime) -> bool:
    """Only the refusal of all parts says that the person gets nothing."""
    account = account_cache.get(submission.slug)
    refused = [answer.status for answer in submission.answers if answer and answer.status != CommandStatus.ROK]
    if account is None or len(refused) < len(submission.answers):
        return False
    name = status_name(refused[0])
    report = StatusReport("", ReportedStatus.FAILED, raw_status=f"submit_sm_resp {name}", error_code=name)
    body = f"late answer to submit_sm: {name}".encode()
    [state] = receipts.ingest([report], account=account, body=body, attempt_id=attempt_id, now=now)
    return state == state.APPLIED
