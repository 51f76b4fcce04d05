"""Answers of a carrier that no worker waits for: they came too late, or the worker has died.

An acceptance makes its message `sent`, with the carrier's ids; a refusal makes it `failed`. Without them it would stay
`unknown`, and its receipt would match nothing.
"""

import functools
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from django.utils import timezone

from messaging import notifier
from messaging.database_threads import DatabaseThreads
from messaging.services.outbound import receipts
from messaging.services.outbound.dispatch import lost_results
from messaging.smpp_connector.submissions import Submission
from providers import account_cache
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.smpp.constants import CommandStatus, status_name

logger = logging.getLogger(__name__)

MAX_ID_LENGTH: Final = 128


class LateAnswers:
    """Saves the answers to submissions once all their parts have one."""

    def __init__(self, threads: DatabaseThreads, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self._threads = threads
        self._clock = clock

    async def save(self, submission: Submission) -> None:
        """Never raises: what is not saved stays `unknown`, and its receipts are parked."""
        if submission.is_reported or not submission.attempt or any(answer is None for answer in submission.answers):
            return
        submission.is_reported = True
        try:
            await self._threads.run(functools.partial(self._save, submission))
        except Exception as error:  # noqa: BLE001 (any fault: it is logged, and the message stays `unknown`)
            logger.error("%s: a late answer could not be saved (%s)", submission.slug, type(error).__name__)

    def _save(self, submission: Submission) -> None:
        try:
            attempt_id = UUID(submission.attempt)
        except ValueError:
            return
        if submission.is_accepted:
            ids = [each if each.isprintable() and len(each) <= MAX_ID_LENGTH else "" for each in submission.ids()]
            is_saved = lost_results.settle_late(
                attempt_id, provider_message_id=ids[0], part_ids=tuple(ids), now=self._clock()
            )
        else:
            is_saved = self._save_refusal(submission, attempt_id)
        if is_saved:
            notifier.notify_webhooks()

    def _save_refusal(self, submission: Submission, attempt_id: UUID) -> bool:
        """Only the refusal of all parts says that the person gets nothing."""
        account = account_cache.get(submission.slug)
        refused = [answer.status for answer in submission.answers if answer and answer.status != CommandStatus.ROK]
        if account is None or len(refused) < len(submission.answers):
            return False
        name = status_name(refused[0])
        report = StatusReport("", ReportedStatus.FAILED, raw_status=f"submit_sm_resp {name}", error_code=name)
        body = f"late answer to submit_sm: {name}".encode()
        [state] = receipts.ingest([report], account=account, body=body, attempt_id=attempt_id, now=self._clock())
        return state == state.APPLIED
