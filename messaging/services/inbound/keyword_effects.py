"""Effects of keywords: STOP adds a suppression, START lifts it."""

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
    """Result of a text's keyword. `note` is for the history; `reply_to` is the action to reply to, or empty."""

    note: str = ""
    reply_to: str = ""


def apply_at_acceptance(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a text that is about to be stored, in the transaction that stores it.

    The caller has locked the sender's number, so one sender's keywords take effect in the order of acceptance.
    """
    rules = keyword_rules.rules_for(message.to_number)
    action = _action(message, rules)
    if action is None:
        return Effect()
    return _apply(message, action, _affected_senders(action, message.to_number), now)


def apply_opt_out(message: Message, *, now: datetime, because: str) -> None:
    """Apply the STOP of a text that is not stored: over the rate limit, or a repeat. Other keywords are ignored.

    So no opt-out is lost, and a text that is not stored ends none. The caller has locked the sender's number. `because` is
    appended to the suppression's reason.
    """
    action = _action(message, keyword_rules.rules_for(message.to_number))
    if action in OPT_OUTS:
        _apply(message, action, _affected_senders(action, message.to_number), now, because)


def apply_late(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a stored text that an older version accepted, which left keywords to the worker.

    Newer keywords of the same sender win. The caller has locked the sender's number. Raises `CannotBeOpened`.
    """
    rules = keyword_rules.rules_for(message.to_number)
    action = _action(message, rules)
    if action is None:
        return Effect()
    if action is not Action.HELP and _is_authorized(message):
        senders = _without_newer_keyword(message, _affected_senders(action, message.to_number))
        if not senders:
            return Effect(f"{action}: a newer keyword was processed first")
        return _apply(message, action, senders, now)
    return _apply(message, action, SENDERS_OF_NO_ACTION, now)


def _apply(message: Message, action: Action, senders: Collection[str], now: datetime, because: str = "") -> Effect:
    if not _is_authorized(message):
        return Effect(f"{action}: the number belongs to another client")
    if action is not Action.HELP and not _change(message, action, senders, now, because):
        return Effect(f"{action}, nothing to change")
    return Effect(str(action), reply_to=action)


def _action(message: Message, rules: Mapping[Action, MatchRule]) -> Action | None:
    """The provider's classification wins, because the provider has already replied to the sender."""
    if message.provider_keyword in PROVIDER_ACTIONS:
        return PROVIDER_ACTIONS[message.provider_keyword]
    return keywords.recognise(message.text, rules)


def _is_authorized(message: Message) -> bool:
    """False for a text that a client posted as sent to another client's number."""
    if message.provider_id is not None:
        return True
    number = SenderNumber.objects.filter(number=message.to_number).first()
    return number is None or number.owner_id in {None, message.owner_id}


def _affected_senders(action: Action, to_number: str) -> set[str]:
    """The senders that the keyword affects: the number that received it, all senders, or both."""
    return {
        Action.STOP: {to_number},
        Action.STOP_ALL: {EVERY_SENDER},
        Action.START: {to_number, EVERY_SENDER},
    }.get(action, set())


def _without_newer_keyword(message: Message, senders: set[str]) -> set[str]:
    """Return those of the senders that no newer keyword of the same person affects."""
    remaining = set(senders)
    for later in _newer_texts(message):
        match _action(later, keyword_rules.rules_for(later.to_number)):
            case Action.STOP | Action.START as newer:
                remaining -= {later.to_number}
                if newer is Action.START:
                    remaining -= {EVERY_SENDER}
            case Action.STOP_ALL:
                remaining -= {EVERY_SENDER}
            case Action.HELP | None:
                pass  # affects no sender
    return remaining


def _newer_texts(message: Message) -> Iterable[Message]:
    """Later texts of the same sender, to any of our numbers, whose keywords were applied."""
    return Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        keyword_read_at__isnull=False,
        pk__gt=message.pk,
    ).only("to_number", "text", "provider_keyword")


def _change(message: Message, action: Action, senders: Collection[str], now: datetime, because: str) -> bool:
    """Return False if nothing changed, so that a second STOP is not confirmed again."""
    posted_by = message.owner if message.provider_id is None else None
    if action is Action.START:
        return suppressions.lift(number=message.from_number, senders=senders, posted_by=posted_by)
    [sender] = senders
    return suppressions.add_by_keyword(
        number=message.from_number,
        sender=sender,
        reason=f"wrote {action}{because}",
        posted_by=posted_by,
        now=now,
    )
