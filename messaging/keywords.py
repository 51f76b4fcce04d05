"""Words that a person sends to stop, to start again or to ask for help. Pure: words in, an action out."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# Accents, and what nobody sees: joiners, marks of direction, soft hyphens.
INVISIBLE = frozenset({"Mn", "Me", "Cf"})


class Action(StrEnum):
    STOP = "stop"
    STOP_ALL = "stop_all"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class MatchRule:
    """The words that mean one action, and what is answered; an empty reply answers nothing."""

    words: frozenset[str]
    reply: str


# YES is not among the words for START: it is what people answer to "Will you come?".
DEFAULT_WORDS: Mapping[Action, tuple[str, ...]] = {
    Action.STOP: ("STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"),
    Action.STOP_ALL: ("STOPALL", "STOP ALL"),
    Action.START: ("START", "UNSTOP"),
    Action.HELP: ("HELP", "INFO"),
}
DEFAULT_REPLIES: Mapping[Action, str] = {
    Action.STOP: "You will get no more messages from this number. Reply START to get them again.",
    Action.STOP_ALL: "You will get no more messages from us. Reply START to get them again.",
    Action.START: "You will get messages from this number again. Reply STOP to end them.",
    Action.HELP: "Reply STOP to get no more messages from this number, START to get them again.",
}


def fold(text: str) -> str:
    """Compatibility forms, case and accents folded, punctuation and symbols dropped, blanks joined: " Stóp! " is "stop"."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_folded, decomposed)).split())


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category in INVISIBLE:
        return ""
    return " " if character.isspace() or category[0] in "PSC" else character


def default_rules() -> dict[Action, MatchRule]:
    return {action: rule(words, DEFAULT_REPLIES[action]) for action, words in DEFAULT_WORDS.items()}


def rule(words: Iterable[str], reply: str) -> MatchRule:
    return MatchRule(frozenset(folded for word in words if (folded := fold(word))), reply)


def recognise(text: str, rules: Mapping[Action, MatchRule]) -> Action | None:
    """The action whose word is the whole text; None for anything that only contains one."""
    folded = fold(text)
    return next((action for action in Action if action in rules and folded in rules[action].words), None)
