"""Data of the console's dashboard. Every figure comes from rollups, partial indexes or Redis.

The page therefore costs the same at 10,000 and at 10 million messages, and its number of queries does not depend on the
number of queues, providers and schedules.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.urls import reverse
from django.utils.timesince import timesince
from redis.exceptions import RedisError

from messaging.models import Message, OutboundQueue
from messaging.services.inbound import replies_of_us_senders
from messaging.services.limits import pumping
from messaging.services.outbound import pacing, queues
from messaging.services.recipients import opt_out_cases
from messaging.services.reporting import heartbeats, statistics
from messaging.services.reporting.statistics import HourlyCount, ProviderDelivery
from messaging.states import DELIVERY_OUTCOMES, OUTBOUND_ENDINGS, UNSENT, Status
from providers import health_summary
from providers.health_summary import REFUSES_MANY
from providers.models import ProviderAccount
from scheduling.models import Schedule, ScheduleRun

HOURS, DAYS = 24, 30
# Today and yesterday are read each time. The days before no longer change, and are many rows: they are read once an hour.
LIVE_DAYS = timedelta(days=1)
DAYS_CACHED_FOR = 3600
SERIES = (*OUTBOUND_ENDINGS, Status.SENT, Status.RECEIVED)
BEAT_SILENT_SECONDS = 30.0
# A message in a queue without a pace is stuck after waiting this long, or this long after its worker's claim ended.
STUCK_AFTER_WAITING = timedelta(minutes=5)
STUCK_AFTER_CLAIM = timedelta(minutes=1)
MISSED_WITHIN = timedelta(days=1)
RUNS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Concern:
    """A problem that needs attention. `tone` is `bad`, `warn` or `info`."""

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
    hourly = statistics.hourly(since=_midnight(now) - LIVE_DAYS)
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
    counts: dict[tuple[date | datetime, Status], int] = {(row.hour, row.status): row.count for row in hourly}
    return _series([f"{slot:%H:00}" for slot in slots], slots, counts)


def _by_day(hourly: list[HourlyCount], now: datetime) -> dict[str, Any]:
    slots = [now.date() - timedelta(days=age) for age in range(DAYS - 1, -1, -1)]
    counts: dict[tuple[date | datetime, Status], int] = defaultdict(int)
    for day, status, count in _past_days(_midnight(now)):
        counts[date.fromisoformat(day), status] = count
    for row in hourly:
        counts[row.hour.date(), row.status] += row.count
    return _series([f"{slot:%d %b}" for slot in slots], slots, counts)


def _past_days(midnight: datetime) -> list[tuple[str, Status, int]]:
    """The counts of the chart's days before the `LIVE_DAYS`: day in ISO 8601, status, count."""
    since, until = midnight - timedelta(days=DAYS - 1), midnight - LIVE_DAYS
    key = f"dashboard:{since:%Y%m%d}"
    rows: list[tuple[str, Status, int]] | None = cache.get(key)
    if rows is None:
        counts: dict[tuple[str, Status], int] = defaultdict(int)
        for row in statistics.hourly(since=since, until=until):
            counts[row.hour.date().isoformat(), row.status] += row.count
        rows = [(*of, count) for of, count in counts.items() if of[1] in SERIES]
        cache.set(key, rows, DAYS_CACHED_FOR)
    return rows


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _series(
    labels: list[str], slots: Sequence[date | datetime], counts: dict[tuple[date | datetime, Status], int]
) -> dict[str, Any]:
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
        {"title": "Delivered in 24 h", "value": f"{day[Status.DELIVERED]:,}", "note": f"{rate} of finished messages"},
        {"title": "Waiting now", "value": f"{waiting:,}", "note": f"{current[Status.SCHEDULED]:,} scheduled for later"},
        {
            "title": "Failed in 24 h",
            "value": f"{day[Status.FAILED] + day[Status.UNDELIVERED]:,}",
            "note": f"{day[Status.UNDELIVERED]:,} of them undelivered",
        },
        {"title": "Received in 24 h", "value": f"{day[Status.RECEIVED]:,}", "note": "inbound messages"},
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
    rate = delivery.rate if delivery else None
    return {
        "account": account,
        "delivery": delivery,
        "delivery_percent": "" if rate is None else f"{100 * rate:.1f}",
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
        *_opt_out_concerns(now),
        *_reply_concerns(),
        *_pumping_concerns(),
        *_queue_concerns(queue_rows, now),
        *_schedule_concerns(now),
    ]


