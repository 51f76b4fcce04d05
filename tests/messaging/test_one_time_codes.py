"""Codes that are computed: from a key, an id and a nonce."""

from collections import Counter
from uuid import UUID

import pytest

from messaging import one_time_codes
from messaging.one_time_codes import code_of, fill, key_id, secret_of, without

ID = UUID("0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55")


def nonce(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("length", range(4, 11))
def test_a_code_has_exactly_its_digits(length: int) -> None:
    codes = {code_of("key", verification_id=ID, nonce=nonce(n), length=length) for n in range(50)}

    assert all(len(code) == length and code.isascii() and code.isdigit() for code in codes)
    assert len(codes) > 40


def test_it_depends_on_the_key_the_verification_the_nonce_and_the_length() -> None:
    made = {
        code_of("key", verification_id=ID, nonce=nonce(1), length=10),
        code_of("other", verification_id=ID, nonce=nonce(1), length=10),
        code_of("key", verification_id=UUID(int=1), nonce=nonce(1), length=10),
        code_of("key", verification_id=ID, nonce=nonce(2), length=10),
    }
    shorter = code_of("key", verification_id=ID, nonce=nonce(1), length=9)

    assert len(made) == 4
    assert not any(code.endswith(shorter) for code in made)
    assert code_of("key", verification_id=ID, nonce=nonce(1), length=10) in made


def test_all_digits_are_as_frequent() -> None:
    counts = Counter("".join(code_of("key", verification_id=ID, nonce=nonce(n), length=10) for n in range(2_000)))

    assert set(counts) == set("0123456789")
    assert all(1_800 < count < 2_200 for count in counts.values())  # 2,000 expected; 4.7 standard deviations


@pytest.mark.parametrize(("length", "bytes_of_nonce"), [(3, 32), (11, 32), (6, 31), (6, 0)])
def test_other_lengths_are_refused(length: int, bytes_of_nonce: int) -> None:
    with pytest.raises(ValueError, match="4 to 10 digits"):
        code_of("key", verification_id=ID, nonce=bytes(bytes_of_nonce), length=length)


def test_a_key_is_found_by_its_id_and_not_told_by_it() -> None:
    assert secret_of(key_id("old"), ["new", "old"]) == "old"
    assert secret_of(key_id("gone"), ["new", "old"]) is None
    assert len(key_id("old")) == one_time_codes.KEY_ID_LENGTH


def test_a_text_is_filled_at_each_place() -> None:
    assert fill("Code ******.\n@a.com #******", offsets=[5, 21], code="012345") == "Code 012345.\n@a.com #012345"


@pytest.mark.parametrize("text", ["Code 12***6.", "Code ****", "", "Code ***"])
def test_a_text_without_the_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        fill(text, offsets=[5], code="123456")


@pytest.mark.parametrize(
    ("content", "masked"),
    [
        ("bad: Your code is 493201!", "bad: Your code is ******!"),
        ('{"text":"493201493201"}', '{"text":"************"}'),
        ("20343933323031", "20************"),
        ("0034003900330032003000310020", "************************0020"),
        ("nothing 49320", "nothing 49320"),
    ],
)
def test_a_quoted_code_is_masked(content: str, masked: str) -> None:
    assert without("493201", content) == masked
