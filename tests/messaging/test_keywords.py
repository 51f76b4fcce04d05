"""Recognition of keywords, and texts that only contain them."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import keywords
from messaging.keywords import Action, default_rules, fold, recognise
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.segments import Encoding, measure

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


@pytest.mark.parametrize(
    "below",
    [
        "-- \nAda Lovelace\nExample Ltd",
        "> Your appointment is tomorrow.\n> Reply STOP to end.",
        "On Mon, 4 Jan 2027 at 09:00, Example <sms@example.com> wrote:\n> Hello",
        "Am 04.01.2027 um 09:00 schrieb Example:\n> Hallo",
        "Le lun. 4 janv. 2027 \u00e0 09:00, Example a \u00e9crit :\nBonjour",
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "-----Original Message-----\nHello",
        "________________\nDisclaimer",
        "Skickat fr\u00e5n min iPhone",
        "Sendt fra min iPhone",
        "Envoy\u00e9 depuis mon mobile",
        "Wys\u0142ane z iPhone",
    ],
)
@pytest.mark.parametrize("between", ["\n", "\r\n\r\n", "\r", "\u2028"])
def test_a_signature_or_a_quote_below_does_not_hide_a_word(below: str, between: str) -> None:
    assert recognise(f"Stop.{between}{below}", RULES) is Action.STOP


@pytest.mark.parametrize(
    "text",
    [
        "Please don't\nSTOP\n-- \nAda",
        "STOP\nit is raining",
        "Hello\n> STOP",
        "End\nOn Tuesday I wrote it down",
        "-- \nSTOP the war",
        "On Monday I wrote: STOP",
    ],
)
def test_what_stands_in_a_quote_or_beside_other_words_is_none(text: str) -> None:
    assert recognise(text, RULES) is None


@pytest.mark.parametrize(
    ("word", "number", "is_stop"),
    [
        ("Arr\u00eat", "+33612345678", True),
        ("ARRET", "+15145550100", True),
        ("ARRET", "+447400123456", False),
        ("alto", "+34612345678", True),
        ("Alto!", "+393331234567", False),
        ("Parar", "+5511912345678", True),
        ("STOPP", "+46701234567", True),
        ("stopp", "+4915112345678", True),
        ("STOPP", "", False),
        ("Stop", "+819012345678", True),
    ],
)
def test_some_words_are_an_opt_out_in_some_countries(word: str, number: str, is_stop: bool) -> None:
    assert (recognise(word, default_rules(), number) is Action.STOP) is is_stop


@pytest.mark.parametrize(
    "text",
    [
        "-" * MAX_INBOUND_CHARACTERS + "x",
        "\n" * MAX_INBOUND_CHARACTERS + "x",
        "_" * MAX_INBOUND_CHARACTERS + "x",
        "--" + " " * MAX_INBOUND_CHARACTERS + "x",
        "On " + "wrote " * 60 + " " * (MAX_INBOUND_CHARACTERS - 400) + "\tx\n",
        "On a wrote\n" * (MAX_INBOUND_CHARACTERS // 11),
    ],
    ids=["dashes", "lines", "underscores", "blanks", "a quote", "quotes"],
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()

    assert recognise(text, RULES) is None
    assert time.process_time() - begun < 0.5


def test_the_replies_name_brand_and_contact_where_they_are_known() -> None:
    rules = default_rules(brand="Acme Dental", contact="help@acme.example or 1-800-555-0100")

    assert rules[Action.HELP].reply == (
        "Acme Dental: For help, contact help@acme.example or 1-800-555-0100. Msg & data rates may apply. Reply STOP to opt out."
    )
    assert rules[Action.STOP].reply.startswith("Acme Dental: You will get no more messages from this number.")
    assert {measure(rule.reply).segments for rule in rules.values()} == {1}
    assert {measure(rule.reply).encoding for rule in default_rules().values()} == {Encoding.GSM7}
    assert (
        default_rules()[Action.HELP].reply
        == "Msg & data rates may apply. Reply STOP to opt out, START to opt in again."
    )
