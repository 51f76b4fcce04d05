"""Spellings of one provider message id."""

import pytest
from django.db.models import Value
from hypothesis import given
from hypothesis import strategies as st

from messaging import provider_ids
from messaging.models import ProviderCallback
from messaging.provider_ids import Likeness
from tests.factories import CallbackFactory

NUMBERS = st.integers(1, 10**provider_ids.MAX_DIGITS - 1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("p1", "p1", Likeness.EXACT),
        ("1a2B-3C", "1A2b-3c", Likeness.FOLDED),
        ("0x1F", "1f", Likeness.FOLDED),
        ("0x123", "123", Likeness.FOLDED),
        ("0000006699", "6699", Likeness.FOLDED),
        ("0x1A2B", "0000006699", Likeness.OTHER_BASE),
        ("1a2b", "6699", Likeness.OTHER_BASE),
        ("0x123", "291", Likeness.OTHER_BASE),
        ("123", "291", None),
        ("123", "0x7B", Likeness.OTHER_BASE),
        ("0x291", "123", None),
        ("p1", "p2", None),
        ("", "p1", None),
        ("0", "00", None),
        ("é", "É", None),
        ("é", "é", Likeness.EXACT),
        ("²", "2", None),
    ],
)
def test_two_spellings_are_compared(one: str, other: str, expected: Likeness | None) -> None:
    assert provider_ids.likeness(one, other) is expected
    assert provider_ids.likeness(other, one) is expected


@given(NUMBERS, st.booleans(), st.integers(0, 4))
def test_a_number_is_found_in_the_other_base(number: int, is_upper: bool, zeros: int) -> None:
    hexadecimal = "0" * zeros + f"{number:x}"
    written = f"0x{hexadecimal.upper() if is_upper else hexadecimal}"

    assert provider_ids.likeness(written, str(number)) is not None
    assert provider_ids.fold(written) in provider_ids.keys(str(number))
    assert provider_ids.fold(str(number)) in provider_ids.keys(written)


@given(st.text(max_size=128))
def test_any_text_has_keys_that_fit_their_column(given_id: str) -> None:
    for text in (given_id, given_id.zfill(128), "f" * 128, "9" * 32, "f" * 32):
        assert all(0 <= len(key) <= 128 for key in provider_ids.keys(text))
        assert provider_ids.likeness(text, text) is Likeness.EXACT


@pytest.mark.django_db
@pytest.mark.parametrize("written", ["0xAbC", "000-1", "x-1", "p1", "", "0", "SM1'0x"])
def test_the_database_folds_like_python(written: str) -> None:
    CallbackFactory()

    folded = ProviderCallback.objects.annotate(key=provider_ids.key(Value(written))).values_list("key", flat=True).get()

    assert folded == provider_ids.fold(written)
