"""Concurrent workers and slow endpoints."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from messaging.models import WebhookDelivery
from messaging.services.webhooks import Deliverer, secrets
from messaging.services.webhooks.claim import claim
from providers.http.transport import HttpResponse
from tests.factories import NOW, ClientEventFactory, EndpointFactory, MessageFactory
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SLOW, QUICK = "https://slow.example.com/", "https://quick.example.com/"


class Receivers:
    """Calls to `SLOW` block until `release`; others return at once."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.lock = threading.Lock()
        self.calls: list[tuple[str, str]] = []
        self.slow_now = self.slow_most = 0
        self.quick_done = threading.Event()
        self.quick_wanted = 0

    def call(self, method: str, url: str, *, headers: dict[str, str], **_: object) -> HttpResponse:
        with self.lock:
            self.calls.append((url, headers["webhook-id"]))
            if url == SLOW:
                self.slow_now += 1
                self.slow_most = max(self.slow_most, self.slow_now)
            elif sum(called == QUICK for called, _ in self.calls) >= self.quick_wanted:
                self.quick_done.set()
        if url == SLOW:
            assert self.release.wait(30)
            with self.lock:
                self.slow_now -= 1
        return HttpResponse(200, {}, b"")


def endpoint(url: str, owner=None):
    row = EndpointFactory(url=url, **({"owner": owner} if owner else {}))
    secrets.rotate(owner_id=row.owner_id, endpoint=row, now=NOW)
    return row


def closing(function: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        try:
            return function()
        finally:
            connection.close()

    return run


def test_one_slow_endpoint_delays_no_other() -> None:
    slow = endpoint(SLOW)
    quick = endpoint(QUICK, slow.owner)
    message = MessageFactory(owner=slow.owner)
    for _ in range(20):
        ClientEventFactory(message=message)
    receivers = Receivers()
    receivers.quick_wanted = 40
    deliverer = Deliverer(receivers, concurrency=8, clock=lambda: NOW)  # type: ignore[arg-type]
    first = threading.Thread(target=closing(deliverer.run))
    first.start()
    for _ in range(20):  # while all calls in flight are slow
        ClientEventFactory(message=message)

    assert deliverer.run() == 0  # the run in progress checks again
    assert receivers.quick_done.wait(20)
    assert receivers.slow_most == 4
    receivers.release.set()
    first.join(30)

    assert Counter(url for url, _ in receivers.calls) == {SLOW: 40, QUICK: 40}
    assert Counter(WebhookDelivery.objects.values_list("endpoint", "state")) == {
        (slow.pk, "succeeded"): 40,
        (quick.pk, "succeeded"): 40,
    }


def test_workers_at_once_claim_each_delivery_once() -> None:
    rows = [endpoint(f"https://client{index}.example.com/") for index in range(6)]
    for row in rows:
        message = MessageFactory(owner=row.owner)
        for _ in range(5):
            ClientEventFactory(message=message)
    receivers = Receivers()
    deliverers = [Deliverer(receivers, clock=lambda: NOW) for _ in range(3)]  # type: ignore[arg-type]

    made = at_once([deliverer.run for deliverer in deliverers])

    assert sum(made) == 30
    assert Counter(Counter(receivers.calls).values()) == {1: 30}
    assert set(WebhookDelivery.objects.values_list("state", "attempts")) == {("succeeded", 1)}


def test_claims_at_once_share_what_is_due() -> None:
    row = endpoint(QUICK)
    message = MessageFactory(owner=row.owner)
    for _ in range(3):
        ClientEventFactory(message=message)
    Deliverer(Receivers(), clock=lambda: NOW - timedelta(days=1))._claim({})  # type: ignore[arg-type]
    WebhookDelivery.objects.update(
        state="pending", claim_id=None, lease_until=None, next_attempt_at=NOW - timedelta(seconds=1)
    )

    claims = at_once([lambda: claim(limit=32, in_flight=(), now=NOW, lease=timedelta(seconds=60))] * 4)

    assert Counter(job.delivery_id for jobs in claims for job in jobs) == dict.fromkeys(
        WebhookDelivery.objects.values_list("pk", flat=True), 1
    )


def test_a_stop_lets_the_calls_in_flight_end() -> None:
    slow = endpoint(SLOW)
    message = MessageFactory(owner=slow.owner)
    for _ in range(10):
        ClientEventFactory(message=message)
    receivers = Receivers()
    deliverer = Deliverer(receivers, clock=lambda: NOW)  # type: ignore[arg-type]
    running = threading.Thread(target=closing(deliverer.run))
    running.start()
    while receivers.slow_now < 4:
        running.join(0.01)

    deliverer.stop()
    receivers.release.set()
    running.join(30)

    assert Counter(WebhookDelivery.objects.values_list("state", flat=True)) == {"succeeded": 4, "pending": 6}
    assert deliverer.run() == 0
