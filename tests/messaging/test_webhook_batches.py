"""Several receipts or texts in one request, values in the query, and the response that a provider expects."""

import itertools
import json
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import Message, ProviderCallback, Suppression
from messaging.services.inbound import receive
from providers import callback_tokens, registry
from providers.backends.generic_http import GenericHttpBackend
from providers.contract.callbacks import CallbackResponse
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.generated import examples
from tests.messaging.api.conftest import assert_problem
from tests.messaging.test_webhooks import client

__all__ = ["client"]
pytestmark = pytest.mark.django_db
PERSON, OURS = "+14155550101", "+15005550006"


@pytest.fixture
def account():
    config = {
        "url": "http://127.0.0.1:9/",
        "status": {"list": "results"},
        "inbound": {"list": "results"},
    }
    return AccountFactory(slug="acme", config=config)


@pytest.fixture
def query_account():
    return AccountFactory(slug="acme", config={"url": "http://127.0.0.1:9/"})


def accepted(account, pmid: str):
    message = MessageFactory(sent=True, provider=account, provider_message_id=pmid)
    return AttemptFactory(message=message, provider=account, provider_message_id=pmid)


def address(kind: str = "status", attempt_id: object = "", **values: str) -> str:
    token = callback_tokens.make(slug="acme", attempt_id=str(attempt_id), keys=registry.callback_keys())
    return f"/webhooks/acme/{kind}/?{urlencode({'token': token, **values})}"


def post(client: Client, results: object, kind: str = "status"):
    return client.generic("POST", address(kind), json.dumps({"results": results}), content_type="application/json")


def receipt(pmid: object, status: object = "delivered") -> dict[str, object]:
    return {"message_id": pmid, "status": status}


def text(number: int, message: str = "Hello", sender: str = PERSON) -> dict[str, str]:
    return {"from": sender, "to": OURS, "message": message, "id": f"in-{number}"}


def statuses() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("status", flat=True))


class TestReceipts:
    @pytest.mark.parametrize(
        ("results", "status", "result"),
        [
            ([receipt("p1"), receipt("p2")], 200, "applied"),
            ([receipt("p1", "odd"), receipt("p2")], 200, "applied"),
            ([receipt("p1", "odd"), receipt("p2", "odd")], 200, "ignored"),
            ([receipt("p1"), receipt("p3")], 202, "kept"),
        ],
    )
    def test_the_response_is_about_all(self, client, account, results, status: int, result: str) -> None:
        accepted(account, "p1")
        accepted(account, "p2")

        responses = [post(client, results) for _ in range(2)]

        assert [(each.status_code, each.json()) for each in responses[:1]] == [(status, {"result": result})]
        assert {each.status_code for each in responses} == {status}
        assert ProviderCallback.objects.count() == 2
        delivered = sum(each["status"] == "delivered" and each["message_id"] in {"p1", "p2"} for each in results)
        assert statuses().count("delivered") == delivered

    def test_one_that_cannot_be_read_keeps_the_whole_body_unused(self, client, account) -> None:
        accepted(account, "p1")

        assert_problem(post(client, [receipt("p1"), {"message_id": "p2"}]), 400, "parse_error")

        assert statuses() == ["sent"]
        assert ProviderCallback.objects.values_list("state", flat=True).get() == "malformed"

    def test_a_provider_gets_the_response_that_it_expects_once_all_is_stored(
        self, client, account, monkeypatch
    ) -> None:
        expected = CallbackResponse("text/plain", "ACK/Jasmin", 201)
        monkeypatch.setattr(GenericHttpBackend, "status_response", expected)
        accepted(account, "p1")

        response = post(client, [receipt("p1"), receipt("p2")])

        assert (response.status_code, response.content) == (201, b"ACK/Jasmin")
        assert response.headers["Content-Type"] == "text/plain"
        assert ProviderCallback.objects.count() == 2
        assert_problem(post(client, "nothing"), 400, "parse_error")


