"""Effects of keywords: STOP adds a suppression, START lifts it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from messaging import keywords
from messaging.keywords import Action, MatchRule
from messaging.models import Message
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.policy import opt_out_intent
from messaging.services.inbound import keyword_rules, ownership
from messaging.services.inbound.incoming import is_unreadable
from messaging.services.recipients import opt_out_cases, suppressions
from messaging.services.recipients.suppressions import EVERY_SENDER
from messaging.states import Direction
from providers.contract.messages import ProviderKeyword
from providers.models import SenderNumber
from providers.services import note_attention

PROVIDER_ACTIONS: Mapping[str, Action] = {
    ProviderKeyword.STOP: Action.STOP,
    ProviderKeyword.START: Action.START,
    ProviderKeyword.HELP: Action.HELP,
}
# Why an opt-out applies though its text is not stored; appended to the reason of the suppression.
OVER_THE_LIMIT, REPEATED, FIRST_PART = " (over the rate limit)", " (a repeat)", " (the first part of a longer text)"
OPT_OUTS = frozenset({Action.STOP, Action.STOP_ALL})
SENDERS_OF_NO_ACTION: frozenset[str] = frozenset()
UNREADABLE_STOP = (
    "An opt-out came from a number that cannot be read. Find out whose it is, and check the account's number_format."
)


@dataclass(frozen=True, slots=True)
class Effect:
    """Result of a text's keyword. `note` is for the history; `reply_to` is the action to reply to, or empty.

    `asks_for_no_more` is set for a text without a keyword that probably means STOP: a case for staff.
    """

    note: str = ""
    reply_to: str = ""
    asks_for_no_more: bool = False


def apply_at_acceptance(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a text that is about to be stored, in the transaction that stores it.

    The caller has locked the sender's number, so one sender's keywords take effect in the order of acceptance.
    """
    rules = _rules(message)
    action = _action(message, rules)
    if action is None:
        return Effect(asks_for_no_more=asks_for_no_more(message, rules))
    return _apply(message, action, _affected_senders(action, message), now)


def asks_for_no_more(message: Message, rules: Mapping[Action, MatchRule] | None = None) -> bool:
    """Whether a text without a keyword probably means STOP."""
    rules = _rules(message) if rules is None else rules
    stop_words = {
        word for action in OPT_OUTS if action in rules for word in rules[action].words_for(message.from_number)
    }
    return opt_out_intent.asks_for_no_more(message.text, stop_words=stop_words)


def open_case(message: Message, *, text: str, is_stored: bool, now: datetime) -> None:
    """Open a case for staff. The caller has locked the sender's number."""
    if _is_authorized(message):
        opt_out_cases.open_case(
            number=message.from_number,
            sender=ownership.our_number(message),
            senders=ownership.senders_of(message),
            owner=message.owner,
            message_id=message.pk if is_stored else None,
            text=text[:MAX_INBOUND_CHARACTERS],
            now=now,
        )


def apply_opt_out(message: Message, *, now: datetime, because: str) -> None:
    """Apply the STOP of a text that is not stored: over the rate limit, a repeat, or a part. Other keywords are ignored.

    So no opt-out is lost, and a text that is not stored ends none; nor is a case. The caller has locked the sender's number.
    `because` is appended to the suppression's reason.
    """
    rules = _rules(message)
    action = _action(message, rules)
    if action in OPT_OUTS:
        _apply(message, action, _affected_senders(action, message), now, because)
    elif (
        action is None and because != FIRST_PART and asks_for_no_more(message, rules)
    ):  # all of its parts are read later
        open_case(message, text=message.text, is_stored=False, now=now)


def apply_late(message: Message, *, now: datetime) -> Effect:
    """Apply the keyword of a stored text that an older version accepted, which left keywords to the worker.

    Newer keywords of the same sender win. The caller has locked the sender's number. Raises `CannotBeOpened`.
    """
    action = _action(message)
    if action is None:
        return Effect()
    if action is not Action.HELP and _is_authorized(message):
        senders = _without_newer_keyword(message, _affected_senders(action, message))
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


def _rules(message: Message) -> Mapping[Action, MatchRule]:
    """Nothing is read for a text that the provider has classified."""
    is_classified = message.provider_keyword in PROVIDER_ACTIONS
    return {} if is_classified else keyword_rules.rules_for(ownership.our_number(message))


def _action(message: Message, rules: Mapping[Action, MatchRule] | None = None) -> Action | None:
    """The provider's classification wins, because the provider has already replied to the sender."""
    if message.provider_keyword in PROVIDER_ACTIONS:
        return PROVIDER_ACTIONS[message.provider_keyword]
    return keywords.recognise(message.text, _rules(message) if rules is None else rules, message.from_number)


def _is_authorized(message: Message) -> bool:
    """False for a text that a client posted as sent to another client's number."""
    if message.provider_id is not None:
        return True
    number = SenderNumber.objects.filter(number=message.to_number).first()
    return number is None or number.owner_id in {None, message.owner_id}


def _affected_senders(action: Action, message: Message) -> set[str]:
    """The senders that the keyword affects: those that the text is for, all senders, or both."""
    match action:
        case Action.STOP:
            return ownership.senders_of(message)
        case Action.STOP_ALL:
            return {EVERY_SENDER}
        case Action.START:
            return {*ownership.senders_of(message), EVERY_SENDER}
        case Action.HELP:
            return set()


def _without_newer_keyword(message: Message, senders: set[str]) -> set[str]:
    """Return those of the senders that no newer keyword of the same person affects."""
    remaining = set(senders)
    for later in _newer_texts(message):
        newer = _action(later)
        if newer is not None:
            remaining -= _affected_senders(newer, later)
    return remaining


def _newer_texts(message: Message) -> Iterable[Message]:
    """Later texts of the same sender, to any of our numbers, whose keywords were applied."""
    newer = Message.objects.filter(
        direction=Direction.INBOUND,
        from_number=message.from_number,
        keyword_read_at__isnull=False,
        pk__gt=message.pk,
    )
    return newer.select_related("provider").only("from_number", "to_number", "text", "provider_keyword", "provider")


def _change(message: Message, action: Action, senders: Collection[str], now: datetime, because: str) -> bool:
    """Return False if nothing changed, so that a second STOP is not confirmed again."""
    posted_by = message.owner if message.provider_id is None else None
    if action is Action.START:
        return suppressions.lift(number=message.from_number, senders=senders, posted_by=posted_by)
    added = [
        suppressions.add_by_keyword(
            number=message.from_number,
            sender=sender,
            reason=f"wrote {action}{because}",
            posted_by=posted_by,
            now=now,
        )
        for sender in sorted(senders)
    ]
    opt_out_cases.settle(number=message.from_number, actor=None, note=f"The person wrote {action}.", now=now)
    if any(added) and message.provider is not None and is_unreadable(message.from_number):
        note_attention(message.provider, UNREADABLE_STOP, now=now)
    return any(added)
