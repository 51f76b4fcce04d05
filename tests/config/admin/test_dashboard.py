"""The dashboard: correct figures, constant cost, and live updates."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.admin import dashboard
from messaging.models import OptOutCase
from messaging.services import transitions
from messaging.services.reporting import heartbeats
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from providers.errors import Refused
from providers.models import ProviderAccount
from providers.state import account_state
from providers.state.account_state import CallResult
from scheduling.models import ScheduleRun
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, SenderFactory
from tests.messaging.admin.conftest import Staff
from tests.scheduling.making import create

pytestmark = pytest.mark.django_db
MAX_QUERIES = 20


@pytest.fixture
def alive() -> None:
    heartbeats.tick()
    heartbeats.record_worker("one")


def record_messages(status: Status, *, at=NOW, provider: str = "", count: int = 1) -> None:
    account = ProviderAccount.objects.filter(pk=provider).first() or AccountFactory(slug=provider) if provider else None
    counters = CounterBatch()
    for _ in range(count):
        message = MessageFactory.build(
            status=status, provider=account, owner=None, queue=None, created_at=at, sent_at=at
        )
        counters.moved(message, Status.SENDING, now=at)
    counters.write()


def titles(now=NOW) -> list[str]:
    return [concern.title for concern in dashboard.read(now=now).concerns]


def test_the_chart_counts_by_hour_and_by_day() -> None:
    record_messages(Status.DELIVERED, count=3)
    record_messages(Status.FAILED, at=NOW - timedelta(hours=5))
    record_messages(Status.DELIVERED, at=NOW - timedelta(hours=24))
    record_messages(Status.DELIVERED, at=NOW - timedelta(days=29))
    record_messages(Status.DELIVERED, at=NOW - timedelta(days=30))

    chart = dashboard.read(now=NOW).chart

    assert (chart["hours"]["labels"][0], chart["hours"]["labels"][-1], len(chart["hours"]["labels"])) == (
        "10:00",
        "09:00",
        24,
    )
    assert chart["hours"]["series"]["delivered"] == [0] * 23 + [3]
    assert chart["hours"]["series"]["failed"] == [0] * 18 + [1] + [0] * 5
    assert (chart["days"]["labels"][0], chart["days"]["labels"][-1]) == ("24 Oct", "22 Nov")
    assert chart["days"]["series"]["delivered"] == [1] + [0] * 27 + [1, 3]


def test_a_provider_has_its_rate_and_its_time() -> None:
    record_messages(Status.DELIVERED, provider="acme", count=3)
    record_messages(Status.UNDELIVERED, provider="acme")

    [card] = dashboard.read(now=NOW).providers

    assert (card["account"].slug, card["delivery_percent"], card["ended"]) == ("acme", "75.0", 4)


def test_queues_have_their_depth_and_their_oldest() -> None:
    paced = QueueFactory(paced=True)
    MessageFactory(queue=paced, created_at=NOW - timedelta(hours=1))
    MessageFactory(queue=paced)
    QueueFactory()

    express, second = dashboard.read(now=NOW).queues

    assert (express.queue.name, express.depth, express.oldest) == ("express", 0, None)
    assert (second.queue.name, second.depth, second.oldest) == ("paced", 2, NOW - timedelta(hours=1))


@pytest.mark.usefixtures("alive")
class TestAttention:
    def test_no_concerns(self) -> None:
        AccountFactory()

        assert titles() == []

    def test_no_provider(self) -> None:
        AccountFactory(is_enabled=False), AccountFactory(weight=0)

        assert titles() == ["No provider can be used"]

    def test_an_account_that_refuses_nearly_all_recipients(self) -> None:
        AccountFactory(slug="acme")
        results = [CallResult("acme", Refused("no"), 5, recipient=f"+1415555{number:04d}") for number in range(20)]
        account_state.record(results, now=NOW)

        [card] = dashboard.read(now=NOW).providers

        health = card["health"]
        assert (health.state, health.effective_weight) == ("refuses many", "100")
        assert (health.error_rate, health.refusal_rate) == ("0.0 %", "100.0 %")
        assert titles() == ["acme: refuses many"]

    def test_unknown_messages(self) -> None:
        AccountFactory()
        message = MessageFactory(sending=True)
        transitions.apply([Transition(message, Status.UNKNOWN, Source.DISPATCH)], now=NOW)

        assert titles() == ["1 unknown"]

    def test_opt_out_cases(self) -> None:
        AccountFactory()
        values = {"senders": [""], "opened_at": NOW - timedelta(days=20)}
        OptOutCase.objects.create(number="+14155550101", due_at=NOW + timedelta(days=1), **values)
        assert titles() == ["1 opt-out case to decide"]

        OptOutCase.objects.create(number="+14155550102", due_at=NOW - timedelta(days=1), **values)
        assert titles() == ["2 opt-out cases to decide, 1 overdue"]

    def test_a_us_sender_whose_reply_to_help_names_nobody(self, settings) -> None:
        AccountFactory()
        SenderFactory(number="+14155550101")
        assert titles() == ["The reply to HELP names no brand or contact"]

        settings.MESSAGE_BRAND, settings.MESSAGE_CONTACT = "Acme", "acme.example/help"
        assert titles() == []

    def test_messages_that_are_stuck(self) -> None:
        AccountFactory()
        MessageFactory(sending=True, lease_until=NOW - timedelta(minutes=2))
        MessageFactory(queue=QueueFactory(name="slow"), created_at=NOW - timedelta(minutes=6))
        MessageFactory(queue=QueueFactory(paced=True), created_at=NOW - timedelta(hours=6))
        MessageFactory(queue=QueueFactory(name="held", is_paused=True), created_at=NOW - timedelta(hours=6))

        assert titles() == ["1 stuck while being sent", "A message has waited too long", "Queue held is paused"]

    def test_missed_runs_of_the_last_day(self, express, owner) -> None:
        AccountFactory()
        schedule = create(owner)
        for hours in (1, 30):
            due = NOW - timedelta(hours=hours)
            ScheduleRun.objects.create(schedule=schedule, due_at=due, status=ScheduleRun.Status.MISSED)

        assert titles() == ["Reminder missed a run"]


def test_missing_processes_are_reported() -> None:
    AccountFactory()

    assert titles() == ["Beat is not running", "No worker is running"]


def test_it_costs_the_same_for_one_row_and_for_many(admin: Client, express, owner) -> None:
    costs = []
    for more in (1, 9):
        for number in range(more):
            record_messages(Status.DELIVERED, provider=f"acme{more}{number}", at=NOW - timedelta(hours=number))
            MessageFactory(queue=QueueFactory(name=f"q{more}{number}"), created_at=NOW - timedelta(days=1))
            create(owner)
        admin.get("/admin/")
        with CaptureQueriesContext(connection) as queries:
            page = admin.get("/admin/")
        assert page.status_code == 200
        costs.append(len(queries))

    assert costs[0] == costs[1]
    assert costs[0] < MAX_QUERIES


def test_updates_have_the_same_parts_as_the_page(admin: Client) -> None:
    AccountFactory(slug="acme")

    page, update = admin.get("/admin/"), admin.get("/admin/live/")

    assert set(update.json()) == {"chart", "top", "rest"}
    assert "acme" in update.json()["rest"]
    assert "acme" in page.content.decode()
    assert "no-store" in update.headers["Cache-Control"]


def test_figures_require_the_permission_to_view_messages(staff: Staff) -> None:
    client = staff("messaging.view_outboundqueue")

    assert client.get("/admin/live/").status_code == 403
    assert "Your role has no access to the figures" in client.get("/admin/").content.decode()
    assert Client().get("/admin/live/").status_code == 302


def test_past_days_are_read_once_and_the_last_two_each_time() -> None:
    record_messages(Status.DELIVERED, at=NOW - timedelta(days=2))
    record_messages(Status.DELIVERED, at=NOW - timedelta(days=1))
    first = dashboard.read(now=NOW).chart
    record_messages(Status.DELIVERED, at=NOW - timedelta(days=1))

    with CaptureQueriesContext(connection) as queries:
        second = dashboard.read(now=NOW).chart

    assert first["days"]["series"]["delivered"][-3:] == [1, 1, 0]
    assert second["days"]["series"]["delivered"][-3:] == [1, 2, 0]
    assert len([query for query in queries if query["sql"].startswith("SELECT hour, word")]) == 1
    assert dashboard.read(now=NOW + timedelta(days=1)).chart["days"]["series"]["delivered"][-4:] == [1, 2, 0, 0]
