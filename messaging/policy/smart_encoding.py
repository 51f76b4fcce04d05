"""Replaces typographic characters so that a text fits GSM-7: curly quotes, dashes, the ellipsis and special blanks.

One such character makes a whole text UCS-2, which takes up to twice as many segments. A text is changed only if all of it
becomes GSM-7 and it takes no more segments than before: three dots are three septets, the ellipsis is one UTF-16 unit.
"""

from messaging.segments import Encoding, measure

_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2032\u2035\u02bc\u2039\u203a\u00b4"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_BLANKS = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_LINE_BREAKS = "\u2028\u2029"
_INVISIBLE = "\u00ad\u200b\u2060\ufeff"  # not the joiners U+200C and U+200D: words and emoji change without them

REPLACEMENTS: dict[str, str] = {
    **dict.fromkeys(_SINGLE_QUOTES, "'"),
    **dict.fromkeys(_DOUBLE_QUOTES, '"'),
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_BLANKS, " "),
    **dict.fromkeys(_LINE_BREAKS, "\n"),
    **dict.fromkeys(_INVISIBLE, ""),
    "\u2026": "...",
}
_TABLE = str.maketrans(REPLACEMENTS)


def replaced(text: str) -> str:
    """Return the text with all characters of the table replaced, whether or not that helps."""
    return text.translate(_TABLE)


def smart_encoded(text: str) -> str:
    """Return the text in GSM-7 if the table makes it so and no longer in segments; otherwise the text as it is."""
    if text.isascii():
        return text
    before = measure(text)
    if before.encoding is Encoding.GSM7:
        return text
    changed = replaced(text)
    after = measure(changed)
    if after.encoding is not Encoding.GSM7 or after.segments > before.segments or not changed.strip():
        return text
    return changed
