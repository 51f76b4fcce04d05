"""Recognises keywords (STOP, START, HELP) in inbound texts. Pure functions."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# Accents and invisible characters: joiners, direction marks, soft hyphens.
IGNORED_CATEGORIES = frozenset({"Mn", "Me", "Cf"})


class Action(StrEnum):
    STOP = "stop"
    STOP_ALL = "stop_all"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class MatchRule:
    """The words for one action, and its reply; an empty reply sends none."""

    words: frozenset[str]
    reply: str


# YES is no word for START: it is a common reply to questions such as "Will you come?".
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
    """Fold compatibility forms, case and accents, drop punctuation and symbols, join spaces: " Stóp! " becomes "stop"."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_folded, decomposed)).split())


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category in IGNORED_CATEGORIES:
        return ""
    return " " if character.isspace() or category[0] in "PSC" else character


def default_rules() -> dict[Action, MatchRule]:
    return {action: rule(words, DEFAULT_REPLIES[action]) for action, words in DEFAULT_WORDS.items()}


def rule(words: Iterable[str], reply: str) -> MatchRule:
    return MatchRule(frozenset(folded for word in words if (folded := fold(word))), reply)


def recognise(text: str, rules: Mapping[Action, MatchRule]) -> Action | None:
    """Return the action whose word is the whole text; None for a text that only contains one."""
    folded = fold(text)
    return next((action for action in Action if action in rules and folded in rules[action].words), None)
