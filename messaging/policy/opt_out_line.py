"""Whether a marketing text says how to get no more of them, as the laws of many countries require."""

from collections.abc import Iterable

from messaging.categories import Category
from messaging.keywords import DEFAULT_WORDS, STOP_WORDS_IN, Action, fold

NO_OPT_OUT_LINE = "no_opt_out_line"
_WORDS = frozenset(
    fold(word)
    for words in (DEFAULT_WORDS[Action.STOP], DEFAULT_WORDS[Action.STOP_ALL], *STOP_WORDS_IN.values())
    for word in words
)
# Words that a marketing text may have for other reasons: "cancel any time", "the end of season", "quit smoking".
_EVERYDAY = frozenset({"cancel", "end", "quit", "revoke", "alto", "baja"})


def lacks_opt_out(text: str, *, category: str, own_words: Iterable[str] = ()) -> bool:
    """`own_words` are the words for STOP that operators have set; they may stand anywhere in the text."""
    if category != Category.MARKETING:
        return False
    padded = f" {fold(text)} "
    words = (_WORDS - _EVERYDAY) | {fold(word) for word in own_words if fold(word)}
    return not any(f" {word} " in padded for word in words)
