"""Receipts and incoming messages as carriers send them: by GET and POST, one or many, in JSON, forms and XML."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers import callback_tokens, octets
from providers.backends.callback_parts import PartMapping
from providers.backends.generic_http import GenericHttpBackend
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.messages import MessagePart
from providers.contract.sender import BackendContext
from providers.errors import MalformedCallback

CONTEXT = BackendContext(slug="acme", callback_keys=("key",))
FORM = "application/x-www-form-urlencoded"
INFOBIP = {
    "list": "results",
    "message_id": "messageId",
    "status": "status.groupName",
    "error_code": "error.id",
    "values": {"DELIVERED": "delivered", "UNDELIVERABLE": "undelivered", "PENDING": "progress"},
    "errors": {"27": "invalid"},
}


def make(**config: Any) -> GenericHttpBackend:
    return GenericHttpBackend(GenericHttpBackend.Config.model_validate({"url": "http://127.0.0.1/", **config}), CONTEXT)


def callback(content: Any, content_type: str = "application/json", query: str = "", token: str = "") -> CallbackRequest:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    url = f"https://sms.example.org/webhooks/acme/status/?{query}"
    return CallbackRequest(url, {"content-type": content_type}, body, token=token)


def attempt_token() -> str:
    return callback_tokens.make(slug="acme", attempt_id="attempt-1", keys=CONTEXT.callback_keys)


# --- receipts ------------------------------------------------------------------------------------------------------------


def test_every_report_of_a_list_is_read() -> None:
    results = [
        {"messageId": "a", "status": {"groupName": "DELIVERED"}},
        {"messageId": "b", "status": {"groupName": "UNDELIVERABLE"}, "error": {"id": 27}},
        {"messageId": "c", "status": {"groupName": "delivered"}},
    ]

    reports = make(status=INFOBIP).parse_status(callback({"results": results}))

    assert reports == (
        StatusReport("a", ReportedStatus.DELIVERED, "DELIVERED"),
        StatusReport("b", ReportedStatus.INVALID, "UNDELIVERABLE", "27"),
        StatusReport("c", ReportedStatus.DELIVERED, "delivered"),
    )


@pytest.mark.parametrize(
    ("mapping", "content"),
    [
        ({"message_id": "results.0.messageId", "status": "results.0.status"}, {"results": [{}, {}]}),
        ({"message_id": "0.id", "status": "0.status"}, [{"id": "a", "status": "x"}, {"id": "b", "status": "x"}]),
        ({"message_id": "id", "status": "status"}, [{"id": "a", "status": "x"}]),
        ({"list": "results"}, {"result": {"message_id": "a", "status": "delivered"}}),
        ({"list": "results"}, {"results": [{"message_id": "a", "status": "delivered"}, {"message_id": "b"}]}),
        ({"list": ""}, [{"message_id": "a", "status": "delivered"}, 5]),
        ({"separator": ","}, {"message_id": "a,b", "status": "delivered,failed,failed"}),
        ({"separator": ","}, {"message_id": "a,", "status": "delivered"}),
    ],
)
def test_a_body_is_never_half_used(mapping: dict[str, Any], content: Any) -> None:
    with pytest.raises(MalformedCallback):
        make(status=mapping).parse_status(callback(content))


@pytest.mark.parametrize(("path", "content"), [("", []), ("results", {"results": []})])
def test_an_empty_list_tests_the_address_and_brings_nothing(path: str, content: Any) -> None:
    backend = make(status={"list": path}, inbound={"list": path})

    assert (backend.parse_status(callback(content)), backend.parse_inbound(callback(content))) == ((), ())


def test_receipts_that_are_joined_in_each_field_are_all_read() -> None:
    query = urlencode({"MsgId": "a,b", "status": "404,405", "err": "7", "token": "t"})
    mapping = {"separator": ",", "message_id": "MsgId", "status": "status", "error_code": "err"}
    values = {"404": "delivered", "405": "undelivered"}

    reports = make(status={**mapping, "values": values}).parse_status(callback(b"", "", query=query))

    assert reports == (
        StatusReport("a", ReportedStatus.DELIVERED, "404", "7"),
        StatusReport("b", ReportedStatus.UNDELIVERED, "405", "7"),
    )


reports_of_any_kind = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "message_id": st.sampled_from(["m-1", " m-2 ", "", "a\x00b", "x" * 129, 7, None, True, ["m-1"]]),
            "status": st.sampled_from(["delivered", "failed", "odd", "", 5, None, []]),
        },
    ),
    max_size=5,
)


@given(reports_of_any_kind)
def test_either_every_report_is_read_or_the_request_is_malformed(content: list[dict[str, Any]]) -> None:
    try:
        reports = make(status={"list": ""}).parse_status(callback(content))
    except MalformedCallback:
        return
    assert [report.provider_message_id for report in reports] == [str(each["message_id"]).strip() for each in content]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"message_id=m-1&status=delivered", FORM),
        (b"message_id=m-1&status=delivered", f"{FORM}; charset=iso-8859-1"),
        (b'{"message_id": "m-1", "status": "delivered"}', "text/json"),
        ('{"message_id": "m-1", "status": "delivered"}'.encode("utf-16"), "application/json; charset=utf-16"),
    ],
)
@pytest.mark.parametrize("account_format", ["json", "form", "query"])
def test_a_receipt_is_read_as_it_says_whatever_the_account_sends(
    account_format: str, body: bytes, content_type: str
) -> None:
    [report] = make(format=account_format).parse_status(callback(body, content_type))

    assert report == StatusReport("m-1", ReportedStatus.DELIVERED, "delivered")


def test_a_receipt_in_xml_is_read_by_paths() -> None:
    mapping = {"list": "dlrs.dlr", "message_id": "@id", "status": "state"}
    two = b'<dlrs><dlr id="1"><state>delivered</state></dlr><dlr id="2"><state>failed</state></dlr></dlrs>'
    one = b'<dlrs><dlr id="1"><state>delivered</state></dlr></dlrs>'

    reports = [make(status=mapping).parse_status(callback(body, "text/xml")) for body in (two, one)]

    assert [[report.provider_message_id for report in each] for each in reports] == [["1", "2"], ["1"]]


def test_values_in_the_query_and_in_the_body_are_both_seen() -> None:
    mapping = {"message_id": "id", "status": "state", "reference": "ours"}
    request = callback(b"state=delivered", FORM, query="id=m-1&ours=our-id&token=secret&state=failed")

    [report] = make(status=mapping).parse_status(request)

    assert report == StatusReport("m-1", ReportedStatus.DELIVERED, "delivered", reference="our-id")


def test_a_receipt_by_get_is_all_query() -> None:
    [report] = make().parse_status(callback(b"", "", query=urlencode({"message_id": "m-1", "status": "failed"})))

    assert report == StatusReport("m-1", ReportedStatus.UNDELIVERED, "failed")


@pytest.mark.parametrize(("token", "is_read"), [(attempt_token(), True), ("", False), ("attempt-1.bad", False)])
def test_our_own_address_names_the_message_where_the_receipt_does_not(token: str, is_read: bool) -> None:
    request = callback({"status": "delivered"}, token=token)

    if is_read:
        assert make().parse_status(request) == (StatusReport("", ReportedStatus.DELIVERED, "delivered"),)
    else:
        with pytest.raises(MalformedCallback):
            make().parse_status(request)


def test_two_reports_without_ids_at_one_address_are_malformed() -> None:
    with pytest.raises(MalformedCallback):
        make(status={"list": ""}).parse_status(
            callback([{"status": "delivered"}, {"status": "failed"}], token=attempt_token())
        )


# --- incoming messages ---------------------------------------------------------------------------------------------------


def test_every_text_of_a_list_is_read() -> None:
    mapping = {"list": "results", "message": "text", "id": "messageId"}
    results = [
        {"messageId": "1", "from": "447911123456", "to": "447700900000", "text": "STOP"},
        {"messageId": "2", "from": "447911123457", "to": "447700900000", "text": "hi"},
    ]

    texts = make(inbound=mapping, number_format="digits").parse_inbound(callback({"results": results}))

    assert [(text.sender, text.recipient, text.text) for text in texts] == [
        ("+447911123456", "+447700900000", "STOP"),
        ("+447911123457", "+447700900000", "hi"),
    ]


@pytest.mark.parametrize(
    ("config", "given", "read"),
    [
        ({}, "00447911123456", "+447911123456"),
        ({}, "9195550101", "9195550101"),
        ({}, "6465593995", "6465593995"),
        ({"default_country": "GB"}, "07911 123456", "+447911123456"),
        ({"default_country": "US"}, "6465593995", "+16465593995"),
        ({"number_format": "digits"}, "447911123456", "+447911123456"),
        ({"number_format": "national", "default_country": "GB"}, "07911123456", "+447911123456"),
        ({}, "ACME", "ACME"),
        ({}, "88202", "88202"),
    ],
)
def test_a_number_is_read_by_the_accounts_notation_and_never_guessed(
    config: dict[str, Any], given: str, read: str
) -> None:
    [text] = make(**config).parse_inbound(callback({"from": given, "to": "+447700900000", "message": "STOP"}))

    assert text.sender == read


def test_a_text_needs_no_number_of_ours_and_no_good_picture() -> None:
    content = {"from": "+447911123456", "message": "STOP", "media": ["https://a/1", 5, "", "not an address"]}

    [text] = make().parse_inbound(callback(content))

    assert (text.recipient, text.text, text.media_urls) == ("", "STOP", ("https://a/1", "not an address"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"text": "hi", "parts": [{"value": "no"}]}, "hi"),
        ({"text": None, "parts": [{"value": "one"}, {"url": "https://a/1"}, {"value": "two"}]}, "one\ntwo"),
        ({"parts": [{"url": "https://a/1"}]}, ""),
    ],
)
def test_of_several_paths_of_the_text_the_first_one_with_a_value_counts(content: dict[str, Any], text: str) -> None:
    mapping = {"message": ["text", "parts.*.value"], "media": "parts.*.url"}

    [read] = make(inbound=mapping).parse_inbound(callback({"from": "+447911123456", **content}))

    assert read.text == text


def test_pictures_are_taken_from_several_paths() -> None:
    content = {"from": "+447911123456", "message": "a", "image": "https://a/1", "image3": "https://a/3"}

    [text] = make(inbound={"media": ["image", "image2", "image3"]}).parse_inbound(callback(content))

    assert text.media_urls == ("https://a/1", "https://a/3")


PART = {"reference": "concat-ref", "number": "concat-part", "count": "concat-total"}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (("7", "2", "3"), MessagePart("7", 2, 3)),
        (("7", "1", "1"), None),
        (("7", "4", "3"), None),
        (("7", "0", "3"), None),
        (("7", "x", "3"), None),
        (("", "1", "3"), None),
    ],
)
def test_the_place_of_a_part_is_read_if_it_makes_sense(given: tuple[str, str, str], part: MessagePart | None) -> None:
    content = {"from": "+447911123456", "message": "a", **dict(zip(PART.values(), given, strict=True))}

    [text] = make(inbound={"part": PART}).parse_inbound(callback(content))

    assert text.part == part


# In a form an octet of UTF-8 is torn off, in JSON one half of a pair of UTF-16.
def halves_in_a_form(text: str) -> list[list[CallbackRequest]]:
    whole = text.encode()
    return [[part(1, whole[:at], FORM), part(2, whole[at:], FORM)] for at in range(1, len(whole))]


def halves_in_json(text: str) -> list[list[CallbackRequest]]:
    whole = text.encode("utf-16-be")
    texts = [(whole[:at].decode("utf-16-be", "surrogatepass"), whole[at:]) for at in range(2, len(whole), 2)]
    return [[part(1, first), part(2, last.decode("utf-16-be", "surrogatepass"))] for first, last in texts]


def part(number: int, text: str | bytes, content_type: str = "application/json") -> CallbackRequest:
    fields = {
        "from": "+447911123456",
        "message": text,
        **dict(zip(PART.values(), ("7", str(number), "2"), strict=True)),
    }
    return callback(urlencode(fields).encode() if content_type == FORM else fields, content_type)


@pytest.mark.parametrize("halves_of", [halves_in_a_form, halves_in_json])
@pytest.mark.parametrize("text", ["Привет", "Hi é", "5 €", "Hi 💀!"])
def test_a_part_may_end_and_begin_within_a_character(
    halves_of: Callable[[str], list[list[CallbackRequest]]], text: str
) -> None:
    backend = make(inbound={"part": PART})
    for requests in halves_of(text):
        found = [each for request in requests for each in backend.parse_inbound(request)]
        parts = [each.part for each in found if each.part is not None]
        charsets = {each.charset for each in parts}

        assert len(charsets) == 1
        charset = charsets.pop()
        whole = (
            octets.join([each.octets for each in parts], charset) if charset else "".join(each.text for each in found)
        )
        assert whole == text


@pytest.mark.parametrize(
    "part", [{}, {"reference": "a", "number": "b"}, {**PART, "udh": "udh"}, {"udh": "udh", "count": "c"}]
)
def test_a_part_is_found_by_three_paths_or_by_its_header(part: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="needs reference, number and count, or udh alone"):
        PartMapping.model_validate(part)


def test_the_answer_to_callbacks_is_as_configured() -> None:
    backend = make(callback_answer={"content_type": "text/plain", "body": "ACK/Jasmin"})

    assert backend.status_response == backend.inbound_response
    assert (backend.inbound_response.status, backend.inbound_response.body) == (200, "ACK/Jasmin")
    assert make().status_response is None
