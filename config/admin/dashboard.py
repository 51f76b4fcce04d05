"""What the console's first page tells at a glance. Every figure is from rollups, partial indexes or Redis.

So the page costs the same at ten thousand and at ten million messages; the number of its queries does not depend on
how many queues, providers and schedules there are.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.timesince import timesince
from redis.exceptions import RedisError

from messaging.models import Message, OutboundQueue
from messaging.services.outbound import pacing, queues
from messaging.services.reporting import heartbeats, statistics
from messaging.services.reporting.statistics import HourlyCount, ProviderDelivery
from messaging.states import DELIVERY_OUTCOMES, OUTBOUND_ENDINGS, UNSENT, Status
from providers import health_summary
from providers.models import ProviderAccount
from scheduling.models import Schedule, ScheduleRun

HOURS, DAYS = 24, 30
SERIES = (*OUTBOUND_ENDINGS, Status.SENT, Status.RECEIVED)
BEAT_SILENT_SECONDS = 30.0
# A message of a queue without a pace that has waited so long is stuck; so is one whose worker's claim ended so long ago.
WAITED_TOO_LONG = timedelta(minutes=5)
CLAIM_ENDED_LONG_AGO = timedelta(minutes=1)
MISSED_WITHIN = timedelta(days=1)
RUNS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person. `tone` is `bad`, `warn` or `info`."""

    tone: str
    title: str
    detail: str
    link: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    queue: OutboundQueue
    depth: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    now: datetime
    chart: dict[str, Any]
    figures: list[dict[str, Any]]
    queues: list[QueueRow]
    providers: list[dict[str, Any]]
    concerns: list[Concern]
    runs: list[Schedule]


def read(*, now: datetime) -> Dashboard:
    hourly = statistics.hourly(since=now - timedelta(days=DAYS - 1, hours=now.hour))
    current = statistics.current()
    queue_rows = _queues()
    accounts = _providers(now)
    return Dashboard(
        now=now,
        chart={"hours": _by_hour(hourly, now), "days": _by_day(hourly, now)},
        figures=_figures(hourly, current, now),
        queues=queue_rows,
        providers=accounts,
        concerns=_concerns(current, queue_rows, accounts, now),
        runs=_next_runs(),
    )


# --- The chart --------------------------------------------------------------------------------------------------------


def _by_hour(hourly: list[HourlyCount], now: datetime) -> dict[str, Any]:
    newest = now.replace(minute=0, second=0, microsecond=0)
    slots = [newest - timedelta(hours=age) for age in range(HOURS - 1, -1, -1)]
    counts = {(row.hour, row.status): row.count for row in hourly}
    return _series([f"{slot:%H:00}" for slot in slots], slots, counts)


def _by_day(hourly: list[HourlyCount], now: datetime) -> dict[str, Any]:
    slots = [now.date() - timedelta(days=age) for age in range(DAYS - 1, -1, -1)]
    counts: dict[tuple, int] = defaultdict(int)
    for row in hourly:
        counts[row.hour.date(), row.status] += row.count
    return _series([f"{slot:%d %b}" for slot in slots], slots, counts)


def _series(labels: list[str], slots: list, counts: dict[tuple, int]) -> dict[str, Any]:
    return {
        "labels": labels,
        "series": {status.value: [counts.get((slot, status), 0) for slot in slots] for status in SERIES},
    }


def _figures(hourly: list[HourlyCount], current: dict[Status, int], now: datetime) -> list[dict[str, Any]]:
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    day: dict[Status, int] = defaultdict(int)
    for row in hourly:
        if row.hour >= start:
            day[row.status] += row.count
    ended = sum(day[status] for status in DELIVERY_OUTCOMES)
    rate = f"{100 * day[Status.DELIVERED] / ended:.1f} %" if ended else "-"
    waiting = sum(current[status] for status in UNSENT)
    return [
        {"title": "Delivered in 24 h", "value": f"{day[Status.DELIVERED]:,}", "note": f"{rate} of what ended"},
        {"title": "Waiting now", "value": f"{waiting:,}", "note": f"{current[Status.SCHEDULED]:,} for a later time"},
        {
            "title": "Failed in 24 h",
            "value": f"{day[Status.FAILED] + day[Status.UNDELIVERED]:,}",
            "note": f"{day[Status.UNDELIVERED]:,} came back undelivered",
        },
        {"title": "Received in 24 h", "value": f"{day[Status.RECEIVED]:,}", "note": "texts from people"},
    ]


# --- Queues, providers, schedules -------------------------------------------------------------------------------------


def _queues() -> list[QueueRow]:
    rows = list(OutboundQueue.objects.order_by("name"))
    names = [row.name for row in rows]
    depths, oldest = queues.depths(names), queues.oldest_queued(names)
    return [QueueRow(row, depths[row.name], oldest.get(row.name)) for row in rows]


