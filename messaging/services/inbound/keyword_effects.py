"""What a person's keyword changes: the suppression that a STOP makes and a START ends."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from messaging import keywords
from messaging.keywords import Action, MatchRule
from messaging.models import Message
from messaging.services.inbound import keyword_rules
from messaging.services.recipients import suppressions
from messaging.services.recipients.suppressions import EVERY_SENDER
from messaging.states import Direction
from providers.contract.messages import ProviderKeyword
from providers.models import SenderNumber

PROVIDER_ACTIONS: Mapping[str, Action] = {
    ProviderKeyword.STOP: Action.STOP,
    ProviderKeyword.START: Action.START,
    ProviderKeyword.HELP: Action.HELP,
}
OPT_OUTS = frozenset({Action.STOP, Action.STOP_ALL})
SENDERS_OF_NO_ACTION: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """What a text's keyword has done. `note` is for the history; `reply_to` is the action to be answered, or empty."""

    note: str = ""
    reply_to: str = ""


def apply_at_acceptance(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a text that is about to be stored, in the transaction that stores it.

    The caller holds the row of the person's number, so one person's keywords take effect in the order of acceptance.
    """
    rules = keyword_rules.rules_for(message.to_number)
    action = _action(message, rules)
    if action is None:
        return Effect()
    return _apply(message, action, _named_by(action, message.to_number), now)


def apply_opt_out(message: Message, *, now: datetime, because: str) -> None:
    """Apply the STOP of a text that is not stored: refused by the rate limit, or taken for a repeat.

    Any other keyword is left alone: an opt-out is never lost, and a text that counts for nothing ends none. The caller
    holds the row of the person's number. `because` goes into the suppression's reason.
    """
    action = _action(message, keyword_rules.rules_for(message.to_number))
    if action in OPT_OUTS:
        _apply(message, action, _named_by(action, message.to_number), now, because)


def apply_late(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a text that was stored without it, by a version that left keywords to the worker.

    Keywords that the person has sent since count: an older one must not undo a newer one. The caller holds the row of the
    person's number. Raises `CannotBeOpened`.
    """
    rules = keyword_rules.rules_for(message.to_number)
    action = _action(message, rules)
    if action is None:
        return Effect()
    if action is not Action.HELP and _may_speak_for(message):
        senders = _not_decided_since(message, _named_by(action, message.to_number))
        if not senders:
            return Effect(f"{action}: a newer word came before it was processed")
        return _apply(message, action, senders, now)
    return _apply(message, action, SENDERS_OF_NO_ACTION, now)


def _apply(message: Message, action: Action, senders: Collection[str], now: datetime, because: str = "") -> Effect:
    if not _may_speak_for(message):
        return Effect(f"{action}: the number is another client's")
    if action is not Action.HELP and not _change(message, action, senders, now, because):
        return Effect(f"{action}, nothing to change")
    return Effect(str(action), reply_to=action)


def _action(message: Message, rules: Mapping[Action, MatchRule]) -> Action | None:
    """The provider's reading of the text decides, because the provider has answered the person already."""
    if message.provider_keyword in PROVIDER_ACTIONS:
        return PROVIDER_ACTIONS[message.provider_keyword]
    return keywords.recognise(message.text, rules)


def _may_speak_for(message: Message) -> bool:
    """A text that a client posts as written to another client's number changes nothing there."""
    if message.provider_id is not None:
        return True
    number = SenderNumber.objects.filter(number=message.to_number).first()
    return number is None or number.owner_id in {None, message.owner_id}


def _named_by(action: Action, to_number: str) -> set[str]:
    """The senders that the keyword is about: the number that was written to, all of them, or both."""
    return {
        Action.STOP: {to_number},
        Action.STOP_ALL: {EVERY_SENDER},
        Action.START: {to_number, EVERY_SENDER},
    }.get(action, set())


def _not_decided_since(message: Message, senders: set[str]) -> set[str]:
    """Those of the senders that no newer keyword of the person is about."""
    left = set(senders)
    for later in _newer_texts(message):
        match _action(later, keyword_rules.rules_for(later.to_number)):
            case Action.STOP | Action.START as newer:
                left -= {later.to_number}
                if newer is Action.START:
                    left -= {EVERY_SENDER}
            case Action.STOP_ALL:
                left -= {EVERY_SENDER}
    return left


def _newer_texts(message: Message) -> Iterable[Message]:
    """The person's later texts, to any of our numbers, whose keywords have been read."""
    return Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        keyword_read_at__isnull=False,
        pk__gt=message.pk,
    ).only("to_number", "text", "provider_keyword")


def _change(message: Message, action: Action, senders: Collection[str], now: datetime, because: str) -> bool:
    """Return False where nothing changed: a second STOP is not confirmed again."""
    brought_by = message.owner if message.provider_id is None else None
    if action is Action.START:
        return suppressions.lift(number=message.from_number, senders=senders, brought_by=brought_by)
    [sender] = senders
    return suppressions.add_by_word(
        number=message.from_number,
        sender=sender,
        reason=f"wrote {action}{because}",
        brought_by=brought_by,
        now=now,
    )
