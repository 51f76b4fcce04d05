"""The endpoints for liveness, readiness and the health of the system."""

import time
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.utils import timezone

from messaging.services.reporting import heartbeats
from providers.state import redis_client
from scheduling import zone_data
from tests.factories import AccountFactory, MessageFactory, QueueFactory

pytestmark = pytest.mark.django_db
ZONE_DATA = {"release": f"{timezone.now().year}a", "warning": None}
FINE = dict.fromkeys(("database", "broker", "beat", "workers", "oldest_due", "smpp", "routing"), "ok")
READY = dict.fromkeys(("database", "broker"), "ok")


@pytest.fixture(autouse=True)
def _beating() -> None:
    heartbeats.tick()
    heartbeats.record_worker("host:1")


@pytest.fixture(autouse=True)
def _young_zone_data(monkeypatch) -> None:
    monkeypatch.setattr(zone_data, "RELEASE", ZONE_DATA["release"])


def assert_unhealthy(client: Client, **wrong: str) -> None:
    """Each process stays ready while its database and broker respond."""
    assert_system(client, **wrong)
    assert_readiness(client, **{name: wrong.get(name, "ok") for name in READY})


def assert_system(client: Client, **wrong: str) -> None:
    response = client.get("/healthz/system")

    assert response.status_code == 503
    assert response.json() == {"status": "unhealthy", "checks": FINE | wrong, "tzdata": ZONE_DATA}


def assert_readiness(client: Client, query: str = "", **checks: str) -> None:
    response = client.get(f"/readyz{query}")

    is_ready = set(checks.values()) <= {"ok"}
    assert response.status_code == (200 if is_ready else 503)
    assert response.json() == {"status": "ready" if is_ready else "not ready", "checks": checks}


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/readyz", {"status": "ready", "checks": READY}),
        ("/healthz/system", {"status": "healthy", "checks": FINE, "tzdata": ZONE_DATA}),
    ],
)
def test_all_checks_pass(client: Client, method: str, path: str, answer: dict) -> None:
    response = getattr(client, method)(path)

    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]
    if method == "get":
        assert response.json() == answer


def test_outdated_zone_data_is_a_warning_and_no_fault(client: Client, monkeypatch) -> None:
    monkeypatch.setattr(zone_data, "RELEASE", "2025b")

    response = client.get("/healthz/system")

    assert response.status_code == 200
    assert response.json()["tzdata"] == {
        "release": "2025b",
        "warning": "tzdata 2025b is older than a year: raise its pin in requirements.txt and upgrade",
    }


def test_healthz_needs_neither_database_nor_redis(client: Client, no_redis, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/healthz", "/healthz/system", "/readyz"])
def test_a_probe_over_http_is_not_redirected(client: Client, settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/healthz/system", "/readyz"])
def test_writing_methods_are_refused(path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path)

    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError], ids=lambda error: error.__name__)
def test_an_unavailable_database(client: Client, monkeypatch, error: type[Exception]) -> None:
    def away() -> None:
        raise error("password=hunter2")

    monkeypatch.setattr("config.health.pacing.queues_to_dispatch", away)

    unknown = "unknown: the database is unavailable"
    assert_unhealthy(client, database=f"failed: {error.__name__}", oldest_due=unknown, smpp=unknown)


def test_an_smpp_account_without_a_bind(client: Client) -> None:
    AccountFactory(slug="carrier", backend="smpp")
    AccountFactory(slug="off", backend="smpp", is_enabled=False)

    assert_unhealthy(client, smpp="carrier: no connector (run_smpp) runs")


def test_an_unavailable_broker(client: Client, no_redis) -> None:
    unknown = "unknown: the broker is unavailable"
    degraded = "degraded: by the configured weights, without circuits and limits"
    assert_system(client, broker="failed: ConnectionError", beat=unknown, workers=unknown, routing=degraded)
    assert_readiness(client, database="ok", broker="failed: RedisUnavailable")  # not queried again at once
    assert_readiness(client, "?exclude=broker", database="ok")


def test_an_unknown_check_cannot_be_excluded(client: Client) -> None:
    assert_readiness(client, "?exclude=brokr", database="ok", broker="ok", brokr="there is no such check")


def test_workers_that_are_silent(client: Client) -> None:
    heartbeats.remove_worker("host:1")

    assert_unhealthy(client, workers="no worker heartbeat for 30 s")


def test_a_beat_that_never_came(client: Client) -> None:
    redis_client.client().delete(heartbeats.TICK_KEY)

    assert_unhealthy(client, beat="no tick yet: beat or the workers are not running")


def test_a_beat_that_has_stopped(client: Client) -> None:
    redis_client.client().set(heartbeats.TICK_KEY, time.time() - 100)

    assert_unhealthy(client, beat="the last tick was 100 s ago")


def test_a_message_that_waits_too_long(client: Client) -> None:
    MessageFactory(created_at=timezone.now() - timedelta(seconds=400))

    assert_unhealthy(client, oldest_due="a message has been due for 400 s")


def test_messages_to_a_dead_number_are_no_fault_of_the_system(client: Client) -> None:
    """The first is tried again soon, the others wait for the first."""
    now = timezone.now()
    made = {"to_number": "+15005559903", "created_at": now - timedelta(seconds=400)}
    MessageFactory(**made, attempts=4, next_attempt_at=now + timedelta(seconds=9))
    MessageFactory.create_batch(7, **made)

    assert client.get("/healthz/system").status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("queue", [{"paced": True}, {"name": "held", "is_paused": True}], ids=["paced", "paused"])
def test_a_queue_that_may_wait_is_no_fault(client: Client, queue) -> None:
    MessageFactory(created_at=timezone.now() - timedelta(days=1), queue=QueueFactory(**queue))

    assert client.get("/healthz/system").status_code == 200
