"""Store what a client submits, within its limit, and notify the dispatcher after the commit."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from messaging import log_context, notifier
from messaging.gateway_http import access
from messaging.models import GatewayCredential, Message
from messaging.services.errors import DomainError
from messaging.services.outbound.accept import accept
from messaging.services.outbound.submit import MessageInput, submit_many
from messaging.states import Status


def store(
    credential: GatewayCredential, drafts: Sequence[MessageInput], *, now: datetime
) -> list[Message | DomainError]:
    """Store the drafts that may be sent; return a message or an error for each, in order.

    Raises `TooManyRequests`; then nothing is stored.
    """
    access.admit(credential, requests=len(drafts))
    results = _store_one(credential, drafts[0], now) if len(drafts) == 1 else _store_all(credential, drafts, now)
    messages = [result for result in results if isinstance(result, Message)]
    if messages:
        log_context.log_accepted([message.pk for message in messages])
    for queue in sorted({each.queue_id for each in messages if each.status == Status.QUEUED and each.queue_id}):
        notifier.notify_queue(queue)
    return results


def _store_one(credential: GatewayCredential, draft: MessageInput, now: datetime) -> list[Message | DomainError]:
    try:
        message = accept(owner=credential.user, draft=draft, default_queue=settings.DEFAULT_QUEUE, now=now).message
    except DomainError as error:
        return [error]
    if message is None:
        raise TypeError("without an idempotency key there is no repeat")
    return [message]


def _store_all(
    credential: GatewayCredential, drafts: Sequence[MessageInput], now: datetime
) -> list[Message | DomainError]:
    return submit_many(owner=credential.user, drafts=drafts, default_queue=settings.DEFAULT_QUEUE, now=now)
