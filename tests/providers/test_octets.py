"""Parts of texts, joined before they are decoded."""

import pytest

from providers import gsm
from providers.octets import join

EMOJI = "Hi 😀!"


def cut(octets: bytes, at: int) -> list[bytes]:
    return [octets[:at], octets[at:]]


@pytest.mark.parametrize(
    ("charset", "text", "octets"),
    [
        ("utf-16-be", EMOJI, EMOJI.encode("utf-16-be")),
        ("utf-8", EMOJI, EMOJI.encode()),
        ("gsm", "a€b{c}", gsm.encode("a€b{c}")),
        ("gsm", "grüße", "grüße".encode()),
        ("ascii-or-gsm", "a€b", gsm.encode("a€b")),
        ("shift_jis", "テスト", "テスト".encode("shift_jis")),
        ("euc_kr", "시험", "시험".encode("euc_kr")),
    ],
)
def test_a_text_may_be_cut_between_any_two_octets(charset: str, text: str, octets: bytes) -> None:
    assert {join(cut(octets, at), charset) for at in range(len(octets) + 1)} == {text}
    assert join([octets[at : at + 1] for at in range(len(octets))], charset) == text


def test_the_halves_of_a_pair_that_were_encoded_one_by_one_are_one_character() -> None:
    halves = [half.encode("utf-8", "surrogatepass") for half in ("a\ud83d", "\ude00b")]

    assert join(halves, "utf-8") == "a😀b"
    assert join(halves[:1], "utf-8") == "a\ufffd"


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        ([b"\x00a\x00", b"\x00b"], "utf-16-be", "ab"),  # an odd octet that belongs to nothing
        ([b"\x00a\xd8\x3d"], "utf-16-be", "a\ufffd"),
        ([b"\x00a", b"\x00\x00", b"\x00b"], "utf-16-be", "ab"),
        ([b"a\x1b"], "gsm", "a "),
        ([b"a\xe9", b"b"], "utf-8", "aéb"),
        (["мир м".encode()[:-1]], "utf-8", "мир \ufffd"),  # the part with the other half is missing
        (["Würzburg wäre".encode()[2:]], "gsm", "\ufffdrzburg wäre"),
        ([b"caf\xe9"], "utf-8", "café"),
        ([], "gsm", ""),
    ],
)
def test_what_is_broken_does_no_harm(octets: list[bytes], charset: str, text: str) -> None:
    assert join(octets, charset) == text
