"""Recognises keywords (STOP, START, HELP) in inbound texts. Pure functions."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    """The words for one action, and its reply; an empty reply sends none.

    `words_in` are further words in texts from some countries, by their country code.
    """

    words: frozenset[str]
    reply: str
    words_in: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, folded: str, number: str) -> bool:
        return folded in self.words or any(
            folded in words and number.startswith(f"+{code}") for code, words in self.words_in.items()
        )

    def words_for(self, number: str) -> frozenset[str]:
        """All folded words that count in a text from this number."""
        return self.words.union(*(words for code, words in self.words_in.items() if number.startswith(f"+{code}")))


# YES is no word for START: it is a common reply to questions such as "Will you come?".
DEFAULT_WORDS: Mapping[Action, tuple[str, ...]] = {
    Action.STOP: ("STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"),
    Action.STOP_ALL: ("STOPALL", "STOP ALL"),
    Action.START: ("START", "UNSTOP"),
    Action.HELP: ("HELP", "INFO"),
}
# Words that are an opt-out where the language is spoken, and something else elsewhere ("alto" is "tall").
_SPANISH, _PORTUGUESE, _FRENCH, _GERMANIC = (
    ("ALTO", "PARAR", "BAJA"),
    ("PARAR", "SAIR"),
    ("ARRET", "ARRETER"),
    ("STOPP",),
)
STOP_WORDS_IN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("34", "51", "52", "53", "54", "56", "57", "58", "502", "503", "504", "505", "506", "507"), _SPANISH
    ),
    **dict.fromkeys(("591", "593", "595", "598"), _SPANISH),
    **dict.fromkeys(("55", "351"), _PORTUGUESE),
    **dict.fromkeys(("33", "352", "377", "590", "594", "596", "262"), _FRENCH),
    **dict.fromkeys(("43", "45", "46", "47", "49", "423"), _GERMANIC),
    "1": (*_FRENCH, "ALTO"),
    "32": (*_FRENCH, *_GERMANIC),
    "41": (*_FRENCH, *_GERMANIC),
}
DEFAULT_REPLIES: Mapping[Action, str] = {
    Action.STOP: "You will get no more messages from this number. Reply START to get them again.",
    Action.STOP_ALL: "You will get no more messages from us. Reply START to get them again.",
    Action.START: "You will get messages from this number again. Reply STOP to end them.",
    Action.HELP: "Msg & data rates may apply. Reply STOP to opt out, START to opt in again.",
}


# What programs add below a person's words when an e-mail becomes a text: a signature, or the text that is answered.
_WROTE = "wrote|schrieb|a \u00e9crit|escribi\u00f3|ha scritto|escreveu|schreef|skrev"
_SENT_FROM = (
    "sent from|get outlook for|von meinem|envoy\u00e9 de(?:puis)?|enviado desde|enviado do|inviato da|verzonden vanaf"
    "|skickat fr\u00e5n|sendt fra|wys\u0142ane z"
)
# Strangers write these texts: nothing here takes more than linear time, so that what may repeat is never beside its like.
_BELOW = re.compile(
    rf"^(?:--\s*$|[^\S\n]*>|---.*---[^\S\n]*$|_{{5,}}[^\S\n]*$"
    rf"|(?:on|am|le|el|il|em|op|den)\b(?=.*[\d:@]).{{1,200}}\b(?:{_WROTE}).{{0,200}}$|(?:{_SENT_FROM})\b.*$)",
    re.IGNORECASE | re.MULTILINE,
)


def own_words(text: str) -> str:
    """The text without the signature and the quote below it; all of it if nothing stands above."""
    lines = "\n".join(text.splitlines())
    below = _BELOW.search(lines)
    above = lines[: below.start()] if below is not None else text
    return above if above.strip() else text


def fold(text: str) -> str:
    """Fold compatibility forms, case and accents, drop punctuation and symbols, join spaces: " Stóp! " becomes "stop"."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_folded, decomposed)).split())


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category in IGNORED_CATEGORIES:
        return ""
    return " " if character.isspace() or category[0] in "PSC" else character


def default_reply(action: Action, *, brand: str = "", contact: str = "") -> str:
    """The reply that names who sends, and for HELP whom to ask, where these are known."""
    reply = DEFAULT_REPLIES[action]
    if action is Action.HELP and contact:
        reply = f"For help, contact {contact}. Msg & data rates may apply. Reply STOP to opt out."
    return f"{brand}: {reply}" if brand else reply


def default_rules(*, brand: str = "", contact: str = "") -> dict[Action, MatchRule]:
    rules = {
        action: rule(words, default_reply(action, brand=brand, contact=contact))
        for action, words in DEFAULT_WORDS.items()
    }
    by_country = {code: frozenset(map(fold, words)) for code, words in STOP_WORDS_IN.items()}
    rules[Action.STOP] = replace(rules[Action.STOP], words_in=by_country)
    return rules


def rule(words: Iterable[str], reply: str) -> MatchRule:
    return MatchRule(frozenset(folded for word in words if (folded := fold(word))), reply)


def recognise(text: str, rules: Mapping[Action, MatchRule], number: str = "") -> Action | None:
    """Return the action whose word is all that the person wrote; None for a text that only contains one.

    `number` is the person's, in E.164: some words count in some countries.
    """
    for folded in dict.fromkeys((fold(text), fold(own_words(text)))):
        for action in Action:
            if action in rules and rules[action].has(folded, number):
                return action
    return None
