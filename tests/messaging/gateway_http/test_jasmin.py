"""Jasmin's interface answers as Jasmin 0.11.1 does: statuses and words were recorded from it.

docs/coming-from-jasmin.md has the differences.
"""

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.utils import timezone

from messaging.models import GatewayCredential, Message, PhoneNumber, VelocityLimit
from messaging.services.costs import budget_changes
from messaging.services.limits import rules
from messaging.states import Status
from tests.factories import NOW, PhoneNumberFactory
from tests.messaging.gateway_http.conftest import LOGIN, RECEIVER, SENDER, GatewayClient, stored

pytestmark = pytest.mark.django_db

TO = "447911110001"
SMS = {**LOGIN, "to": TO, "content": "Hello"}
JSON = "application/json"


@pytest.fixture
def jasmin(credential: GatewayCredential, settings: Any) -> GatewayClient:
    settings.ENABLE_JASMIN_API = True
    return GatewayClient("/send")


def answer(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, response.content.decode()


def accepted(response: HttpResponse) -> Message:
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "text/plain"
    found = re.fullmatch(rb'Success "([0-9a-f-]{36})"', response.content)
    assert found is not None, response.content
    return Message.objects.get(pk=found[1].decode())


def without(name: str) -> dict[str, str]:
    return {each: value for each, value in SMS.items() if each != name}


@pytest.mark.parametrize("path", ["/send", "/rate", "/balance", "/ping"])
def test_off_it_does_not_exist(credential: GatewayCredential, path: str) -> None:
    client = GatewayClient(path)

    assert client.get(SMS).status_code == client.post(SMS).status_code == 404
    assert client._client.put(client.path).status_code == 404
    assert stored() == []


def test_a_text_is_a_message_of_the_user(jasmin: GatewayClient, credential: GatewayCredential) -> None:
    message = accepted(jasmin.get(SMS))

    assert (message.owner, message.status, message.queue_id) == (credential.user, "queued", "express")
    assert (message.from_number, message.to_number, message.text) == (SENDER, f"+{TO}", "Hello")
    assert (message.callback_url, message.callback_dialect) == ("", "")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({}, 400, "Mandatory argument [to] is not found."),
        (without("to"), 400, "Mandatory argument [to] is not found."),
        (without("username"), 400, "Mandatory argument [username] is not found."),
        (without("password"), 400, "Mandatory argument [password] is not found."),
        (without("content"), 400, "content or hex-content not present."),
        ({**SMS, "hex-content": "00"}, 400, "content and hex-content cannot be used both in same request."),
        ({**SMS, "password": "wrong"}, 403, "Authentication failure for username:shop"),
        ({**SMS, "username": "nobody"}, 403, "Authentication failure for username:nobody"),
        ({**SMS, "password": "x" * 17}, 400, "Argument [password] has an invalid value: [***]."),
        ({**SMS, "nonsense": "x"}, 400, "Argument [nonsense] is unknown."),
        ({"nonsense": "x", **SMS, "to": "abc"}, 400, "Argument [nonsense] is unknown."),
        ({**SMS, "to": "abc"}, 400, "Argument [to] has an invalid value: [abc]."),
        ({**SMS, "to": f"{TO} {TO}"}, 400, f"Argument [to] has an invalid value: [{TO} {TO}]."),
        ({**SMS, "to": f"{TO}\n"}, 400, f"Argument [to] has an invalid value: [{TO}\n]."),
        ({**SMS, "coding": "11"}, 400, "Argument [coding] has an invalid value: [11]."),
        ({**SMS, "priority": "5"}, 400, "Argument [priority] has an invalid value: [5]."),
        ({**SMS, "validity-period": "x"}, 400, "Argument [validity-period] has an invalid value: [x]."),
        ({**SMS, "validity-period": "0"}, 400, "Argument [validity-period] has an invalid value: [0]."),
        ({**SMS, "sdt": "x"}, 400, "Argument [sdt] has an invalid value: [x]."),
        ({**SMS, "sdt": "999999999999999+"}, 400, "Argument [sdt] has an invalid value: [999999999999999+]."),
        ({**SMS, "dlr": "maybe"}, 400, "Argument [dlr] has an invalid value: [maybe]."),
        ({**SMS, "dlr-url": "ftp://x"}, 400, "Argument [dlr-url] has an invalid value: [ftp://x]."),
        ({**SMS, "dlr-level": "4"}, 400, "Argument [dlr-level] has an invalid value: [4]."),
        ({**SMS, "dlr-method": "PUT"}, 400, "Argument [dlr-method] has an invalid value: [PUT]."),
        ({**SMS, "tags": "a b"}, 400, "Argument [tags] has an invalid value: [a b]."),
        ({**without("content"), "hex-content": "zz"}, 400, "Invalid hex-content data: 'b'zz''"),
        ({**SMS, "from": "Other"}, 400, "Value filter failed for user [shop] (source_address filter mismatch)."),
        ({**SMS, "from": "x" * 30}, 400, "Value filter failed for user [shop] (source_address filter mismatch)."),
        (
            {**SMS, "to": "07911110001"},
            400,
            "Value filter failed for user [shop] (destination_address filter mismatch).",
        ),
        ({**SMS, "to": "4" * 400}, 400, "Value filter failed for user [shop] (destination_address filter mismatch)."),
        ({**SMS, "content": ""}, 400, "Value filter failed for user [shop] (content filter mismatch)."),
        ({**SMS, "content": "a" * 1600}, 400, "Value filter failed for user [shop] (content filter mismatch)."),
        ({**SMS, "content": "a" * 3000}, 400, "Value filter failed for user [shop] (content filter mismatch)."),
        (
            {**without("content"), "hex-content": "00ff01", "coding": "4"},
            400,
            "Value filter failed for user [shop] (content filter mismatch).",
        ),
    ],
)
def test_refusals(jasmin: GatewayClient, query: dict[str, str], status: int, words: str) -> None:
    response = jasmin.get(query)

    assert answer(response) == (status, f'Error "{words}"')
    assert response.headers["Content-Type"] == "text/plain"
    assert stored() == []


