"""Carriers as they really are: errors inside a 200, refusals, lists of receipts, ids and numbers in other forms."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from providers import callback_tokens
from tests.journeys.carrier import Answer, Carrier, ReceivedCall
from tests.journeys.client import Client, Message
from tests.journeys.stack import Stack

# Each account serves one country, so that the number decides which one is called.
BRITISH, GERMAN, FRENCH, MEXICAN = "+4479111", "+4915112", "+3361234", "+52551234"
DIGITS = {BRITISH: 5, GERMAN: 6, FRENCH: 4, MEXICAN: 4}
FIELDS = {"from": "from", "callback_url": "callback_url", "id": "reference", "valid_for": "ttl"}
ACCOUNTS: dict[str, dict[str, Any]] = {
    # Two accounts for Britain: what the first refuses goes to the second.
    "first": {"allowed_prefixes": ["+44", "+52"], "number_format": "digits", "from_number": "+447700900123"},
    "second": {"allowed_prefixes": ["+44", "+52"], "number_format": "digits"},
    "batches": {
        "allowed_prefixes": ["+49"],
        "from_number": "+491700000001",
        "answer": [{"path": "messages.0.status", "in": ["4"], "outcome": "credentials"}],
        "status": {"list": "results"},
        "inbound": {"list": "results"},
        "default_country": "DE",
    },
    "plain": {"allowed_prefixes": ["+33"], "from_number": "+33700000001"},
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OUR_ID = "our own id"


_numbers = itertools.count(1)


def new(country: str) -> str:
    """A number that no other test sends to."""
    return f"{country}{next(_numbers):0{DIGITS[country]}}"


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    with Carrier() as playing:
        yield playing


@pytest.fixture(scope="module")
def stack(carrier: Carrier) -> Iterator[Stack]:
    with Stack() as running:
        for slug in ("sandbox1", "sandbox2"):
            running.manage("upsert_provider", slug, "--disable")
        for slug, config in ACCOUNTS.items():
            complete = {"url": f"{carrier.url}/{slug}", "fields": FIELDS, **config}
            running.manage(
                *("upsert_provider", slug, "--backend", "generic_http", "--config-file", "-"),
                standard_input=json.dumps(complete),
            )
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(autouse=True)
def _plain_answers(carrier: Carrier) -> Iterator[None]:
    yield
    carrier.answer = carrier.accept


@pytest.fixture
def sent(client: Client, carrier: Carrier) -> Callable[..., tuple[Message, str]]:
    """Sends to a number; returns the message once it is `sent`, and its callback address."""

    def send(to: str, text: str = "Your code is 123456", message_id: str = "") -> tuple[Message, str]:
        if message_id:
            carrier.answer = lambda _call: (200, {"message_id": message_id})
        message = client.wait_for(client.send(to, text)["id"], "sent")
        [call] = calls_for(carrier, message["id"])
        return message, call.content["callback_url"]

    return send


def calls_for(carrier: Carrier, message_id: str) -> list[ReceivedCall]:
    return [call for call in carrier.calls if call.content["reference"] == message_id]


def address(stack: Stack, slug: str, kind: str) -> str:
    """The account's own address, whose token names no message."""
    token = callback_tokens.make(slug=slug, attempt_id="", keys=(stack.environment["SECRET_KEY"],))
    return stack.url(f"/webhooks/{slug}/{kind}/?{urlencode({'token': token})}")


def state(client: Client, slug: str) -> dict[str, Any]:
    [account] = [each for each in client.get("providers/")["results"] if each["slug"] == slug]
    return account


# --- what a response means -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "answer", "code"),
    [
        (FRENCH, (200, b"ERROR:14"), "no_message_id"),
        (FRENCH, (200, {"success": False}), "no_message_id"),
        (FRENCH, (201, {"statusCode": 403, "message_id": "None"}), "no_message_id"),
        (BRITISH, (502, b"<html>Bad Gateway</html>"), "outcome_unknown"),
        (BRITISH, (504, b""), "outcome_unknown"),
    ],
)
def test_an_answer_that_may_hide_an_acceptance_or_an_error_is_unknown_and_nobody_else_is_called(
    client: Client, carrier: Carrier, country: str, answer: Answer, code: str
) -> None:
    carrier.answer = lambda _call: answer

    message = client.wait_for(client.send(new(country))["id"], "unknown")

    assert message["error"]["code"] == code
    assert len(calls_for(carrier, message["id"])) == 1


def test_an_error_inside_a_200_is_what_the_accounts_rule_says(client: Client, carrier: Carrier, stack: Stack) -> None:
    carrier.answer = lambda _call: (200, {"messages": [{"status": "4", "error-text": "bad credentials"}]})

    message_id = client.send(new(GERMAN))["id"]
    stack.wait_until(lambda: client.attempts(message_id) != [])
    stack.wait_until(lambda: client.attempts(message_id)[0]["outcome"] == "unavailable")

    assert client.attempts(message_id)[0]["error"]["code"] == "provider_credentials_refused"
    client.post(f"messages/{message_id}/cancel/", {})
    client.post("providers/batches/reset/", {"reason": "test"})


