"""`received` → `stored` → `processed`: what a worker does with an incoming text. Every step is safe to repeat.

A text is stored when its files are here or given up, and then processed. Its keyword waits for neither: a STOP counts at once,
whatever picture it carries.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging import keywords
from messaging.keywords import Action, Rule
from messaging.models import Attachment, Message
from messaging.services import automatic_replies, keyword_rules, phone_numbers, suppressions, transitions
from messaging.services.suppressions import EVERY_SENDER
from messaging.services.transitions import Move
from messaging.states import Direction, Source, Status
from providers.base import ProviderKeyword
from providers.models import SenderNumber

logger = logging.getLogger(__name__)

CHUNK = 200
PUT_OFF = timedelta(minutes=1)
OPEN = (Status.RECEIVED, Status.STORED)
PROVIDER_ACTIONS: Mapping[str, Action] = {
    ProviderKeyword.STOP: Action.STOP,
    ProviderKeyword.START: Action.START,
    ProviderKeyword.HELP: Action.HELP,
}

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
        now = max(now, message.received_at)  # the worker looked at its clock before the text was here
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
    action = _action(message, rules)
    if action is None:
        return ""
    if not _may_speak_for(message):
        return f"{action}: the number is another client's"
    phone_numbers.hold(message.from_number)  # two words of one person at two workers: one after the other
    senders = _senders(message, action)
    if not senders and action is not Action.HELP:
        return f"{action}: a newer word came before it was processed"
    changed = action is Action.HELP or _change(message, action, senders, now)
    reply = None
    if changed and action in rules:
        reply = automatic_replies.answer(message, rules[action].reply, default_queue=default_queue, now=now)
    return f"{action}{'' if changed else ', nothing to change'}{', answered' if reply else ''}"


def _action(message: Message, rules: Mapping[Action, Rule]) -> Action | None:
    """What the provider has understood decides: the person has its answer already. Else the text does."""
    if message.provider_keyword in PROVIDER_ACTIONS:
        return PROVIDER_ACTIONS[message.provider_keyword]
    return keywords.recognise(message.text, rules)


def _may_speak_for(message: Message) -> bool:
    """What a client posts as written to another client's number changes nothing there."""
    if message.provider_id is not None:
        return True
    number = SenderNumber.objects.filter(number=message.to_number).first()
    return number is None or number.owner_id in {None, message.owner_id}


def _senders(message: Message, action: Action) -> set[str]:
    """Whom the word is about and has the last word on: the number that was written to, or all of them, or both."""
    wanted = {
        Action.STOP: {message.to_number},
        Action.STOP_ALL: {EVERY_SENDER},
        Action.START: {message.to_number, EVERY_SENDER},
    }.get(action, set())
    for later in _newer_words(message):
        rules = keyword_rules.rules_for(later.to_number)
        match _action(later, rules):
            case Action.STOP | Action.START as newer:
                wanted -= {later.to_number}
                if newer is Action.START:
                    wanted -= {EVERY_SENDER}
            case Action.STOP_ALL:
                wanted -= {EVERY_SENDER}
    return wanted


def _newer_words(message: Message) -> Iterable[Message]:
    """What this person has written since, to any of our numbers, and was read already."""
    return Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        keyword_read_at__isnull=False,
        pk__gt=message.pk,
    ).only("to_number", "text", "provider_keyword")


def _change(message: Message, action: Action, senders: Collection[str], now: datetime) -> bool:
    """Whether there was anything to do: a second STOP is not confirmed again."""
    brought_by = message.owner if message.provider_id is None else None
    if action is Action.START:
        return suppressions.lift(number=message.from_number, senders=senders, brought_by=brought_by)
    [sender] = senders
    return suppressions.add_by_word(
        number=message.from_number, sender=sender, reason=f"wrote {action}", brought_by=brought_by, now=now
    )