class TestTexts:
    def test_each_is_stored_and_a_stop_takes_effect(self, client, account, broker) -> None:
        texts = [text(1), text(2, "STOP"), text(3, sender="+14155550102")]

        for _ in range(2):
            response = post(client, texts, "inbound")
            assert (response.status_code, response.json()) == (200, {"result": "stored"})

        assert sorted(Message.objects.values_list("provider_message_id", flat=True)) == ["in-1", "in-2", "in-3"]
        assert Suppression.objects.values_list("number", flat=True).get() == PERSON
        assert broker.inbound_notifications[0] == "messaging.process_inbound"

    def test_the_order_of_one_senders_texts_is_kept(self, client, account) -> None:
        post(client, [text(1, "STOP"), text(2, sender="+14155550102"), text(3, "START")], "inbound")

        assert not Suppression.objects.exists()

    @pytest.mark.parametrize("bad", [{"to": OURS, "message": "x"}, text(9, "a\x00b")], ids=["no sender", "a NUL"])
    def test_one_that_cannot_be_stored_keeps_the_whole_body_unused(self, client, account, broker, bad) -> None:
        assert_problem(post(client, [text(1), text(2, "STOP"), bad], "inbound"), 400, "parse_error")

        assert not Message.objects.exists()
        assert not Suppression.objects.exists()
        kept = ProviderCallback.objects.get()
        assert (kept.kind, kept.state) == ("inbound", "malformed")
        assert "STOP" in kept.body
        assert broker.inbound_notifications == []

    def test_none_is_stored_if_storing_one_fails(self, client, account, broker, monkeypatch) -> None:
        store = receive.receive_from_provider

        def fail_for_the_second(*, incoming, **options: object) -> object:
            if incoming.provider_message_id == "in-2":
                raise RuntimeError
            return store(incoming=incoming, **options)

        monkeypatch.setattr(receive, "receive_from_provider", fail_for_the_second)

        assert_problem(post(client, [text(1, "STOP"), text(2)], "inbound"), 500, "server_error")

        assert not Message.objects.exists()
        assert not Suppression.objects.exists()
        assert broker.inbound_notifications == []

    def test_a_provider_gets_the_response_that_it_expects(self, client, account, monkeypatch) -> None:
        monkeypatch.setattr(GenericHttpBackend, "inbound_response", CallbackResponse("text/plain", "OK", 202))

        response = post(client, [text(1)], "inbound")

        assert (response.status_code, response.content) == (202, b"OK")