def _process_concerns() -> list[Concern]:
    health = reverse("healthz-system")
    try:
        age, workers = heartbeats.seconds_since_tick(), heartbeats.workers()
    except (RedisError, OSError):
        return [
            Concern("bad", "Redis is unavailable", "Delivery waits for ticks and rate limits are not enforced.", health)
        ]
    found = []
    if age is None or age > BEAT_SILENT_SECONDS:
        since = "since the system was started" if age is None else f"for {age:.0f} s"
        detail = f"No tick {since}: deferred and scheduled messages are not sent."
        found.append(Concern("bad", "Beat is not running", detail, health))
    if not workers:
        found.append(Concern("bad", "No worker is running", "Messages are accepted but not sent.", health))
    return found


_CALLS_FAILED = "Its last calls failed. Other accounts carry its share."
_HEALTH_DETAILS = {
    "circuit open": _CALLS_FAILED,
    "circuit half open": _CALLS_FAILED,
    REFUSES_MANY: "It refused nearly all recipients of the last 15 minutes. It is still used: look at its refused messages.",
}


def _provider_concerns(accounts: list[dict[str, Any]]) -> list[Concern]:
    link = reverse("admin:providers_provideraccount_changelist")
    if not any(row["account"].is_enabled and row["account"].weight for row in accounts):
        return [Concern("bad", "No provider can be used", "All accounts are disabled or have no weight.", link)]
    return [
        Concern(
            "bad" if row["health"].state == "circuit open" else "warn",
            f"{row['account'].slug}: {row['health'].state}",
            row["health"].reason or _HEALTH_DETAILS[row["health"].state],
            reverse("admin:providers_provideraccount_change", args=[row["account"].slug]),
        )
        for row in accounts
        if row["health"].needs_attention
    ]


def _message_concerns(current: dict[Status, int], now: datetime) -> list[Concern]:
    messages = reverse("admin:messaging_message_changelist")
    found = []
    stuck = Message.objects.filter(status=Status.SENDING, lease_until__lt=now - STUCK_AFTER_CLAIM)[:100].count()
    if stuck:
        detail = "Their workers' claims have ended, and no sweep has returned the messages to their queues."
        found.append(Concern("bad", f"{stuck} stuck while being sent", detail, f"{messages}?status__exact=sending"))
    if current[Status.UNKNOWN] > 0:
        title = f"{current[Status.UNKNOWN]:,} unknown"
        detail = "It is not known whether the provider accepted them. Check, then mark or retry them."
        found.append(Concern("warn", title, detail, f"{messages}?status__exact=unknown"))
    return found


def _opt_out_concerns(now: datetime) -> list[Concern]:
    found = opt_out_cases.counts(now=now)
    if not found.open:
        return []
    link = reverse("admin:messaging_optoutcase_changelist")
    title = f"{found.open:,} opt-out case{'s' if found.open > 1 else ''} to decide"
    detail = "Texts that probably ask for no more messages. Each has a deadline of ten business days."
    if found.overdue:
        return [Concern("bad", f"{title}, {found.overdue:,} overdue", detail, f"{link}?state=overdue")]
    return [Concern("warn", title, detail, link)]


def _reply_concerns() -> list[Concern]:
    senders = replies_of_us_senders.without_brand()
    if not senders:
        return []
    title = "The reply to HELP names no brand or contact"
    whose = f"{senders[0]} and others" if len(senders) > 1 else senders[0]
    detail = f"US carriers require both, of {whose}. Set MESSAGE_BRAND and MESSAGE_CONTACT."
    return [Concern("info", title, detail, reverse("admin:messaging_keywordrule_changelist"))]


def _pumping_concerns() -> list[Concern]:
    return [
        Concern(
            "bad" if alert.is_holding else "warn",
            f"Codes to {alert.prefix}: {'held, suspected' if alert.is_holding else 'suspected'} SMS pumping",
            alert.detail,
            reverse("admin:messaging_pumpingalert_change", args=[alert.pk]),
        )
        for alert in pumping.open_alerts()
    ]


def _queue_concerns(rows: list[QueueRow], now: datetime) -> list[Concern]:
    link = reverse("admin:messaging_outboundqueue_changelist")
    oldest = pacing.oldest_due(now=now)
    detail = f"It could have been sent {timesince(oldest, now)} ago." if oldest else ""
    late = oldest is not None and now - oldest > STUCK_AFTER_WAITING
    stuck = [Concern("bad", "A message has waited too long", detail, link)] if late else []
    paused = [
        Concern("info", f"Queue {row.queue} is paused", f"{row.depth:,} messages wait until it is resumed.", link)
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
