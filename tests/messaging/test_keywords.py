"""Recognition of keywords, and texts that only contain them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import keywords
from messaging.keywords import Action, default_rules, fold, recognise

RULES = default_rules()


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("STOP", "stop"),
        ("  Stop!  ", "stop"),
        ("stóp.", "stop"),
        ("\uff33\uff34\uff2f\uff30", "stop"),
        ("\U0001d412\U0001d413\U0001d40e\U0001d40f", "stop"),
        ("\u24c8\u24c9\u24c4\u24c5", "stop"),
        ("ST\u200bOP\ufeff", "stop"),
        ("S\u00adTOP", "stop"),
        ("\u202eSTOP\u202c", "stop"),
        ("STOP 🛑", "stop"),
        ("Opt-Out", "opt out"),
        ("opt\u00a0\n out", "opt out"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("", ""),
        ("!?🙂", ""),
    ],
)
def test_case_accents_punctuation_and_invisible_characters_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_the_same_text_in_another_form_folds_to_the_same(text: str, form: str) -> None:
    assert fold(unicodedata.normalize(form, text)) == fold(text)


@given(st.text(" \t\n.,!?…“”*-🛑\u200b", max_size=8), st.text(" .!\u2060🙂", max_size=8))
def test_nothing_around_a_word_hides_it(before: str, after: str) -> None:
    assert recognise(f"{before}sToP{after}", RULES) is Action.STOP


@pytest.mark.parametrize("action", Action)
def test_every_word_of_every_action_is_recognised(action: Action) -> None:
    for word in keywords.DEFAULT_WORDS[action]:
        assert recognise(word.lower(), RULES) is action


@pytest.mark.parametrize(
    "text", ["", " ", "Please stop", "stop it", "don't stop", "stopp", "yes", "START again tomorrow", "🛑", "S T O P"]
)
def test_a_text_that_only_contains_a_word_means_nothing(text: str) -> None:
    assert recognise(text, RULES) is None


@given(st.text())
def test_no_text_breaks_the_recognition(text: str) -> None:
    assert recognise(text, RULES) in {None, *Action}


def test_stop_wins_where_two_rules_have_the_same_word() -> None:
    rules = {Action.START: keywords.rule(["go"], ""), Action.STOP: keywords.rule(["GO!"], "")}

    assert recognise("go", rules) is Action.STOP


def test_a_word_that_folds_to_nothing_is_none() -> None:
    assert keywords.rule(["!", " ", "Halt"], "bye") == keywords.MatchRule(frozenset({"halt"}), "bye")