def test_refused_recipients_fail_at_once_and_the_others_flow(client: Client, carrier: Carrier) -> None:
    bad = [new(BRITISH).removeprefix("+") for _ in range(6)]
    carrier.answer = lambda call: (400, b"no such number") if call.content["to"] in bad else carrier.accept(call)

    refused = [client.send(f"+{number}")["id"] for number in bad]
    failed = [client.wait_for(message_id, "failed", seconds=10) for message_id in refused]
    good = client.wait_for(client.send(new(BRITISH))["id"], "sent", seconds=10)

    assert {message["error"]["code"] for message in failed} == {"provider_refused"}
    assert [len(calls_for(carrier, message_id)) for message_id in refused] == [2] * 6  # each account once
    assert [state(client, slug)["circuit"]["state"] for slug in ("first", "second")] == ["closed", "closed"]
    assert good["attempts"] == 1


def test_the_validity_that_is_left_is_handed_over(client: Client, carrier: Carrier) -> None:
    message = client.wait_for(client.send(new(FRENCH), valid_for=60)["id"], "sent")

    [call] = calls_for(carrier, message["id"])
    assert 30 <= call.content["ttl"] <= 60


def test_numbers_go_out_in_the_accounts_notation(client: Client, carrier: Carrier, sent: Callable) -> None:
    message, _ = sent(new(BRITISH))

    [call] = calls_for(carrier, message["id"])
    assert call.content["to"] == message["to"].removeprefix("+")


# --- receipts ------------------------------------------------------------------------------------------------------------


def test_every_receipt_of_a_body_counts(client: Client, stack: Stack, sent: Callable) -> None:
    messages = [sent(new(GERMAN))[0] for _ in range(2)]
    results = [{"message_id": message["provider_message_id"], "status": "delivered"} for message in messages]

    posted = [
        requests.post(address(stack, "batches", "status"), json={"results": results}, timeout=10) for _ in range(2)
    ]

    assert [answer.status_code for answer in posted] == [200, 200]
    assert [client.message(message["id"])["status"] for message in messages] == ["delivered", "delivered"]


def test_a_body_that_can_only_be_read_in_half_is_refused_and_changes_nothing(
    client: Client, stack: Stack, sent: Callable
) -> None:
    message, _ = sent(new(GERMAN))
    results = [{"message_id": message["provider_message_id"], "status": "delivered"}, {"status": "delivered"}]

    answer = requests.post(address(stack, "batches", "status"), json={"results": results}, timeout=10)

    assert answer.status_code == 400
    assert client.message(message["id"])["status"] == "sent"


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ("0x1a2b", "6699"),
        ("6700", "1A2C"),
        ("abc-def", "ABC-DEF"),
        ("000123", "123"),
        ("p1", "another-parts-id"),
        ("p2", None),
        ("p3", OUR_ID),
    ],
)
def test_a_receipt_at_the_messages_own_address_is_matched_whatever_its_id(
    client: Client, sent: Callable, given: str, reported: str | None
) -> None:
    message, url = sent(new(FRENCH), message_id=given)
    named = message["id"] if reported == OUR_ID else reported

    answer = requests.post(url, json={"message_id": named, "status": "delivered"}, timeout=10)

    assert (answer.status_code, answer.json()) == (200, {"result": "applied"})
    assert client.message(message["id"])["status"] == "delivered"


@pytest.mark.parametrize(
    ("given", "reported"), [("0x2a2b", "10795"), ("16700", "413C"), ("Ab-1", "aB-1"), ("007", "7")]
)
def test_an_id_in_another_form_is_matched_at_the_accounts_address(
    client: Client, sent: Callable, given: str, reported: str
) -> None:
    message, _ = sent(new(FRENCH), message_id=given)
    url = address(client.stack, "plain", "status")

    requests.post(url, json={"message_id": reported, "status": "delivered"}, timeout=10)

    assert client.message(message["id"])["status"] == "delivered"


def test_an_id_that_is_used_again_moves_no_other_message(client: Client, sent: Callable) -> None:
    first, _ = sent(new(FRENCH), message_id="again")
    second, second_url = sent(new(FRENCH), message_id="again")

    requests.post(second_url, json={"message_id": "again", "status": "delivered"}, timeout=10)

    assert [client.message(each["id"])["status"] for each in (first, second)] == ["sent", "delivered"]


@pytest.mark.parametrize("words", [("delivered", "failed"), ("failed", "delivered")])
def test_a_text_of_two_parts_is_undelivered_when_one_part_is_in_whatever_order(
    client: Client, sent: Callable, words: tuple[str, str]
) -> None:
    message, url = sent(new(FRENCH), "long " * 40)

    for word in words:
        assert requests.post(url, json={"status": word}, timeout=10).status_code == 200

    assert message["segments"] == 2
    assert client.message(message["id"])["status"] == "undelivered"


