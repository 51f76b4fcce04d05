"""Items of a batch are read as single messages are: the same values, and the same errors, codes and paths."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from messaging.api.batches import ItemReader
from messaging.api.serializers import NewMessageSerializer, message_input_of
from messaging.services.outbound.submit import MessageInput
from tests.generated import examples

GOOD = {"to": "+14155550101", "message": "Hello"}
ASSET = "0195e0a4-3c1e-7f6b-8d59-0f6c3a3a6a11"

wrong = st.sampled_from(
    [None, "", " ", 0, 1, 1.0, True, False, [], {}, ["x"], {"a": 1}, "\0", "\ud800", "a\0", "x" * 1601]
)
FIELDS: dict[str, Any] = {
    "to": st.sampled_from(
        ["+14155550101", " +1 415 555 0101", "+541123456789", "+1415555010", "4155550101", "+4407911123456", "+14155550101\n"]
        + ["+" + "1" * 64, " " * 65]
    ),
    "message": st.one_of(st.text(max_size=30), st.sampled_from(["Hello\n€", " x ", "\n", "a" * 1600, "я" * 700])),
    "reference": st.one_of(st.text(max_size=8), st.sampled_from(["r", " r ", "\n", "x" * 100, " " + "x" * 100, "x" * 101])),
    "queue": st.sampled_from(["express", " express ", "x" * 41, "nowhere"]),
    "from": st.sampled_from(["ACME", " ACME ", "+14155550102", "80888", "a name that is long", "+1", "+\u0661"]),
    "send_at": st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-01T00:00:00+05:00", "0001-01-01T00:00:00+14:00", "soon"]),
    "valid_for": st.sampled_from([1, 60, 604_800, 604_801, 0, -1, "60", True, 1.0, 10**29]),
    "callback_url": st.sampled_from(
        ["https://client.example/", " https://client.example/ ", "ftp://x.example", "http://127.0.0.1/", "x" * 501, "http://[/"]
    ),
    "media": st.lists(st.sampled_from([ASSET, ASSET.upper(), "x", None, 5]), max_size=11),
    "id": st.just("x"),
    "To": st.just("+14155550101"),
    "segments": st.just(1),
}  # fmt: skip
given_fields = st.fixed_dictionaries(
    {}, optional={name: st.one_of(values, values, wrong) for name, values in FIELDS.items()}
)
items = st.one_of(
    given_fields.map(lambda fields: GOOD | fields),
    given_fields,
    st.sampled_from([None, "x", "", 5, 5.5, True, [], [GOOD], {}]),
)


def by_the_serializer(item: Any) -> MessageInput | Any:
    serializer = NewMessageSerializer(data=item)
    return message_input_of(serializer.validated_data) if serializer.is_valid() else coded(serializer.errors)


def by_the_reader(reader: ItemReader, item: Any) -> MessageInput | Any:
    try:
        return reader.read(item)
    except ValidationError as error:
        return coded(error.detail)


def coded(details: Any) -> Any:
    """Errors with their codes, which `ErrorDetail` leaves out of its comparison with a plain text."""
    if isinstance(details, dict):
        return {name: coded(inner) for name, inner in details.items()}
    if isinstance(details, list):
        return [coded(inner) for inner in details]
    return (str(details), details.code)


@settings(max_examples=examples(400), derandomize=True, deadline=None)
@given(st.lists(items, min_size=1, max_size=8))
@example([GOOD | {"reference": 0}, GOOD | {"reference": False}, GOOD | {"reference": []}, GOOD | {"reference": None}])
@example([GOOD | {"valid_for": 1}, GOOD | {"valid_for": True}, GOOD | {"valid_for": 1.0}, GOOD | {"valid_for": 1}])
@example([GOOD | {"callback_url": "x"}] * 2)
def test_a_batch_is_read_as_its_items_one_by_one(listed: list[Any]) -> None:
    reader = ItemReader()

    assert [by_the_reader(reader, item) for item in listed] == [by_the_serializer(item) for item in listed]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reference": "order-1", "queue": "express", "from": "ACME", "valid_for": 60},
        {"reference": None, "queue": None, "from": None, "valid_for": None, "send_at": None, "callback_url": None},
        {"send_at": "2030-01-01T00:00:00Z", "callback_url": "https://client.example/"},
    ],
    ids=["least", "usual", "nulls", "times"],
)
def test_the_items_of_most_batches_need_no_serializer(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    monkeypatch.setattr(NewMessageSerializer, "run_validation", lambda *_: pytest.fail("the serializer was asked"))

    assert ItemReader().read(GOOD | changes).to == GOOD["to"]


def test_an_address_of_many_items_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, checked = ItemReader(), []
    monkeypatch.setattr(
        type(reader._fields["callback_url"]), "to_internal_value", lambda _, url: checked.append(url) or url
    )

    for _ in range(3):
        reader.read(GOOD | {"callback_url": "https://client.example/"})

    assert checked == ["https://client.example/"]
