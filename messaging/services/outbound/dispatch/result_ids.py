"""Provider message ids in a batch of results that another attempt already has."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from messaging.models import DeliveryAttempt
from messaging.services.outbound.dispatch.sending import SendResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResultIds:
    """Attempts that cannot keep the provider message id of their result.

    `conflicts`: another message has the id, so this message gets no receipts. `repeats`: an earlier attempt of the same
    message has it, because the provider recognised the message; receipts find the message through that attempt.
    """

    conflicts: frozenset[UUID]
    repeats: frozenset[UUID]

    def of_message(self, result: SendResult) -> str:
        return "" if result.attempt.attempt_id in self.conflicts else result.provider_message_id

    def of_attempt(self, result: SendResult) -> str:
        return "" if result.attempt.attempt_id in self.repeats else self.of_message(result)


def check_ids(results: Sequence[SendResult]) -> ResultIds:
    """Compare the ids of these results with each other and with those in the database, in one query."""
    owners: dict[tuple[str, str], UUID] = {}
    conflicts: set[UUID] = set()
    repeats: set[UUID] = set()
    messages = {result.attempt.attempt_id: result.attempt.message.pk for result in results}
    for result in results:
        if result.provider_message_id:
            key = (result.attempt.account.slug, result.provider_message_id)
            if owners.setdefault(key, result.attempt.attempt_id) != result.attempt.attempt_id:
                conflicts.add(result.attempt.attempt_id)
    for slug, provider_message_id, pk, message_id in _stored(owners):
        attempt_id = owners[slug, provider_message_id]
        if attempt_id != pk:
            (repeats if messages[attempt_id] == message_id else conflicts).add(attempt_id)
    for _ in conflicts:
        logger.error("a provider returned the message id of another message; this message gets no receipts")
    return ResultIds(frozenset(conflicts), frozenset(repeats))


def _stored(owners: Mapping[tuple[str, str], UUID]) -> Sequence[tuple[str, str, UUID, UUID]]:
    """Account, provider message id, attempt and message of all attempts that have one of these ids."""
    if not owners:
        return []
    clauses = Q()
    for slug in {slug for slug, _ in owners}:
        clauses |= Q(provider=slug, provider_message_id__in=[pmid for account, pmid in owners if account == slug])
    columns = ("provider_id", "provider_message_id", "pk", "message_id")
    return list(DeliveryAttempt.objects.filter(clauses).values_list(*columns))
