"""Unknown messages are settled by querying the provider; nothing is sent."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from messaging.models import DeliveryAttempt, Message, ProviderCallback
from messaging.services.outbound import reconciliation
from tests.contract.fake_carrier import FakeCarrier, answer, hang_up
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory, lose_the_key

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        carrier.play = answer(200, {"message_id": "c1", "status": "delivered"})
        yield carrier


@pytest.fixture
def account(carrier: FakeCarrier):
    url = f"{carrier.url}/texts"
    return AccountFactory(slug="acme", config={"url": url, "status_url": f"{url}/{{id}}", "headers": {"X-Who": "us"}})


def unknown(account, **values) -> Message:
    message = MessageFactory(status="unknown", attempts=1, provider=account)
    AttemptFactory(message=message, provider=account, outcome="unknown", **values)
    return message


def ask(after: timedelta = MINUTE) -> int:
    return reconciliation.reconcile(clock=lambda: NOW + after)


def test_a_message_that_the_provider_delivered_becomes_delivered(account, carrier) -> None:
    message = unknown(account)

    assert ask() == 1

    message.refresh_from_db()
    assert (message.status, message.provider_message_id, message.delivered_at) == ("delivered", "c1", NOW + MINUTE)
    [request] = carrier.received
    assert (request.method, request.target) == ("GET", f"/texts/{message.pk}")
    assert request.headers["x-who"] == "us"
    kept = ProviderCallback.objects.get()
    assert (kept.state, kept.message, kept.word) == ("applied", message, "delivered")
    assert json.loads(kept.body)["looked_up"] == str(DeliveryAttempt.objects.get().pk)
    assert [event.source for event in message.events.all()] == ["receipt"]


def test_an_unreadable_text_is_skipped(account, carrier) -> None:
    lost, other = unknown(account), unknown(account)
    lose_the_key(lost)

    assert ask() == 1

    assert [request.target for request in carrier.received] == [f"/texts/{other.pk}"]
    lost.refresh_from_db(fields=["status"])
    assert lost.status == "unknown"


@pytest.mark.parametrize(
    ("word", "status"), [("progress", "sent"), ("failed", "undelivered"), ("strange", "unknown")], ids=str
)
def test_statuses_are_applied_as_those_of_receipts(account, carrier, word: str, status: str) -> None:
    account.config["status"] = {"values": {"progress": "progress", "failed": "undelivered"}}
    account.save()
    carrier.play = answer(200, {"message_id": "c1", "status": word})
    message = unknown(account)

    ask()

    message.refresh_from_db()
    assert message.status == status


@pytest.mark.parametrize(
    "play",
    [
        answer(404),
        answer(500),
        answer(401),
        answer(200, b"<html>"),
        answer(200, {"status": "delivered"}),
        answer(200, {"message_id": "c1"}),
        answer(200, []),
        hang_up,
    ],
)
def test_an_inconclusive_response_changes_nothing(account, carrier, play) -> None:
    carrier.play = play
    message = unknown(account)

    assert ask() == 0

    message.refresh_from_db()
    assert (message.status, message.attempts) == ("unknown", 1)
    assert not ProviderCallback.objects.exists()


def test_a_message_is_queried_five_times_and_then_left_to_an_operator(account, carrier) -> None:
    carrier.play = answer(404)
    unknown(account)

    asked = []
    for minutes in (*range(40), *range(110, 130), *range(710, 730), *range(1430, 1500)):
        before = len(carrier.received)
        ask(timedelta(minutes=minutes))
        if len(carrier.received) > before:
            asked.append(minutes)

    assert asked == [1, 5, 30, 120, 720]


def test_two_concurrent_sweeps_query_once(account, carrier, monkeypatch) -> None:
    unknown(account)
    real, nested = reconciliation._due, []

    def due(slugs, now):
        found = real(slugs, now)
        if not nested:
            nested.append(True)
            ask()
        return found

    monkeypatch.setattr(reconciliation, "_due", due)
    ask()

    assert len(carrier.received) == 1


@pytest.mark.parametrize("status", ["sent", "delivered", "failed", "queued"])
def test_only_unknown_messages_are_queried(account, carrier, status: str) -> None:
    message = unknown(account)
    Message.objects.filter(pk=message.pk).update(status=status, delivered_at=NOW)

    assert ask() == 0
    assert carrier.received == []


def test_an_account_without_a_status_url_is_not_queried(account, carrier) -> None:
    del account.config["status_url"]
    account.save()
    unknown(account)

    assert ask() == 0
    assert carrier.received == []


def test_an_account_without_a_status_lookup_is_left_out(account, carrier, send_only) -> None:
    other, message = unknown(send_only), unknown(account)

    assert ask() == 1

    assert [request.target for request in carrier.received] == [f"/texts/{message.pk}"]
    other.refresh_from_db()
    assert other.status == "unknown"


def test_another_messages_id_settles_nothing(account) -> None:
    other = MessageFactory(sent=True, provider=account, provider_message_id="c1")
    AttemptFactory(message=other, provider=account, provider_message_id="c1")
    message = unknown(account)

    assert ask() == 0

    other.refresh_from_db()
    message.refresh_from_db()
    assert (other.status, message.status) == ("sent", "unknown")


def test_a_sweep_is_bounded(account, carrier, monkeypatch) -> None:
    monkeypatch.setattr(reconciliation, "MAX_QUERIES", 2)
    carrier.play = answer(404)
    for _ in range(3):
        unknown(account)

    ask()
    assert len(carrier.received) == 2
    ask()
    assert len(carrier.received) == 3
