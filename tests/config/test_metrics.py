"""The metrics for Prometheus, and access to them."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import ConnectionError as RedisConnectionError

from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle
from messaging.services.outbound.submit import MessageInput, submit_many
from messaging.services.reporting import heartbeats, rollups
from providers.errors import RecipientInvalid, Refused
from providers.models import SmppBind
from providers.state import account_state, circuit_breaker
from providers.state.account_state import CallResult
from tests.factories import NOW as TODAY
from tests.factories import AccountFactory, GatewayReceiptFactory, GatewayTextFactory, QueueFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of

pytestmark = pytest.mark.django_db
NOW = TODAY - timedelta(days=1)
TOKEN = "prometheus-may-read-this"
OBSERVABILITY = Path(settings.BASE_DIR) / "docs" / "observability"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture
def sent() -> None:
    """Three messages: `acme` accepted one and refused one; the third was not sent yet."""
    QueueFactory()
    AccountFactory(slug="acme")
    drafts = [MessageInput(to=f"+1415555000{place}", text="hello", valid_for=14_400) for place in range(3)]
    submit_many(owner=UserFactory(), drafts=drafts, default_queue="express", now=NOW)
    calls = start_attempts(claim(queue_name="express", limit=2, now=NOW, lease=LEASE), now=NOW, lease=LEASE)
    settle([result_of(calls[0]), result_of(calls[1], RecipientInvalid("no"))], now=NOW, lease=LEASE, position=float)


def scrape(client: Client, **extra: Any) -> dict[tuple, float]:
    """Name and labels (as sorted pairs) → value."""
    response = client.get("/metrics", **extra)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


@pytest.mark.parametrize("folded", [False, True])
def test_counters_are_those_of_the_database(client: Client, sent, folded: bool) -> None:
    if folded:
        rollups.compact()

    found = scrape(client)

    status, outcome = "switchboard_message_statuses_total", "switchboard_attempts_total"
    assert found["switchboard_messages_accepted_total", ("direction", "outbound")] == 3
    assert found["switchboard_messages_accepted_total", ("direction", "inbound")] == 0
    assert found[status, ("provider", ""), ("status", "queued")] == 3
    assert found[status, ("provider", "acme"), ("status", "sent")] == 1
    assert found[status, ("provider", "acme"), ("status", "failed")] == 1
    assert found[outcome, ("outcome", "accepted"), ("provider", "acme")] == 1
    assert found[outcome, ("outcome", "rejected"), ("provider", "acme")] == 1
    assert {key[1][1]: value for key, value in found.items() if key[0] == "switchboard_messages" and value} == {
        "queued": 1,
        "sent": 1,
        "failed": 1,
    }
    assert found["switchboard_queue_depth", ("queue", "express")] == 1
    assert found["switchboard_queue_oldest_seconds", ("queue", "express")] > 0


def test_circuits(client: Client, sent) -> None:
    assert circuit_breaker.hold_open("acme", reason="maintenance", now=0.0)
    account_state.invalidate()

    found = scrape(client)

    states = {key[2][1]: value for key, value in found.items() if key[0] == "switchboard_circuit"}
    assert states == {"closed": 0, "open": 1, "half_open": 0}


def test_accounts_that_refuse_nearly_all_recipients(client: Client, sent) -> None:
    AccountFactory(slug="other")
    results = [CallResult("acme", Refused("no"), 5, recipient=f"+1415555{number:04d}") for number in range(20)]
    account_state.record(results, now=timezone.now())

    found = scrape(client)

    name = "switchboard_provider_refuses_many"
    assert (found[name, ("provider", "acme")], found[name, ("provider", "other")]) == (1, 0)


def test_histograms_are_cumulative(client: Client, sent) -> None:
    found = scrape(client)

    name = "switchboard_provider_call_seconds"
    buckets = [value for key, value in found.items() if key[0] == f"{name}_bucket"]
    assert buckets == [2.0] * len(rollups.BUCKETS)
    assert found[f"{name}_count", ("provider", "acme")] == 2
    assert found[f"{name}_sum", ("provider", "acme")] == 0.014


def test_signs_of_life(client: Client) -> None:
    assert str(scrape(client)["switchboard_seconds_since_tick",]) == "nan"

    heartbeats.tick()
    heartbeats.record_worker("host:1")
    found = scrape(client)

    assert found["switchboard_seconds_since_tick",] < 5
    assert (found["switchboard_ticks_total",], found["switchboard_workers",]) == (1, 1)


@pytest.mark.parametrize("source", ["database", "redis"])
def test_an_unavailable_source_does_not_stop_the_others(client: Client, sent, monkeypatch, source: str) -> None:
    targets = {
        "database": ("config.metrics.statistics.totals", OperationalError("password=hunter2")),
        "redis": ("config.metrics.heartbeats.ticks", RedisConnectionError("redis://:hunter2@host")),
    }
    target, error = targets[source]

    def away() -> None:
        raise error

    monkeypatch.setattr(target, away)

    found = scrape(client)
    up = {key[1][1]: value for key, value in found.items() if key[0] == "switchboard_source_up"}
    assert up == {"database": 1, "redis": 1, "circuits": 1} | {source: 0}
    assert (("switchboard_workers",) in found) is (source == "database")
    assert (("switchboard_queue_depth", ("queue", "express")) in found) is (source == "redis")


def test_smpp_binds_have_the_state_that_their_connector_reports(client: Client) -> None:
    now = timezone.now()
    account = AccountFactory(slug="carrier", backend="smpp")
    lease = {"account": account, "state": "bound", "in_flight": 3}
    SmppBind.objects.create(number=1, holder="a", lease_until=now + timedelta(seconds=30), **lease)
    SmppBind.objects.create(number=2, holder="dead", lease_until=now - timedelta(seconds=1), **lease)

    found = scrape(client)

    states = {
        tuple(dict(key[1:]).values()) for key, value in found.items() if key[0] == "switchboard_smpp_bind" and value
    }
    assert states == {("1", "carrier", "bound"), ("2", "carrier", "unbound")}
    in_flight = [value for key, value in found.items() if key[0] == "switchboard_smpp_in_flight"]
    assert in_flight == [3, 0]


def test_what_smpp_clients_have_not_taken_is_counted_by_state(client: Client) -> None:
    GatewayTextFactory.create_batch(2)
    GatewayReceiptFactory(due=True)

    found = scrape(client)

    states = ("pending", "sending")
    assert [found["switchboard_smpp_texts", ("state", state)] for state in states] == [2, 0]
    assert [found["switchboard_smpp_receipts", ("state", state)] for state in states] == [1, 0]


def test_every_metric_has_a_help_a_type_and_few_labels(client: Client, sent) -> None:
    families = list(text_string_to_metric_families(client.get("/metrics").content.decode()))

    assert len(families) >= 14
    assert all(family.documentation.endswith(".") and family.type in SUFFIXES for family in families)
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert labels == {"direction", "provider", "status", "outcome", "le", "queue", "source", "state", "bind"}


@pytest.mark.parametrize("size", [1, 20])
def test_a_scrape_costs_the_same_queries_whatever_there_is(
    client: Client, size: int, django_assert_num_queries
) -> None:
    QueueFactory.create_batch(2)
    for place in range(size):
        AccountFactory()
        draft = MessageInput(to=f"+1415555{place:04d}", text="hello", valid_for=14_400)
        submit_many(owner=UserFactory(), drafts=[draft], default_queue="express", now=NOW)

    with django_assert_num_queries(16):
        client.get("/metrics")


def test_open_metrics_on_request(client: Client) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.content.endswith(b"# EOF\n")


class TestWhoMayRead:
    @pytest.fixture(autouse=True)
    def _token(self, settings) -> None:
        settings.METRICS_TOKEN = TOKEN

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
    def test_this_machine_may(self, client: Client, address: str) -> None:
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200

    @pytest.mark.parametrize("address", ["203.0.113.7", "10.0.0.1", "", "nonsense"])
    def test_others_may_not(self, client: Client, address: str) -> None:
        response = client.get("/metrics", REMOTE_ADDR=address)

        assert response.status_code == 403
        assert b"switchboard" not in response.content

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
    def test_others_with_the_token_may(self, client: Client, scheme: str) -> None:
        response = client.get("/metrics", REMOTE_ADDR="203.0.113.7", headers={"Authorization": f"{scheme} {TOKEN}"})

        assert response.status_code == 200

    @pytest.mark.parametrize("given", ["Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer ", TOKEN, "Bearer tökén"])
    def test_a_wrong_token_is_none(self, client: Client, given: str) -> None:
        response = client.get("/metrics", REMOTE_ADDR="203.0.113.7", HTTP_AUTHORIZATION=given)

        assert response.status_code == 403

    def test_no_token_that_is_set_is_matched_by_none(self, client: Client, settings) -> None:
        settings.METRICS_TOKEN = ""

        response = client.get("/metrics", REMOTE_ADDR="203.0.113.7", headers={"Authorization": "Bearer "})

        assert response.status_code == 403

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip"])
    @pytest.mark.parametrize("proxies", [0, 1, 2])
    def test_the_world_behind_a_proxy_on_this_machine_may_not(
        self, client: Client, settings, header: str, proxies: int
    ) -> None:
        settings.TRUSTED_PROXY_COUNT = proxies

        response = client.get("/metrics", REMOTE_ADDR="127.0.0.1", headers={header: "127.0.0.1"})

        assert response.status_code == 403

    def test_writing_methods_are_refused(self) -> None:
        assert Client(enforce_csrf_checks=True).post("/metrics").status_code == 405


class TestFiles:
    """The dashboard and the alerts query existing metrics."""

    @pytest.fixture
    def known(self, client: Client, sent) -> set[str]:
        families = text_string_to_metric_families(client.get("/metrics").content.decode())
        return {f"{family.name}{suffix}" for family in families for suffix in SUFFIXES[family.type]}

    @staticmethod
    def asked(expressions: list[str]) -> set[str]:
        return {name for text in expressions for name in re.findall(r"\bswitchboard_\w+", text)}

    def test_the_dashboard(self, known) -> None:
        panels = json.loads((OBSERVABILITY / "grafana.json").read_text())["panels"]

        names = self.asked([target["expr"] for panel in panels for target in panel["targets"]])
        assert len(names) >= 12
        assert names - known == set()

    def test_the_alerts(self, known) -> None:
        [group] = yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"]

        assert all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in group["rules"])
        names = self.asked([rule["expr"] for rule in group["rules"]])
        assert len(names) >= 8
        assert names - known == set()
