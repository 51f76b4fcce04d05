"""`received` → `stored` → `processed`: what a worker does with an incoming text. Every step is safe to repeat.

A text is stored when its files are here or given up, and then processed. Its keyword waits for neither: a STOP counts at once,
whatever picture it carries.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging import keywords
from messaging.keywords import Action
from messaging.models import Attachment, Message, Suppression
from messaging.services import automatic_replies, keyword_rules, phone_numbers, suppressions, transitions
from messaging.services.transitions import Move
from messaging.states import Direction, Source, Status

logger = logging.getLogger(__name__)

CHUNK = 200
PUT_OFF = timedelta(minutes=1)
OPEN = (Status.RECEIVED, Status.STORED)

_to_fetch = Attachment.objects.filter(message=OuterRef("pk"), next_attempt_at__isnull=False)


def is_anything_open(*, now: datetime) -> bool:
    """Whether there is a text whose keyword nobody has read, or one whose files are all here."""
    return _open(now).exists()


def process(*, default_queue: str, now: datetime) -> int:
    """Process what is open, oldest first, each text in a transaction of its own; returns how many were."""
    ids = list(_open(now).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    return sum(_process_or_put_off(message_id, default_queue, now) for message_id in ids)


def _open(now: datetime) -> QuerySet[Message]:
    is_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)
    has_a_step = Q(keyword_read_at__isnull=True) | ~Exists(_to_fetch)
    return Message.objects.filter(has_a_step, is_due, direction=Direction.INBOUND, status__in=OPEN)


def _process_or_put_off(message_id: UUID, default_queue: str, now: datetime) -> bool:
    """One text that cannot be processed must not keep everybody's STOP waiting behind it."""
    try:
        return _process_one(message_id, default_queue, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as fault:  # noqa: BLE001 (a fault in the program: another try after its mending finds the text)
        logger.error("message %s cannot be processed: %s", message_id, type(fault).__name__)
        Message.objects.filter(pk=message_id, status__in=OPEN).update(next_attempt_at=now + PUT_OFF)
        return False


def _process_one(message_id: UUID, default_queue: str, now: datetime) -> bool:
    with transaction.atomic():
        rows = Message.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=message_id, status__in=OPEN)
        message = rows.select_related("provider", "owner").first()
        if message is None:  # another worker has it
            return False
        detail = "its keyword was read before"
        if message.keyword_read_at is None:
            detail, message.keyword_read_at = _obey(message, default_queue, now), now
            message.save(update_fields=["keyword_read_at"])
        if message.media_count and message.attachments.filter(next_attempt_at__isnull=False).exists():
            return True
        if message.status == Status.RECEIVED:
            transitions.apply([Move(message, Status.STORED, Source.INBOUND)], now=now)
        transitions.apply([Move(message, Status.PROCESSED, Source.INBOUND, detail=detail)], now=now)
    return True


def _obey(message: Message, default_queue: str, now: datetime) -> str:
    """Do what a keyword asks for and answer it; returns what was done, for the history.

    The order of one person's words counts: an older text that is processed late must not undo a newer one.
    """
    rules = keyword_rules.rules_for(message.to_number)
    action = keywords.recognise(message.text, rules)
    if action is None:
        return ""
    phone_numbers.hold(message.from_number)  # two words of one person at two workers: one after the other
    if action is not Action.HELP and _has_newer_word(message, rules):
        return f"{action}: a newer word came before it was processed"
    changed = _change(message, action, now)
    reply = None
    if changed:
        reply = automatic_replies.answer(message, rules[action].reply, default_queue=default_queue, now=now)
    return f"{action}{'' if changed else ', nothing to change'}{', answered' if reply else ''}"


def _has_newer_word(message: Message, rules: dict) -> bool:
    newer = Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        to_number=message.to_number,
        keyword_read_at__isnull=False,
        pk__gt=message.pk,
    )
    return any(
        keywords.recognise(text, rules) not in {None, Action.HELP} for text in newer.values_list("text", flat=True)
    )


def _change(message: Message, action: Action, now: datetime) -> bool:
    """Whether there was anything to do: a second STOP is not confirmed again."""
    person, ours = message.from_number, message.to_number
    if action is Action.HELP:
        return True
    if action is Action.START:
        return suppressions.lift(number=person, sender=ours)
    sender = suppressions.EVERY_SENDER if action is Action.STOP_ALL else ours
    _, is_new = suppressions.add(
        number=person, sender=sender, source=Suppression.Source.KEYWORD, reason=f"wrote {action}", now=now
    )
    return is_new
