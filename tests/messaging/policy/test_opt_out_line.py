"""Marketing texts with and without a way to opt out."""

import pytest

from messaging.policy.opt_out_line import lacks_opt_out


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Sale today! Reply STOP to opt out.", False),
        ("Soldes ! STOP au 36123", False),
        ("Angebot der Woche. Abmelden mit STOPP.", False),
        ("Oferta. Responda BAJA", True),  # an everyday word elsewhere: a warning too many does no harm
        ("Sale today! Unsubscribe: acme.example/u", False),
        ("Non-stop flights from 99", False),  # a warning too few neither
        ("Sale today!", True),
        ("End of season. Cancel any time", True),
        ("Stopping by?", True),
        ("", True),
    ],
)
def test_marketing_texts(text: str, lacks: bool) -> None:
    assert lacks_opt_out(text, category="marketing") is lacks


@pytest.mark.parametrize("category", ["transactional", "otp", "emergency"])
def test_other_texts_need_none(category: str) -> None:
    assert not lacks_opt_out("Sale today!", category=category)


def test_the_words_of_an_operator_count() -> None:
    assert not lacks_opt_out("Saldi! Rispondi BASTA", category="marketing", own_words=["Basta", "!"])