def test_octets_that_are_no_utf8(jasmin: GatewayClient) -> None:
    response = jasmin.get(f"username=shop&password=secret12&to={TO}&content=%e9")

    assert answer(response) == (400, 'Error "The content is not UTF-8."')


def test_who_must_get_nothing(jasmin: GatewayClient) -> None:
    PhoneNumberFactory(number=f"+{TO}", status=PhoneNumber.Status.INACTIVE, reason="unknown", changed_at=timezone.now())

    words = "Value filter failed for user [shop] (destination_address filter mismatch)."
    assert answer(jasmin.get(SMS)) == (400, f'Error "{words}"')
    assert stored() == []


def test_the_limit_is_that_of_the_credential(jasmin: GatewayClient, settings: Any) -> None:
    settings.RATE_LIMIT_PER_TOKEN = "1/h"
    accepted(jasmin.get(SMS))

    assert answer(jasmin.get(SMS)) == (403, 'Error "User throughput exceeded"')
    assert jasmin.get(LOGIN, path="/balance").status_code == 403


def test_the_database_is_unavailable(jasmin: GatewayClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise OperationalError("the connection was lost")

    monkeypatch.setattr("messaging.gateway_http.submission.accept", fail)

    assert answer(jasmin.get(SMS)) == (503, 'Error "Temporarily unavailable, try again later."')


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"content": "Привет é € 👋"}, "Привет é € 👋"),
        ({"content": "a\x00b"}, "ab"),
        ({"hex-content": "041F0440", "coding": "8"}, "Пр"),
        ({"hex-content": "d83ddc4b", "coding": "8"}, "👋"),
        ({"hex-content": "48690565"}, "Hiée"),
        ({"content": b"\xe9", "coding": "3"}, "é"),
        ({"content": "мир".encode("utf-16-be"), "coding": "8"}, "мир"),
    ],
)
def test_texts(jasmin: GatewayClient, query: dict[str, Any], text: str) -> None:
    assert accepted(jasmin.get({**without("content"), **query})).text == text


