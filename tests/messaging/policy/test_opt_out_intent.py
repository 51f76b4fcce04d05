"""Texts that probably ask for no more messages, in five languages, and texts that do not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.keywords import DEFAULT_WORDS, Action, default_rules, fold, recognise
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.policy.opt_out_intent import asks_for_no_more
from tests.messaging.policy.opt_out_texts import ASKS, DOES_NOT_ASK

STOP_WORDS = [fold(word) for action in (Action.STOP, Action.STOP_ALL) for word in DEFAULT_WORDS[action]]
SECONDS = 0.25


def asks(text: str) -> bool:
    return asks_for_no_more(text, stop_words=STOP_WORDS)


def test_texts_that_probably_mean_stop_are_recognised(subtests) -> None:
    assert len(set(ASKS)) >= 60
    for text in ASKS:
        with subtests.test(text):
            assert asks(text)
            assert recognise(text, default_rules()) is None


def test_texts_that_only_have_its_words_are_not(subtests) -> None:
    assert len(set(DOES_NOT_ASK)) >= 60
    for text in DOES_NOT_ASK:
        with subtests.test(text):
            assert not asks(text)


@pytest.mark.parametrize("text", ["Basta!", "ok. basta", "Ciao\nBASTA"])
def test_a_word_of_an_operator_as_a_whole_clause_is_recognised(text: str) -> None:
    assert not asks(text)
    assert asks_for_no_more(text, stop_words=["basta"])


def test_what_stands_in_a_quote_or_signature_below_is_not_the_persons() -> None:
    assert not asks("Yes, I will come\n> Reply STOP to opt out. Please stop texting me")
    assert not asks("See you\n-- \nPlease stop texting me")


def test_words_after_the_bound_are_not_read() -> None:
    assert not asks(f"{'a' * MAX_INBOUND_CHARACTERS} please stop texting me")


@given(st.text())
def test_no_text_breaks_the_recognition(text: str) -> None:
    assert asks(text) in {True, False}


@pytest.mark.parametrize(
    "piece",
    [
        "stop ",
        "please ",
        "no me envien ",
        "a b ",
        "don t send me ",
        "keine ",
        "stop the ",
        "retirez a b c ",
        "\ufdfa",
        ", ",
        "n ",
    ],
)
def test_long_texts_of_one_piece_cost_little(piece: str) -> None:
    began = time.perf_counter()

    asks(f"{piece * MAX_INBOUND_CHARACTERS}x")

    assert time.perf_counter() - began < SECONDS
