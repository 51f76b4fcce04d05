from hypothesis import given
from hypothesis import strategies as st

from messaging.policy.smart_encoding import REPLACEMENTS, smart_encoded
from messaging.segments import GSM_BASIC, GSM_EXTENSION, Encoding, measure

TYPOGRAPHIC = st.sampled_from(sorted(REPLACEMENTS))
GSM = st.sampled_from(sorted(GSM_BASIC | GSM_EXTENSION))
TEXTS = st.text(st.one_of(TYPOGRAPHIC, GSM), max_size=400) | st.text(max_size=200)
CHANGED = (
    ("\u201cHi\u201d", '"Hi"'),
    ("don\u2019t", "don't"),
    ("9\u201317", "9-17"),
    ("wait\u2026", "wait..."),
    ("10\u00a0kg", "10 kg"),
    ("a\u200bb", "ab"),
    ("caf\u00e9\u2019s", "caf\u00e9's"),
)
UNCHANGED = (
    "",
    "Hi",
    "caf\u00e9",
    "\u201cGr\u00fc\u00df\u201d \u4f60",
    "\u2019\U0001f600",
    "\u2026" * 70,
    "\u00a0\u200b",
)


def test_typographic_characters_become_gsm7(subtests):
    for text, expected in CHANGED:
        with subtests.test(text=text):
            assert smart_encoded(text) == expected
            assert measure(expected).encoding is Encoding.GSM7


def test_a_text_that_would_not_be_gsm7_or_would_be_longer_stays(subtests):
    for text in UNCHANGED:
        with subtests.test(text=text):
            assert smart_encoded(text) == text


def test_no_replacement_is_for_a_character_of_gsm7_or_by_one_outside_it():
    assert not REPLACEMENTS.keys() & (GSM_BASIC | GSM_EXTENSION)
    assert set("".join(REPLACEMENTS.values())) <= GSM_BASIC


@given(TEXTS)
def test_segments_never_grow_and_only_a_whole_text_changes(text):
    changed = smart_encoded(text)

    assert measure(changed).segments <= measure(text).segments
    assert changed == text or measure(changed).encoding is Encoding.GSM7
    assert smart_encoded(changed) == changed
    if not REPLACEMENTS.keys() & set(text):
        assert changed == text