@pytest.mark.parametrize(
    ("values", "valid_for", "send_in"),
    [
        ({}, 14_400, 0),
        ({"validity-period": "60"}, 3_600, 0),
        ({"validity-period": "99999999999999999999"}, 604_800, 0),
        ({"sdt": "000000001000000R"}, 14_400, 600),
        ({"schedule_delivery_time": "000000001000000R"}, 14_400, 600),
        ({"sdt": "000000001000000R", "validity-period": "60"}, 3_000, 600),
        ({"sdt": "200101000000000+"}, 14_400, 0),
    ],
)
def test_times(jasmin: GatewayClient, values: dict[str, str], valid_for: int, send_in: int) -> None:
    before = timezone.now()

    message = accepted(jasmin.get({**SMS, **values}))

    assert message.valid_for == valid_for
    assert message.status == (Status.SCHEDULED if send_in else Status.QUEUED)
    if send_in:
        assert before <= message.send_at - timedelta(seconds=send_in) <= timezone.now()


@pytest.mark.parametrize(
    ("values", "dialect"),
    [
        ({}, "jasmin:1:POST"),
        ({"dlr": "yes"}, "jasmin:1:POST"),
        ({"dlr": "no"}, "jasmin:1:POST"),  # as Jasmin
        ({"dlr-level": "2"}, "jasmin:2:POST"),
        ({"dlr-level": "3", "dlr-method": "get"}, "jasmin:3:GET"),
    ],
)
def test_receipts(jasmin: GatewayClient, values: dict[str, str], dialect: str) -> None:
    message = accepted(jasmin.get({**SMS, "dlr-url": f"{RECEIVER}?a=%d", **values}))

    assert (message.callback_url, message.callback_dialect) == (f"{RECEIVER}?a=%d", dialect)


def test_receipts_without_an_address(jasmin: GatewayClient) -> None:
    message = accepted(jasmin.get({**SMS, "dlr": "yes", "dlr-level": "3"}))

    assert (message.callback_url, message.callback_dialect) == ("", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8000/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://u:p@client.example.com/",
        "http://client.example.com:6379/",
        f"{RECEIVER}?{'x' * 500}",
    ],
)
def test_addresses_that_are_not_called(jasmin: GatewayClient, url: str) -> None:
    response = jasmin.get({**SMS, "dlr-url": url})

    assert answer(response) == (400, f'Error "Argument [dlr-url] has an invalid value: [{url[:500]}]."')
    assert stored() == []


def test_what_has_no_effect(jasmin: GatewayClient) -> None:
    accepted(jasmin.get({**SMS, "priority": "3", "tags": "a,b", "custom_tlvs": "x"}))


