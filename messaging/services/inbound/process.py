"""Moves inbound texts from `received` to `stored` to `processed`. Every step is safe to repeat.

A text becomes `stored` when its files are fetched or given up, and `processed` right after. Its keyword was applied at
acceptance; its automatic reply does not wait for files.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging.database_faults import may_pass
from messaging.keywords import Action
from messaging.models import Attachment, Message
from messaging.services import transitions
from messaging.services.inbound import keyword_effects, keyword_rules, ownership, replies
from messaging.services.recipients import phone_numbers
from messaging.services.transitions import Transition
from messaging.states import INBOUND_OPEN, Direction, Source, Status

logger = logging.getLogger(__name__)

CHUNK = 200
RETRY_DELAY = timedelta(minutes=1)
SUPPRESSION_ACTIONS = frozenset({Action.STOP, Action.STOP_ALL, Action.START})

_to_fetch = Attachment.objects.filter(message=OuterRef("pk"), next_attempt_at__isnull=False)


def process(*, default_queue: str, now: datetime) -> int:
    """Process open texts, oldest first, each in its own transaction; return how many were processed."""
    ids = list(open_texts(now).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    return sum(_process_or_defer(message_id, default_queue, now) for message_id in ids)


def open_texts(now: datetime) -> QuerySet[Message]:
    """Texts with a reply to send, all of their files, or a keyword to apply."""
    is_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)
    has_a_step = Q(keyword_read_at__isnull=True) | ~Q(pending_reply="") | ~Exists(_to_fetch)
    return Message.objects.filter(has_a_step, is_due, direction=Direction.INBOUND, status__in=INBOUND_OPEN)


def _process_or_defer(message_id: UUID, default_queue: str, now: datetime) -> bool:
    """Defer a text that cannot be processed, so that it does not block the others."""
    try:
        return _process_one(message_id, default_queue, now)
    except Exception as fault:
        if may_pass(fault):
            raise
        # A bug: the text is processed once it is fixed.
        logger.error("message %s cannot be processed: %s", message_id, type(fault).__name__)
        Message.objects.filter(pk=message_id, status__in=INBOUND_OPEN).update(next_attempt_at=now + RETRY_DELAY)
        return False


def _process_one(message_id: UUID, default_queue: str, now: datetime) -> bool:
    with transaction.atomic():
        rows = Message.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            pk=message_id, status__in=INBOUND_OPEN
        )
        message = rows.select_related("provider", "owner").first()
        if message is None:  # another worker has it
            return False
        if message.received_at is not None:
            now = max(now, message.received_at)  # the text may have arrived after the worker read its clock
        detail = ""
        if message.keyword_read_at is None or message.pending_reply:
            detail = _finish_keyword(message, default_queue, now)
            message.save(update_fields=["keyword_read_at", "pending_reply"])
        if message.media_count and message.attachments.filter(next_attempt_at__isnull=False).exists():
            return True
        if message.status == Status.RECEIVED:
            transitions.apply([Transition(message, Status.STORED, Source.INBOUND)], now=now)
        transitions.apply([Transition(message, Status.PROCESSED, Source.INBOUND, detail=detail)], now=now)
    return True


def _finish_keyword(message: Message, default_queue: str, now: datetime) -> str:
    """Send the automatic reply; return a note for the history.

    The keyword itself was applied at acceptance, except for a text that an older version accepted.
    """
    phone_numbers.lock(message.from_number)  # one text of a sender at a time
    note = message.pending_reply
    if message.keyword_read_at is None:
        effect = keyword_effects.apply_late(message, now=now)
        note, message.pending_reply, message.keyword_read_at = effect.note, effect.reply_to, now
    action, message.pending_reply = message.pending_reply, ""
    if not action:
        return note
    if action in SUPPRESSION_ACTIONS and _has_newer_change(message):
        return f"{note}: replied to a newer keyword instead"
    rule = keyword_rules.rules_for(ownership.our_number(message)).get(Action(action))
    reply = rule and replies.send_reply(message, rule.reply, default_queue=default_queue, now=now)
    return f"{note}, reply sent" if reply else note


def _has_newer_change(message: Message) -> bool:
    """Whether the sender has since sent another keyword to this number; its reply states what applies now."""
    return Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        to_number=message.to_number,
        pending_reply__in=SUPPRESSION_ACTIONS,
        pk__gt=message.pk,
    ).exists()