def test_a_receipt_is_read_as_it_says_by_post_and_by_get(client: Client, sent: Callable) -> None:
    (by_form, form_url), (by_get, get_url) = sent(new(FRENCH)), sent(new(FRENCH))

    posted = requests.post(form_url, data="status=delivered", headers=FORM, timeout=10)
    got = requests.get(get_url, params={"status": "delivered"}, timeout=10)

    assert [posted.status_code, got.status_code] == [200, 200]
    assert [client.message(each["id"])["status"] for each in (by_form, by_get)] == ["delivered", "delivered"]


# --- replies -------------------------------------------------------------------------------------------------------------


def bring(stack: Stack, slug: str, content: Any) -> None:
    answer = requests.post(address(stack, slug, "inbound"), json=content, timeout=10)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("country", "notation"),
    [
        (BRITISH, "{digits}"),
        (BRITISH, "00{digits}"),
        (BRITISH, "+{digits}"),
        (GERMAN, "0{national}"),
        (MEXICAN, "521{national}"),
    ],
)
@pytest.mark.parametrize("names_us", [True, False])
def test_a_stop_in_the_carriers_notation_stops_the_person_who_wrote_it(
    client: Client, carrier: Carrier, country: str, notation: str, names_us: bool
) -> None:
    to = new(country)
    message = client.wait_for(client.send(to)["id"], "sent")
    [call] = calls_for(carrier, message["id"])
    reply = {"from": notation.format(digits=to[1:], national=to[3:]), "message": "STOP"}
    if names_us:
        reply["to"] = call.content["from"]

    slug = call.path.strip("/")
    bring(client.stack, slug, {"results": [reply]} if slug == "batches" else reply)

    answer = client.post("messages/", {"to": to, "message": "hello"})
    assert (answer.status_code, answer.json()["code"]) == (409, "recipient_opted_out")


def test_every_reply_of_a_body_counts(client: Client, stack: Stack, sent: Callable) -> None:
    people = [new(GERMAN) for _ in range(2)]
    for person in people:
        sent(person)

    bring(
        stack, "batches", {"results": [{"from": person, "to": "+491700000001", "message": "STOP"} for person in people]}
    )

    assert [client.get("suppressions/", number=person)["count"] for person in people] == [1, 1]


def test_a_fault_of_one_picture_costs_no_text(client: Client, stack: Stack, sent: Callable) -> None:
    message, _ = sent(new(FRENCH))
    media = ["ftp://carrier.example/a.jpg", "https://carrier.example/" + "x" * 3000, {"url": 1}]

    bring(stack, "plain", {"from": message["to"], "to": message["from"], "message": "STOP", "media": media})

    answer = client.post("messages/", {"to": message["to"], "message": "hello"})
    assert answer.json()["code"] == "recipient_opted_out"


@pytest.mark.parametrize("national", ["9195550101", "6465593995"])
def test_a_national_number_is_not_taken_for_one_of_another_country(
    client: Client, stack: Stack, carrier: Carrier, national: str
) -> None:
    bring(stack, "plain", {"from": national, "to": "+33700000001", "message": "HELP"})

    client.wait_until_none_is(["queued", "sending"])
    assert not [call for call in carrier.calls if national in call.content["to"]]
    assert client.session.get(stack.url(f"phone-numbers/+{national}/"), timeout=10).status_code == 404


# --- what is refused at the door -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["+15550101", "+441111", "+495550"])
def test_a_number_that_is_possible_only_within_a_town_is_refused(client: Client, to: str) -> None:
    answer = client.post("messages/", {"to": to, "message": "hello"})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "impossible_number")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"url": "https://carrier.example/", "headers": {"X-Api-Key": {"env": "SECRET_KEY"}}}, "SECRET_KEY"),
        ({"url": "https://carrier.example/", "fields": {"to": "message.to"}}, "body"),
    ],
)
def test_an_account_that_would_leak_or_lie_is_refused_in_one_line(
    stack: Stack, config: dict[str, Any], named: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        stack.manage("upsert_provider", "leak", "--backend", "generic_http", "--config", json.dumps(config))

    assert "exit code 1" in str(caught.value)
    assert named in str(caught.value)


# --- order per recipient -------------------------------------------------------------------------------------------------


def test_a_text_that_waits_for_an_account_does_not_hold_the_next_one(
    client: Client, carrier: Carrier, stack: Stack
) -> None:
    refusals: list[ReceivedCall] = []

    def refuse_the_first(call: ReceivedCall) -> Answer:
        if call.content["message"] == "first":
            refusals.append(call)
            return 503, {"error": "later"}
        return carrier.accept(call)

    carrier.answer = refuse_the_first
    to = new(FRENCH)
    first = client.send(to, "first")["id"]
    stack.wait_until(lambda: client.attempts(first) != [] and client.message(first)["status"] == "queued")
    stack.wait_until(lambda: len(refusals) >= 2)  # its next round is half a minute away

    second = client.wait_for(client.send(to, "second")["id"], "sent", seconds=10)

    assert second["attempts"] == 1
    client.post(f"messages/{first}/cancel/", {})