class TestBodies:
    def test_a_form(self, jasmin: GatewayClient) -> None:
        assert accepted(jasmin.post(SMS)).text == "Hello"

    def test_a_form_and_a_query(self, jasmin: GatewayClient) -> None:
        assert accepted(jasmin.post({"content": "form"}, query=without("content"))).text == "form"

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({}, "Hello"),
            ({"coding": 0}, "Hello"),
            ({"coding": "8", "content": "мир"}, "мир"),
            ({"to": int(TO)}, "Hello"),
            ({"custom_tlvs": [[4660, None, "Int4", 1]]}, "Hello"),
            ({"validity-period": 60, "priority": 1}, "Hello"),
        ],
    )
    @pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8"])
    def test_json(self, jasmin: GatewayClient, change: dict[str, Any], text: str, content_type: str) -> None:
        assert accepted(jasmin.post(json.dumps({**SMS, **change}).encode(), content_type)).text == text

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"{}", "Mandatory argument [to] is not found."),
            (b"{", "The body is not valid JSON."),
            (b"[]", "The body is not a JSON object."),
            (b"[" * 60_000, "There are too many arguments."),
            (b"\xff", "The body is not valid JSON."),
            (b'{"to": null}', "Argument [to] has an invalid value: []."),
            (b'{"to": true}', "Argument [to] has an invalid value: []."),
            (b'{"to": {"a": 1}}', "Argument [to] has an invalid value: []."),
            (b'{"content": "\\ud800"}', "Argument [content] has an invalid value: []."),
            (b'{"\\ud800": null}', "Argument [?] has an invalid value: []."),
            (b'{"\\ud800": ""}', "Argument [?] is unknown."),
            (b'{"to": ' + b"9" * 5_000 + b"}", "The body is not valid JSON."),
        ],
    )
    def test_what_is_no_json(self, jasmin: GatewayClient, body: bytes, words: str) -> None:
        assert answer(jasmin.post(body, JSON)) == (400, f'Error "{words}"')

    def test_another_kind(self, jasmin: GatewayClient) -> None:
        response = jasmin.post(b"--x--", "multipart/form-data; boundary=x")

        assert answer(response) == (400, 'Error "Mandatory argument [to] is not found."')

    def test_too_long(self, jasmin: GatewayClient) -> None:
        assert answer(jasmin.post(b"x" * 65_537)) == (413, 'Error "The body is too long."')


class TestQuestions:
    @pytest.mark.parametrize(
        ("path", "query", "status", "body"),
        [
            ("/balance", LOGIN, 200, '{"balance": "ND", "sms_count": "ND"}'),
            ("/balance", {**LOGIN, "password": "wrong"}, 403, '"Authentication failure for username:shop"'),
            ("/balance", {}, 400, '"Mandatory arguments not found, please refer to the HTTPAPI specifications."'),
            ("/balance", {"username": "a"}, 400, '"Mandatory argument [password] is not found."'),
            ("/balance", {**LOGIN, "x": "y"}, 400, '"Argument [x] is unknown."'),
            ("/rate", {**LOGIN, "to": TO}, 200, '{"unit_rate": 0.0, "submit_sm_count": 1}'),
            ("/rate", {**LOGIN, "to": TO, "content": "a" * 400}, 200, '{"unit_rate": 0.0, "submit_sm_count": 3}'),
            ("/rate", {**LOGIN, "to": TO, "password": "x"}, 403, '"Authentication failure for username:shop"'),
            ("/rate", LOGIN, 400, '"Mandatory argument [to] is not found."'),
            ("/rate", {}, 400, '"Mandatory argument [to] is not found."'),
            ("/ping", {}, 200, "Jasmin/PONG"),
        ],
    )
    def test_answers(self, jasmin: GatewayClient, *, path: str, query: dict[str, str], status: int, body: str) -> None:
        for response in (jasmin.get(query, path=path), jasmin.post(query, path=path)):
            assert answer(response) == (status, body)
            assert response.headers["Content-Type"] == ("text/html" if path == "/ping" else "application/json")
        assert stored() == []


def test_limits_throttle_and_a_blocked_prefix_is_refused(jasmin) -> None:
    rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)

    answers = [jasmin.get({**SMS, "to": to}) for to in ("+14155550101", "+14155550101", "+881612345678")]

    assert [each.status_code for each in answers] == [200, 403, 400]
    assert answers[1].content == b'Error "User throughput exceeded"'
    assert Message.objects.count() == 1


def test_beyond_the_budget_the_throughput_is_exceeded(jasmin: GatewayClient, credential: GatewayCredential) -> None:
    budget_changes.create(
        owner=credential.user, country="", period="month", limit=Decimal(1), currency="", now=timezone.now()
    )
    accepted(jasmin.get(SMS))

    assert answer(jasmin.get(SMS)) == (403, 'Error "User throughput exceeded"')
    assert len(stored()) == 1
