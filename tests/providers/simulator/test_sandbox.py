"""The sandbox behaves as its documentation says, over real HTTP."""

import threading
from typing import Any

import phonenumbers
import pytest

from providers.simulator.carrier import Sandbox
from providers.simulator.magic_numbers import MAGIC_NUMBERS
from providers.simulator.smpp.server import SmppCarrierServer
from tests.providers.simulator.conftest import App, Client


def test_every_magic_number_is_a_number_that_can_be_dialled() -> None:
    for number in MAGIC_NUMBERS:
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))


@pytest.mark.parametrize("carrier", ["provider1", "provider2"])
def test_an_ordinary_number_is_accepted_and_delivered(client: Client, app: App, carrier: str) -> None:
    status, answer = client.send(carrier, callback_url=app.url)

    assert (status, list(answer)) == (200, ["message_id"])
    assert app.wait_for(1) == [{"status": "delivered", "message_id": answer["message_id"]}]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("+15005559901", ["failed"]),
        ("+15005559902", ["invalid"]),
        ("+15005559906", ["delivered", "delivered"]),
        ("+15005559908", ["delivered", "failed"]),
    ],
)
def test_a_magic_number_has_its_receipts_in_order(client: Client, app: App, number: str, words: list[str]) -> None:
    _status, answer = client.send(to=number, callback_url=app.url)

    received = app.wait_for(len(words))
    assert [receipt["status"] for receipt in received] == words
    assert {receipt["message_id"] for receipt in received} == {answer["message_id"]}


def test_one_number_is_refused_by_both_carriers(client: Client) -> None:
    answers = [client.send(carrier, to="+15005559903") for carrier in ("provider1", "provider2", "provider1")]

    assert answers == [(500, {"error": "this number always fails"})] * 3
    _status, log = client.call("GET", "/_log")
    assert log["accepted"] == []
    assert [entry["carrier"] for entry in log["refused"]] == ["provider1", "provider2", "provider1"]


def test_one_number_is_refused_once_for_each_message(client: Client) -> None:
    sent = [
        client.send(carrier, to="+15005559904", reference=reference)[0]
        for carrier, reference in [("provider1", "a"), ("provider2", "a"), ("provider2", "b"), ("provider1", "b")]
    ]

    assert sent == [500, 200, 500, 200]


def test_the_hanging_number_is_answered_late_and_has_no_receipt(client: Client, app: App) -> None:
    client.pool.connection_pool_kw["timeout"] = 0.1

    with pytest.raises(Exception, match="Read timed out"):
        client.send(to="+15005559905", reference="a", callback_url=app.url)

    client.pool.connection_pool_kw["timeout"] = 5
    _status, log = client.call("GET", "/_log")
    assert [entry["reference"] for entry in log["accepted"]] == ["a"]
    assert pending(client) == 0


def test_one_number_has_no_receipt(client: Client, app: App) -> None:
    status, _answer = client.send(to="+15005559909", callback_url=app.url)

    assert (status, pending(client), app.received) == (200, 0, [])


def test_the_receipt_of_one_number_comes_before_the_response(client: Client, app: App) -> None:
    _status, answer = client.send(to="+15005559907", callback_url=app.url)

    assert app.received == [{"status": "delivered", "message_id": answer["message_id"]}]


def test_without_a_callback_address_there_is_no_receipt(client: Client) -> None:
    client.send()

    assert pending(client) == 0


def test_a_receipt_that_is_not_accepted_is_posted_again(client: Client, app: App) -> None:
    app.answers = [503, 429]

    client.send(callback_url=app.url)

    assert [receipt["status"] for receipt in app.wait_for(1)] == ["delivered"]


@pytest.mark.parametrize(("answers", "outcome"), [([403], "refused"), ([500, 500, 500], "given_up")])
def test_a_receipt_is_not_posted_for_ever(
    client: Client, sandbox: Sandbox, app: App, answers: list[int], outcome: str
) -> None:
    app.answers = list(answers)

    client.send(callback_url=app.url)

    with app.changed:
        assert app.changed.wait_for(lambda: not app.answers, timeout=5)
    sandbox.receipts.close()
    assert sandbox.receipts.counts() == {"posted": 0, "refused": 0, "given_up": 0, "pending": 0, outcome: 1}
    assert app.received == []


def test_the_request_log_can_be_read_from_an_index_on(client: Client) -> None:
    client.send(reference="a")
    _status, first = client.call("GET", "/_log")
    client.send("provider2", reference="b")

    _status, rest = client.call("GET", f"/_log?since={first['next']}")

    assert [entry["reference"] for entry in first["accepted"]] == ["a"]
    assert [(entry["carrier"], entry["reference"], entry["to"]) for entry in rest["accepted"]] == [
        ("provider2", "b", "+14155550123")
    ]
    assert "hello" not in str(first)


