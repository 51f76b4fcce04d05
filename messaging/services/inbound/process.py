"""`received` → `stored` → `processed`: what a worker does with an incoming text. Every step is safe to repeat.

A text is stored when its files are here or given up, and then processed. Its keyword was applied when it was accepted; its
automatic reply waits for no file either.
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
from messaging.services.inbound import keyword_effects, keyword_rules, replies
from messaging.services.recipients import phone_numbers
from messaging.services.transitions import Transition
from messaging.states import INBOUND_OPEN, Direction, Source, Status

logger = logging.getLogger(__name__)

CHUNK = 200
PUT_OFF = timedelta(minutes=1)
CHANGES = frozenset({Action.STOP, Action.STOP_ALL, Action.START})

_to_fetch = Attachment.objects.filter(message=OuterRef("pk"), next_attempt_at__isnull=False)


def is_anything_open(*, now: datetime) -> bool:
    """Return True if a text has a reply to send, files that are all here, or a keyword that was not applied yet."""
    return _open(now).exists()


def process(*, default_queue: str, now: datetime) -> int:
    """Process what is open, oldest first, each text in a transaction of its own; returns how many were."""
    ids = list(_open(now).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    return sum(_process_or_put_off(message_id, default_queue, now) for message_id in ids)


def _open(now: datetime) -> QuerySet[Message]:
    is_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)
    has_a_step = Q(keyword_read_at__isnull=True) | ~Q(pending_reply="") | ~Exists(_to_fetch)
    return Message.objects.filter(has_a_step, is_due, direction=Direction.INBOUND, status__in=INBOUND_OPEN)


def _process_or_put_off(message_id: UUID, default_queue: str, now: datetime) -> bool:
    """One text that cannot be processed must not hold up the others."""
    try:
        return _process_one(message_id, default_queue, now)
    except Exception as fault:
        if may_pass(fault):
            raise
        # A fault in the program: another try after its mending finds the text.
        logger.error("message %s cannot be processed: %s", message_id, type(fault).__name__)
        Message.objects.filter(pk=message_id, status__in=INBOUND_OPEN).update(next_attempt_at=now + PUT_OFF)
        return False


def _process_one(message_id: UUID, default_queue: str, now: datetime) -> bool:
    with transaction.atomic():
        rows = Message.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            pk=message_id, status__in=INBOUND_OPEN
        )
        message = rows.select_related("provider", "owner").first()
        if message is None:  # another worker has it
            return False
        now = max(now, message.received_at)  # the worker looked at its clock before the text was here
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
    """Send the automatic reply; return what was done, for the history.

    The keyword itself was applied when the text was accepted, unless an older version has accepted it.
    """
    phone_numbers.hold(message.from_number)  # two texts of one person at two workers: one after the other
    note = message.pending_reply
    if message.keyword_read_at is None:
        effect = keyword_effects.apply_late(message, now=now)
        note, message.pending_reply, message.keyword_read_at = effect.note, effect.reply_to, now
    action, message.pending_reply = message.pending_reply, ""
    if not action:
        return note
    if action in CHANGES and _has_newer_change(message):
        return f"{note}: a newer keyword is answered instead"
    rule = keyword_rules.rules_for(message.to_number).get(Action(action))
    reply = rule and replies.answer(message, rule.reply, default_queue=default_queue, now=now)
    return f"{note}, answered" if reply else note


def _has_newer_change(message: Message) -> bool:
    """Whether the person has sent another keyword to this number since, whose reply says what holds now."""
    return Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        to_number=message.to_number,
        pending_reply__in=CHANGES,
        pk__gt=message.pk,
    ).exists()
