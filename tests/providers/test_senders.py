"""What a text may be sent from."""

import pytest

from messaging.segments import GSM_BASIC
from providers.senders import GSM_PRINTABLE, InvalidSender, normalise


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("+1 (500) 555-0006", "+15005550006"),
        ("\u202a+15005550006\u202c", "+15005550006"),
        ("+5215512345678", "+525512345678"),
        ("123", "123"),
        (" 12345678\n", "12345678"),
        ("A", "A"),
        ("ACME", "ACME"),
        (" Acme 24/7! ", "Acme 24/7!"),
        ("24 Stunden", "24 Stunden"),
        ("ÆØÅ Ωmega", "ÆØÅ Ωmega"),
        ("ABCDEFGHIJK", "ABCDEFGHIJK"),
    ],
)
def test_a_number_a_short_code_or_a_name_is_a_sender(raw: str, stored: str) -> None:
    assert normalise(raw) == stored
    assert normalise(stored) == stored


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "invalid_number"),
        ("12", "invalid_number"),
        ("123456789", "invalid_number"),
        ("15005550006", "invalid_number"),
        ("12-34", "invalid_number"),
        ("!?&", "invalid_number"),
        ("+1500555A006", "invalid_number"),
        ("+15550101", "impossible_number"),
        ("ABCDEFGHIJKL", "invalid_sender"),
        ("Ac\nme", "invalid_sender"),
        ("Ac\u200bme", "invalid_sender"),
        ("Łódź", "invalid_sender"),
        ("Acme[1]", "invalid_sender"),  # [ takes two septets
        ("a\x00", "invalid_sender"),
    ],
)
def test_anything_else_is_not(raw: str, code: str) -> None:
    with pytest.raises(InvalidSender) as refused:
        normalise(raw)

    assert refused.value.code == code


def test_a_name_has_the_visible_characters_that_a_text_counts_as_one_septet() -> None:
    assert GSM_PRINTABLE | {"\n", "\r"} == GSM_BASIC
    assert len(GSM_PRINTABLE) == 125