def _providers(now: datetime) -> list[dict[str, Any]]:
    deliveries = {row.slug: row for row in statistics.by_provider(since=now - timedelta(hours=HOURS))}
    accounts = list(ProviderAccount.objects.order_by("slug"))
    found = health_summary.read(accounts, now=now)
    return [
        {**_card(account, deliveries.get(account.slug)), "health": health}
        for account, health in zip(accounts, found, strict=True)
    ]


def _card(account: ProviderAccount, delivery: ProviderDelivery | None) -> dict[str, Any]:
    known = delivery is not None and delivery.rate is not None
    return {
        "account": account,
        "delivery": delivery,
        "delivery_percent": f"{100 * delivery.rate:.1f}" if known else "",
        "ended": delivery.delivered + delivery.undelivered + delivery.failed if delivery else 0,
        "median": _seconds(delivery.median_seconds if delivery else None),
    }


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"  # noqa: PLR2004 (two minutes)


def _next_runs() -> list[Schedule]:
    waiting = Schedule.objects.filter(status=Schedule.Status.ACTIVE, next_run_at__isnull=False)
    return list(waiting.order_by("next_run_at")[:RUNS_SHOWN])


# --- What needs attention ---------------------------------------------------------------------------------------------


def _concerns(
    current: dict[Status, int], queue_rows: list[QueueRow], accounts: list[dict[str, Any]], now: datetime
) -> list[Concern]:
    return [
        *_process_concerns(),
        *_provider_concerns(accounts),
        *_message_concerns(current, now),
        *_queue_concerns(queue_rows, now),
        *_schedule_concerns(now),
    ]


def _process_concerns() -> list[Concern]:
    health = reverse("healthz-system")
    try:
        age, workers = heartbeats.seconds_since_tick(), heartbeats.workers()
    except (RedisError, OSError):
        return [Concern("bad", "Redis does not answer", "Nothing can be rung for and no limit is kept.", health)]
    found = []
    if age is None or age > BEAT_SILENT_SECONDS:
        since = "since it was started" if age is None else f"for {age:.0f} s"
        found.append(Concern("bad", "Beat is silent", f"No tick {since}: nothing deferred or scheduled moves.", health))
    if not workers:
        found.append(Concern("bad", "No worker lives", "Messages are accepted, but nobody sends them.", health))
    return found


def _provider_concerns(accounts: list[dict[str, Any]]) -> list[Concern]:
    link = reverse("admin:providers_provideraccount_changelist")
    if not any(row["account"].is_enabled and row["account"].weight for row in accounts):
        return [Concern("bad", "No provider takes messages", "All are disabled or have no weight.", link)]
    return [
        Concern(
            "bad" if row["health"].state == "circuit open" else "warn",
            f"{row['account'].slug}: {row['health'].state}",
            row["health"].reason or "Its last calls failed in a row; others carry its share.",
            reverse("admin:providers_provideraccount_change", args=[row["account"].slug]),
        )
        for row in accounts
        if row["health"].is_open
    ]


def _message_concerns(current: dict[Status, int], now: datetime) -> list[Concern]:
    messages = reverse("admin:messaging_message_changelist")
    found = []
    lost = Message.objects.filter(status=Status.SENDING, lease_until__lt=now - CLAIM_ENDED_LONG_AGO)[:100].count()
    if lost:
        detail = "Their workers' claims ended long ago and no sweep has returned them."
        found.append(Concern("bad", f"{lost} stuck while being sent", detail, f"{messages}?status__exact=sending"))
    if current[Status.UNKNOWN] > 0:
        title = f"{current[Status.UNKNOWN]:,} unknown"
        detail = "Nobody knows whether the provider took them. Find out, then mark or retry them."
        found.append(Concern("warn", title, detail, f"{messages}?status__exact=unknown"))
    return found


def _queue_concerns(rows: list[QueueRow], now: datetime) -> list[Concern]:
    link = reverse("admin:messaging_outboundqueue_changelist")
    oldest = pacing.oldest_due(now=now)
    waited = f"It could have been sent {timesince(oldest, now)} ago." if oldest else ""
    late = oldest is not None and now - oldest > WAITED_TOO_LONG
    stuck = [Concern("bad", "A message waits for too long", waited, link)] if late else []
    paused = [
        Concern("info", f"Queue {row.queue} is paused", f"{row.depth:,} wait until somebody resumes it.", link)
        for row in rows
        if row.queue.is_paused
    ]
    return stuck + paused


def _schedule_concerns(now: datetime) -> list[Concern]:
    missed = ScheduleRun.objects.filter(status=ScheduleRun.Status.MISSED, due_at__gte=now - MISSED_WITHIN)
    return [
        Concern(
            "warn",
            f"{run.schedule.name} missed a run",
            f"It was due at {run.due_at:%d %b %H:%M} UTC. {run.detail}".strip(),
            reverse("admin:scheduling_schedule_change", args=[run.schedule_id]),
        )
        for run in missed.select_related("schedule").order_by("-due_at")[:RUNS_SHOWN]
    ]
