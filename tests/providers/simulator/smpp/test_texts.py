"""The carrier's reading of texts. It shares nothing with the code that writes them for carriers."""

import pytest

from providers.simulator.smpp.texts import Joining, decoded, encoded
from providers.smpp.pdu import ShortMessage, SmppAddress, Tag

SOURCE, TO = SmppAddress("15005550006", 1, 1), SmppAddress("14155550123", 1, 1)


def part(header: str, text: bytes, **fields) -> ShortMessage:
    return ShortMessage(SOURCE, TO, bytes.fromhex(header) + text, esm_class=0x40, **fields)


def joined(*messages: ShortMessage, alphabet: str = "gsm7"):
    joining = Joining()
    texts = [joining.add(message, f"id{at}", default_alphabet=alphabet) for at, message in enumerate(messages)]
    return [text for text in texts if text is not None], joining.incomplete


@pytest.mark.parametrize("headers", [("050003070202", "050003070201"), ("06080401070202", "06080401070201")])
def test_parts_in_any_order_make_one_text(headers: tuple[str, str]) -> None:
    [text], incomplete = joined(part(headers[0], b"world"), part(headers[1], b"Hello "))

    assert (text.text, text.message_ids, text.pdus, incomplete) == ("Hello world", ("id1", "id0"), 2, 0)


def test_parts_by_optional_parameters_make_one_text() -> None:
    messages = [
        ShortMessage(
            SOURCE,
            TO,
            octets,
            tlvs={
                Tag.SAR_MSG_REF_NUM: b"\1\2",
                Tag.SAR_TOTAL_SEGMENTS: b"\2",
                Tag.SAR_SEGMENT_SEQNUM: bytes([number]),
            },
        )
        for number, octets in ((1, b"Hello "), (2, b"world"))
    ]

    [text], incomplete = joined(*messages)

    assert (text.text, incomplete) == ("Hello world", 0)


def test_a_payload_is_one_text() -> None:
    [text], _ = joined(ShortMessage(SOURCE, TO, tlvs={Tag.MESSAGE_PAYLOAD: b"x" * 1530}))

    assert text.text == "x" * 1530


def test_a_missing_part_is_counted() -> None:
    assert joined(part("050003070201", b"Hello ")) == ([], 1)


def test_a_part_that_comes_twice_is_not_swallowed() -> None:
    first = part("050003070201", b"Hello ")

    texts, incomplete = joined(first, first, part("050003070202", b"world"))

    assert ([text.text for text in texts], incomplete) == (["Hello ", "Hello world"], 0)


def test_other_elements_of_a_header_are_left_out_of_the_text() -> None:
    [text], _ = joined(part("06050415810000", b"Hello"))

    assert text.text == "Hello"


@pytest.mark.parametrize(
    ("octets", "coding", "alphabet", "text"),
    [
        (b"\x00\x1be", 0, "gsm7", "@€"),
        ("é".encode("latin-1"), 0, "latin1", "é"),
        (b"a_b", 0, "ascii", "a_b"),
        (b"a_b", 1, "gsm7", "a_b"),
        ("é".encode("latin-1"), 3, "gsm7", "é"),
        ("👋".encode("utf-16-be"), 8, "gsm7", "👋"),
        (b"\xff", 0, "gsm7", "unreadable: ff"),
        (b"\xd8\x00", 8, "gsm7", "unreadable: d800"),
    ],
)
def test_octets_are_read_in_their_alphabet(octets: bytes, coding: int, alphabet: str, text: str) -> None:
    assert decoded(octets, coding, default_alphabet=alphabet) == text


@pytest.mark.parametrize(
    ("header", "octets", "text"),
    [
        ("", "d4f29c0e", "Test"),
        ("", "31d98c56b3dd1a", "1234567"),  # the last septet is filling
        ("050003070101", "a8e5391d", "Test"),  # a bit of filling behind the header
        ("06080400070101", "d4f29c0e", "Test"),
    ],
)
def test_packed_septets_begin_at_a_septet_behind_the_header(header: str, octets: str, text: str) -> None:
    message = part(header, bytes.fromhex(octets)) if header else ShortMessage(SOURCE, TO, bytes.fromhex(octets))

    [read], _ = joined(message, alphabet="gsm7_packed")

    assert read.text == text


@pytest.mark.parametrize("text", ["x" * 160, "x" * 161, "€" * 200, "👋" * 70, "Д" * 71, ""])
def test_a_reply_can_be_read_again(text: str) -> None:
    messages = [
        ShortMessage(SOURCE, TO, octets, data_coding=coding, esm_class=esm_class)
        for coding, esm_class, octets in encoded(text, reference=300)
    ]

    [again], incomplete = joined(*messages)

    assert (again.text, incomplete) == (text, 0)
