"""Recognises texts that probably ask for no more texts, without being a keyword. Pure functions.

Such a text is not taken for a STOP: staff decide. So what may be meant is enough, and a text that only has the word is not:
"bus stop", "don't stop", "when do you stop serving".
"""

import re
from collections.abc import Iterable, Iterator

from messaging.keywords import fold, own_words
from messaging.policy import opt_out_phrases as phrases

# Of the text and of its folded form, which may be longer. The cost of the search grows with the length.
MAX_CHARACTERS = 1_600
# Alone in a clause these are more often about an appointment than about texts.
AMBIGUOUS = frozenset({"cancel", "end"})
_CLAUSES = re.compile(r"[.!?,;:\n\u2026\u00a1\u00bf]+|[^\S\n][-\u2013\u2014]+[^\S\n]")
_REQUEST = re.compile(
    rf"\b(?:{'|'.join(phrases.ANYWHERE)})\b"
    rf"|^(?:{'|'.join(phrases.AT_START)})\b"
    rf"|^(?:(?:{phrases.BEFORE}) ){{0,4}}(?:{phrases.STOP_WORDS})(?: (?:{phrases.AFTER})){{0,6}}$"
)
# Searched at the end of the words before a request.
_TURNED_ROUND = re.compile(rf"(?:^|\s)(?:{phrases.TURNED_ROUND})(?: (?:{phrases.BETWEEN}))?\s?$")
_LOOK_BACK = 40
# A request may begin with words that say "not", and is then not turned round by a word such as "I" before them.
_SAYS_NOT = re.compile(
    r"(?:do not|don t|dont|no|never|nao|ne|n|nicht|keine|veux|souhaite|desire|voudrais|souhaitons|did|didn t|didnt|withdraw"
    r"|revoke|not|want|wish|like|need|bitte|mochte|will|wunsche|quiero|quero|deseo|solicito|pido|desejo|gostaria|please|asked"
    r"|widerrufe|widerspreche|how|and|ok|send|pls|to|i|hor|schreib|schick|send)\b"
)


def asks_for_no_more(text: str, *, stop_words: Iterable[str] = ()) -> bool:
    """Return True if the text probably means STOP. The caller has found that it is no keyword.

    `stop_words` are the folded words for STOP at the number that received it: one that is a whole clause counts.
    """
    own = own_words(text[:MAX_CHARACTERS])
    words = {*stop_words} - AMBIGUOUS
    clauses = [fold(clause) for clause in _CLAUSES.split(own)]
    if any(clause in words for clause in clauses):
        return True
    whole = fold(own)[:MAX_CHARACTERS]
    return any(_requests(whole)) or any(
        any(_requests(clause[:MAX_CHARACTERS])) for clause in clauses if clause != whole
    )


def _requests(folded: str) -> Iterator[bool]:
    for found in _REQUEST.finditer(folded):
        before = folded[max(0, found.start() - _LOOK_BACK) : found.start()]
        if _SAYS_NOT.match(found[0]) or not _TURNED_ROUND.search(before):
            yield True
