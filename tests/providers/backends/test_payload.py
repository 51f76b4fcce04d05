"""The bodies of providers: each is read by what it says of itself, and no bytes break the reader."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.backends import payload
from providers.backends.payload import at_path, read_content, values_at

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "content"),
    [
        ("application/json", b'{"id": 1}', {"id": 1}),
        ("Application/JSON; charset=UTF-8", b'{"id": 1}', {"id": 1}),
        ("text/json", b'{"id": 1}', {"id": 1}),
        ("application/vnd.carrier+json", b'{"id": 1}', {"id": 1}),
        ("application/json; charset=iso-8859-1", b'{"text": "caf\xe9"}', {"text": "café"}),
        ("application/json; charset=utf-16", '{"text": "é"}'.encode("utf-16"), {"text": "é"}),
        ("application/json; charset=no-such-charset", b'{"id": 1}', {"id": 1}),
        ("application/json; charset=hex", b'{"id": 1}', {"id": 1}),
        ("application/json; charset=utf-16", b'{"id": 1}', {"id": 1}),
        ("application/json", b'\xef\xbb\xbf{"id": 1}', {"id": 1}),
        (FORM, b"id=1&text=caf%C3%A9", {"id": "1", "text": "café"}),
        (f"{FORM}; charset=ISO-8859-1", b"text=caf%E9", {"text": "café"}),
        (FORM, b"id=1&id=2", {"id": ["1", "2"]}),
        ("text/xml", b"<r><id>1</id></r>", {"r": {"id": "1"}}),
        ("application/soap+xml; charset=utf-8", "<r><id>é</id></r>".encode(), {"r": {"id": "é"}}),
        ("", b' {"id": 1}', {"id": 1}),
        ("text/plain", b"<r>1</r>", {"r": "1"}),
        ("text/plain", b"id=1", {"id": "1"}),
        (FORM, b'{"id": 1}', {"id": 1}),
        ("application/json", b"[[" + b'["[[{{\\"[["],' * 100 + b"[]]]", [[*[['[[{{"[[']] * 100, []]]),
    ],
)
def test_a_body_is_read_by_its_own_type_and_charset(content_type: str, body: bytes, content: Any) -> None:
    assert read_content(body, content_type) == content


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"id=1"),
        ("application/json; charset=utf-8", b'{"text": "caf\xe9"}'),
        (f"{FORM}; charset=utf-8", b"text=caf\xe9"),
        ("text/xml", b"<r><id>"),
        ("text/xml", b"<r>" * 50_000),
        ("text/xml", b'<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>'),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"a":' * 65 + b"1" + b"}" * 65),
    ],
)
def test_what_cannot_be_read_is_a_value_error(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (callers catch this class)
        read_content(body, content_type)


def test_a_field_of_a_form_that_no_charset_can_read_spoils_only_itself() -> None:
    content = read_content(b"id=1&text=caf%E9", FORM)

    assert (content["id"], payload.storable_text(content["text"]), payload.scalar(content["text"])) == ("1", None, "")


@given(st.binary(max_size=200), st.sampled_from(["", "text/plain", "application/json", FORM, "text/xml", "\udc80;=;"]))
def test_any_bytes_are_read_or_refused_with_a_value_error(body: bytes, content_type: str) -> None:
    with suppress(ValueError):
        read_content(body, content_type)


def test_xml_has_attributes_repeated_elements_and_no_namespaces() -> None:
    body = b'<a:r xmlns:a="urn:x"><m id="1">hi</m><m id="2"/><s>ok</s></a:r>'

    content = read_content(body, "text/xml")

    assert content == {"r": {"m": [{"@id": "1", "#text": "hi"}, {"@id": "2"}], "s": "ok"}}
    assert payload.scalar(at_path(content, "r.m.0")) == "hi"


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("a.0.b", [1]),
        ("a.*.b", [1, 2]),
        ("a.2.b", []),
        ("c.d", ["flat"]),
        ("a.*.x", []),
        ("n", [None]),
        ("a.b", []),
    ],
)
def test_a_path_leads_to_every_value_there(path: str, values: list[Any]) -> None:
    content = {"a": [{"b": 1}, {"b": 2}], "c.d": "flat", "n": None}

    assert list(values_at(content, path)) == values


@pytest.mark.parametrize(
    ("value", "word"), [(True, "true"), (False, "false"), (0, "0"), (1.5, "1.5"), (" ok ", "ok"), (None, ""), ([], "")]
)
def test_a_status_may_be_any_scalar(value: Any, word: str) -> None:
    assert payload.word(json.loads(json.dumps(value))) == word