def test_a_cleared_request_log_continues_its_numbering(client: Client) -> None:
    client.send(reference="a")
    client.call("DELETE", "/_log")
    client.send(reference="b")

    _status, log = client.call("GET", "/_log")

    assert [(entry["reference"], entry["index"]) for entry in log["accepted"]] == [("b", 1)]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_carrier_can_be_made_to_fail_while_it_runs(client: Client, method: str) -> None:
    client.call(method, "/_settings", {"provider1": {"failure_rate": 1.0}})

    assert (client.send("provider1")[0], client.send("provider2")[0]) == (500, 200)

    client.call(method, "/_settings", {"provider1": {"failure_rate": 0}})

    assert client.send("provider1")[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"provider3": {}},
        {"provider1": 5},
        {"provider1": {"failure_rate": 2}},
        {"provider1": {"failure_rate": "1"}},
        {"provider1": {"failure_rate": True}},
        {"provider1": {"latency_ms": -1}},
        {"provider1": {"unknown": 1}},
        {"provider2": {"failure_rate": 0.5}, "provider1": {"unknown": 1}},
    ],
)
def test_settings_that_make_no_sense_change_nothing(client: Client, changes: Any) -> None:
    _status, before = client.call("GET", "/_settings")

    status, answer = client.call("PATCH", "/_settings", changes)

    assert (status, list(answer)) == (400, ["error"])
    assert client.call("GET", "/_settings") == (200, before)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        {"message": "a"},
        {"to_number": "+1"},
        {"to_number": 1, "message": "a"},
        {"to_number": "+1", "message": "a", "callback_url": "file:///etc/passwd"},
    ],
)
def test_an_invalid_call_is_refused(client: Client, body: Any) -> None:
    status, answer = client.call("POST", "/provider1", body)

    assert (status, list(answer)) == (400, ["error"])


def test_an_unknown_address_is_not_found(client: Client) -> None:
    assert client.call("GET", "/nowhere")[0] == 404
    assert client.call("POST", "/provider3", {"to_number": "+1"})[0] == 404


def test_many_calls_at_once_are_all_accepted(client: Client) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.extend(client.send()[1]["message_id"] for _ in range(10)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 160


def test_the_smpp_carrier_has_its_settings_and_counts_beside_the_others(
    client: Client, smpp: SmppCarrierServer
) -> None:
    status, settings = client.call("PATCH", "/_settings", {"smpp": {"response_ids": "decimal", "throttle_rate": 0.5}})
    _status, health = client.call("GET", "/healthz")

    assert (status, set(settings)) == (200, {"provider1", "provider2", "smpp"})
    assert (settings["smpp"]["response_ids"], settings["smpp"]["throttle_rate"]) == ("decimal", 0.5)
    assert health["smpp"] == {
        "sessions": 0,
        "incomplete": 0,
        "receipts": {"posted": 0, "refused": 0, "pending": 0},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"smpp": 5},
        {"smpp": {"response_ids": "octal"}},
        {"smpp": {"response_ids": []}},
        {"smpp": {"throttle_rate": 2}},
        {"smpp": {"failure_rate": True}},
        {"smpp": {"close_at": ""}},
        {"smpp": {"unknown": 1}},
        {"provider1": {"failure_rate": 0.5}, "smpp": {"unknown": 1}},
        {"smpp": {"failure_rate": 0.5}, "provider1": {"unknown": 1}},
    ],
)
def test_settings_of_the_smpp_carrier_that_make_no_sense_change_nothing(
    client: Client, smpp: SmppCarrierServer, changes: Any
) -> None:
    _status, before = client.call("GET", "/_settings")

    status, answer = client.call("PATCH", "/_settings", changes)

    assert (status, list(answer)) == (400, ["error"])
    assert client.call("GET", "/_settings") == (200, before)


def test_a_reply_waits_for_a_receiver(client: Client, smpp: SmppCarrierServer) -> None:
    reply = {"from": "+14155550123", "to": "+15005550006", "message": "STOP"}

    assert client.call("POST", "/_replies", reply) == (200, {})
    assert client.call("GET", "/healthz")[1]["smpp"]["receipts"]["pending"] == 1


@pytest.mark.parametrize("missing", ["from", "to", "message"])
def test_a_reply_without_a_field_or_with_an_impossible_number_is_refused(
    client: Client, smpp: SmppCarrierServer, missing: str
) -> None:
    reply = {"from": "+14155550123", "to": "+15005550006", "message": "STOP"}
    del reply[missing]

    assert client.call("POST", "/_replies", reply)[0] == 400
    assert client.call("POST", "/_replies", {**reply, missing: "STOP", "to": "1" * 30})[0] == 400
    assert client.call("GET", "/healthz")[1]["smpp"]["receipts"]["pending"] == 0


def test_all_links_of_the_smpp_carrier_can_be_closed(client: Client, smpp: SmppCarrierServer) -> None:
    assert client.call("DELETE", "/_links") == (200, {"closed": 0})


@pytest.mark.parametrize(("method", "path"), [("POST", "/_replies"), ("DELETE", "/_links")])
def test_without_the_smpp_carrier_its_addresses_say_so(client: Client, method: str, path: str) -> None:
    reply = {"from": "+14155550123", "to": "+15005550006", "message": "STOP"}

    status, answer = client.call(method, path, reply)

    assert (status, answer) == (400, {"error": "the SMPP carrier was not started (--smpp-port)"})


def pending(client: Client) -> int:
    return client.call("GET", "/healthz")[1]["receipts"]["pending"]


def test_the_inbox_has_the_accepted_texts_newest_first(client: Client) -> None:
    client.send("provider1", to="+14155550101", message="first")
    client.send("provider2", to="+14155550102", message="second")
    client.send("provider1", to="+15005559903", message="refused")
    client.send("provider1", to="+14155550101", message="third")

    _status, all_texts = client.call("GET", "/_inbox")
    _status, of_one = client.call("GET", "/_inbox?to=%2B14155550101")
    _status, unescaped = client.call("GET", "/_inbox?to=+14155550101")

    assert [text["message"] for text in all_texts["texts"]] == ["third", "second", "first"]
    assert [text["message"] for text in of_one["texts"]] == ["third", "first"]
    assert unescaped == of_one
