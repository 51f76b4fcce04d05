"""Encrypted texts: what is stored, and with which keys it is readable."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import encryption
from messaging.encryption import MARK, CannotBeOpened, InvalidKeys

SECRETS = [base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(3)]
OLD, NEW, OTHER = encryption.read_keys([f"k{number}:{secret}" for number, secret in enumerate(SECRETS)])


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.booleans())
def test_a_sealed_text_is_revealed(text: str, has_keys: bool) -> None:
    keys = [NEW, OLD] if has_keys else []

    assert encryption.reveal(encryption.seal(text, keys), keys) == text


def test_a_sealed_text_shows_its_key_and_nothing_else() -> None:
    stored = encryption.seal("Your code is 123456", [NEW, OLD])

    assert stored.startswith("enc:v1:k1:")
    assert "123456" not in stored
    assert stored != encryption.seal("Your code is 123456", [NEW, OLD])


def test_rows_of_several_keys_and_of_none_are_readable() -> None:
    stored = [encryption.seal("a", [OLD]), encryption.seal("b", [NEW]), "c"]

    assert [encryption.reveal(text, [NEW, OLD]) for text in stored] == ["a", "b", "c"]


def test_a_text_that_only_looks_sealed_is_a_text() -> None:
    text = f"{MARK}k1:nonsense"

    assert encryption.reveal(encryption.seal(text, []), [NEW]) == text


@pytest.mark.parametrize("keys", [(), (OTHER,)])
def test_without_its_key_a_text_is_not_shown_as_it_is(keys) -> None:
    with pytest.raises(CannotBeOpened, match="has no key 'k1'"):
        encryption.reveal(encryption.seal("a", [NEW]), keys)


def test_a_text_that_was_tampered_with_is_not_shown() -> None:
    with pytest.raises(CannotBeOpened, match="changed in the database"):
        encryption.reveal(encryption.seal("a", [NEW])[:-4] + "AAA=", [NEW])


@given(st.binary(), st.booleans())
def test_sealed_bytes_are_revealed(content: bytes, has_keys: bool) -> None:
    keys = [NEW, OLD] if has_keys else []

    assert encryption.reveal_bytes(encryption.seal_bytes(content, keys), keys) == content


def test_sealed_bytes_of_several_keys_and_of_none_are_readable() -> None:
    stored = [encryption.seal_bytes(content, keys) for content, keys in ((b"a", [OLD]), (b"b", [NEW]), (b"c", []))]

    assert [encryption.reveal_bytes(each, [NEW, OLD]) for each in stored] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"to,name",
        b"enc:v1:k1",
        b"x" + encryption.seal_bytes(b"a", [NEW]),
        encryption.seal_bytes(b"a", [OTHER]),
        encryption.seal_bytes(b"a", [NEW])[:-4] + b"AAA=",
    ],
    ids=["empty", "plain", "cut", "shifted", "another key", "changed"],
)
def test_bytes_that_cannot_be_opened_are_not_shown_as_they_are(stored: bytes) -> None:
    with pytest.raises(CannotBeOpened):
        encryption.reveal_bytes(stored, [NEW])


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["nothing"], "Key 1 is not"),
        ([f"k:{SECRETS[0]}", f"n:{SECRETS[1][:-2]}"], "Key 2 is not"),
        ([f"-:{SECRETS[0]}"], "Key 1 is not"),
        ([f"k:{SECRETS[0]}", f"k:{SECRETS[1]}"], "same id"),
    ],
)
def test_keys_that_cannot_be_read(entries: list[str], reason: str) -> None:
    with pytest.raises(InvalidKeys, match=reason) as refused:
        encryption.read_keys(entries)

    assert not any(secret[:-2] in str(refused.value) for secret in SECRETS)


def test_a_key_is_not_shown() -> None:
    assert SECRETS[0] not in repr(OLD)