class TestQueries:
    def test_a_receipt_comes_in_the_query(self, client, query_account) -> None:
        attempt = accepted(query_account, "p1")

        for _ in range(2):
            response = client.get(address(**receipt("p1")))
            assert (response.status_code, response.json()["result"]) == (200, "applied")

        attempt.message.refresh_from_db()
        assert attempt.message.status == "delivered"
        assert ProviderCallback.objects.values_list("body", flat=True).get() == "message_id=p1&status=delivered"

    def test_two_queries_are_two_receipts(self, client, query_account) -> None:
        for pmid in ("p1", "p2"):
            accepted(query_account, pmid)
            client.get(address(**receipt(pmid)))

        assert statuses() == ["delivered", "delivered"]

    def test_octets_that_are_no_text_are_kept_as_they_came(self, client, query_account) -> None:
        for octet in ("%FE", "%FF"):
            client.get(f"{address(**receipt('p1'))}&answer={octet}")

        assert set(ProviderCallback.objects.values_list("body", flat=True)) == {
            f"message_id=p1&status=delivered&answer={octet}" for octet in ("%FE", "%FF")
        }

    def test_a_query_that_cannot_be_read_is_kept(self, client, query_account) -> None:
        assert_problem(client.get(address(message_id="p1")), 400, "parse_error")

        kept = ProviderCallback.objects.get()
        assert (kept.state, kept.body) == ("malformed", "message_id=p1")

    def test_the_values_in_query_and_body_are_both_kept(self, client, query_account) -> None:
        accepted(query_account, "p1")

        client.generic("POST", address(message_id="p1"), b'{"status": "delivered"}', content_type="application/json")

        assert statuses() == ["delivered"]
        assert ProviderCallback.objects.values_list("body", flat=True).get() == 'message_id=p1\n{"status": "delivered"}'

    def test_a_text_comes_in_the_query(self, client, query_account, broker) -> None:
        response = client.get(address("inbound", **text(1, "STOP")))

        assert (response.status_code, response.json()) == (200, {"result": "stored"})
        assert Message.objects.get().text == "STOP"
        assert Suppression.objects.get().number == PERSON

    @pytest.mark.parametrize("kind", ["status", "inbound"])
    def test_head_changes_nothing(self, client, query_account, kind: str) -> None:
        accepted(query_account, "p1")

        assert client.head(address(kind, **receipt("p1"), **text(1))).status_code == 405

        assert statuses() == ["sent"]
        assert not ProviderCallback.objects.exists()

    def test_a_receipt_at_its_address_needs_no_id(self, client, query_account) -> None:
        attempt = accepted(query_account, "p1")

        assert client.get(address(attempt_id=attempt.pk, status="delivered")).status_code == 200

        assert statuses() == ["delivered"]

    def test_a_receipt_that_names_nothing_is_malformed(self, client, query_account) -> None:
        accepted(query_account, "p1")

        assert_problem(client.get(address(status="delivered")), 400, "parse_error")

        assert statuses() == ["sent"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no read-only transactions")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["status", "inbound"])
def test_a_read_only_database_is_our_failure(client, account, kind: str) -> None:
    results = [receipt("p1")] if kind == "status" else [text(1)]
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    try:
        assert_problem(post(client, results, kind), 503, "unavailable")
    finally:
        connection.close()

    assert not ProviderCallback.objects.exists()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.sampled_from(["p0", "p1", "p2"]),
    st.just("x" * 200),
)
ENTRIES = st.one_of(
    st.builds(receipt, st.sampled_from(["p0", "p1", "p2", "other"]), st.sampled_from(["delivered", "failed", "odd"])),
    st.builds(receipt, VALUES, VALUES),
    VALUES,
)
numbers = itertools.count()


@given(st.one_of(st.lists(ENTRIES, max_size=6), ENTRIES))
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_receipt_of_any_body_is_lost_or_half_used(client, results) -> None:
    slug = f"carrier-{next(numbers)}"
    account = AccountFactory(slug=slug, config={"url": "http://127.0.0.1:9/", "status": {"list": "results"}})
    attempts = {pmid: accepted(account, pmid) for pmid in ("p0", "p1", "p2")}
    token = callback_tokens.make(slug=slug, attempt_id="", keys=registry.callback_keys())
    path, body = f"/webhooks/{slug}/status/?{urlencode({'token': token})}", json.dumps({"results": results})

    codes = [client.generic("POST", path, body, content_type="application/json").status_code for _ in range(2)]

    rows = ProviderCallback.objects.filter(provider=account)
    states = list(rows.order_by("pk").values_list("state", flat=True))
    if codes[0] == 400:
        assert states == ["malformed"]
        assert {_status(attempt) for attempt in attempts.values()} == {"sent"}
    else:
        entries = results if isinstance(results, list) else [results]
        assert codes[0] == (202 if "unmatched" in states else 200)
        assert len(states) == len(entries)
        assert "malformed" not in states
        for pmid, attempt in attempts.items():
            reported = [each["status"] for each in entries if each["message_id"] == pmid]
            expected = "delivered" if "delivered" in reported else "undelivered" if "failed" in reported else "sent"
            assert _status(attempt) == expected
    assert codes[1] == codes[0]


def _status(attempt) -> str:
    attempt.message.refresh_from_db(fields=["status"])
    return attempt.message.status
