"""`/metrics` for Prometheus. All values come from the database or Redis, so every process reports the same.

The cost of a scrape grows with accounts, queues and owners, not with messages.
"""

import ipaddress
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from redis.exceptions import RedisError

from messaging import states
from messaging.database_faults import DATABASE_FAULTS
from messaging.models import Rollup
from messaging.services.costs import budget_states
from messaging.services.gateway import sessions
from messaging.services.limits import conversion, pumping
from messaging.services.outbound import pacing, queues
from messaging.services.recipients import opt_out_cases
from messaging.services.reporting import gateway_counts, heartbeats, statistics
from messaging.services.reporting.rollups import BUCKETS
from messaging.services.reporting.statistics import Total
from messaging.services.webhooks import gateway_receipts, gateway_texts
from messaging.states import Direction
from providers import smpp_leases
from providers.models import ProviderAccount, SmppBind
from providers.state import account_state
from providers.state.circuit_breaker import Circuit

logger = logging.getLogger(__name__)

RollupMetric = Rollup.Metric
REDIS_FAULTS = (RedisError, OSError)
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")

# measure: name, help, labels (the account, where there is one, and what the measure's word means)
COUNTERS: dict[RollupMetric, tuple[str, str, tuple[str, ...]]] = {
    RollupMetric.ENTERED: (
        "switchboard_message_statuses",
        "Messages that came to a status; with the provider where one had a part in it.",
        ("provider", "status"),
    ),
    RollupMetric.ATTEMPT: (
        "switchboard_attempts",
        "Calls to providers that have ended, by outcome.",
        ("provider", "outcome"),
    ),
    RollupMetric.CALLBACK: (
        "switchboard_provider_callbacks",
        "Proven callbacks of providers that were applied, ignored or malformed.",
        ("provider", "state"),
    ),
    RollupMetric.WEBHOOK: (
        "switchboard_webhook_deliveries",
        "Calls to clients' endpoints that have ended; one that failed is retried until the last try has failed.",
        ("outcome",),
    ),
}
HISTOGRAMS: dict[RollupMetric, tuple[str, str]] = {
    RollupMetric.TO_SENT: (
        "switchboard_acceptance_to_sent_seconds",
        "From the moment a message was due until it was sent.",
    ),
    RollupMetric.TO_DELIVERED: (
        "switchboard_sent_to_delivered_seconds",
        "From sent until the provider reported delivery.",
    ),
    RollupMetric.CALL: ("switchboard_provider_call_seconds", "How long calls to providers took."),
}


@csrf_exempt
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _may_read(request):
        return HttpResponse("Send METRICS_TOKEN as a bearer token, or scrape from this machine.\n", "text/plain", 403)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SharedState())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _may_read(request: HttpRequest) -> bool:
    """Require the token, or a direct connection from loopback: a proxy on this machine forwards requests of any client."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    return _is_loopback(request.META.get("REMOTE_ADDR", "")) and not any(name in request.META for name in FORWARDED)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class SharedState(Collector):
    """Metrics of the database and Redis. An unavailable source has no metrics, and 0 in `switchboard_source_up`."""

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("switchboard_source_up", "Whether the scrape could read this source.", labels=["source"])
        sources: tuple[tuple[str, Callable[[], Iterator[Metric]], tuple[type[Exception], ...]], ...] = (
            ("database", _from_database, DATABASE_FAULTS),
            ("redis", _from_redis, REDIS_FAULTS),
            ("circuits", _circuits, (*DATABASE_FAULTS, *REDIS_FAULTS)),
        )
        for source, read, faults in sources:
            try:
                found = list(read())
            except faults as error:
                logger.warning("metrics of the %s are omitted (%s)", source, type(error).__name__)
                found = []
            yield from found
            up.add_metric([source], 1 if found else 0)
        yield up


def _from_database() -> Iterator[Metric]:
    totals = statistics.totals()
    by_metric: dict[RollupMetric, list[Total]] = defaultdict(list)
    for total in totals:
        by_metric[total.metric].append(total)
    yield _accepted(totals)
    for metric, (name, text, labels) in COUNTERS.items():
        counter = CounterMetricFamily(name, text, labels=labels)
        for total in by_metric[metric]:
            counter.add_metric([total.provider_slug, total.word][-len(labels) :], total.count)
        yield counter
    for metric, (name, text) in HISTOGRAMS.items():
        yield _histogram(name, text, by_metric[metric])
    present = GaugeMetricFamily("switchboard_messages", "Messages that have a status now.", labels=["status"])
    for status, count in statistics.current_of(totals).items():
        present.add_metric([status], count)
    yield present
    yield from _queues()
    yield from _opt_out_cases()
    alerts = GaugeMetricFamily(
        "switchboard_pumping_alerts", "Suspected SMS pumping: episodes by state.", labels=["state"]
    )
    for state, count in pumping.counts().items():
        alerts.add_metric([state], count)
    yield alerts
    budgets = GaugeMetricFamily(
        "switchboard_budgets",
        "Budgets that are used by 80 % (near) or wholly (spent) in their period.",
        labels=["state"],
    )
    for state, count in budget_states.counts(now=timezone.now()).items():
        budgets.add_metric([state], count)
    yield budgets
    yield from _conversion()
    yield from _smpp_binds()
    yield from _smpp_server()


def _opt_out_cases() -> Iterator[Metric]:
    found = opt_out_cases.counts(now=timezone.now())
    yield GaugeMetricFamily(
        "switchboard_opt_out_cases_open", "Texts that probably ask for no more messages, not decided.", value=found.open
    )
    yield GaugeMetricFamily(
        "switchboard_opt_out_cases_overdue", "Those of them whose deadline has passed.", value=found.overdue
    )


def _conversion() -> Iterator[Metric]:
    """Gauges, because old counts are deleted. Prefixes are no label: there may be thousands of them."""
    labels = ["provider", "country"]
    started = GaugeMetricFamily(
        "switchboard_verifications_started",
        "Verifications started in this hour and the two before; without a provider those whose code was not sent yet.",
        labels=labels,
    )
    approved = GaugeMetricFamily(
        "switchboard_verifications_approved", "Those of them that were approved.", labels=labels
    )
    collapsed = GaugeMetricFamily(
        "switchboard_conversion_collapsed_prefixes",
        "Prefixes of which certainly less than half as many are approved as in the week before.",
        labels=labels,
    )
    for row in conversion.recent(now=timezone.now()):
        values = [row.provider, row.country]
        started.add_metric(values, row.share.started)
        approved.add_metric(values, row.share.confirmed)
        collapsed.add_metric(values, row.collapsed)
    yield from (started, approved, collapsed)


def _smpp_binds() -> Iterator[Metric]:
    """Binds that no connector holds have the state `unbound`."""
    now = timezone.now()
    states_of = GaugeMetricFamily(
        "switchboard_smpp_bind", "1 for the state that a bind is in.", labels=["provider", "bind", "state"]
    )
    in_flight = GaugeMetricFamily(
        "switchboard_smpp_in_flight", "Submissions of a bind that are not answered yet.", labels=["provider", "bind"]
    )
    for bind in SmppBind.objects.filter(account__is_enabled=True).order_by("account", "number"):
        state = smpp_leases.state_of(bind, now=now)
        for each in SmppBind.State:
            states_of.add_metric([bind.account_id, str(bind.number), each], 1 if each == state else 0)
        in_flight.add_metric(
            [bind.account_id, str(bind.number)], bind.in_flight if smpp_leases.is_live(bind, now=now) else 0
        )
    yield states_of
    yield in_flight


def _smpp_server() -> Iterator[Metric]:
    bound = GaugeMetricFamily(
        "switchboard_smpp_sessions", "Bound sessions of clients that speak SMPP.", labels=["bind"]
    )
    for kind, count in sessions.by_kind(now=timezone.now()).items():
        bound.add_metric([kind], count)
    yield bound
    receipts = GaugeMetricFamily(
        "switchboard_smpp_receipts",
        "Receipts that SMPP clients have asked for and not acknowledged: waiting for the end of the message, or to be taken.",
        labels=["state"],
    )
    for state, count in gateway_receipts.counts().items():
        receipts.add_metric([state], count)
    yield receipts
    texts = GaugeMetricFamily(
        "switchboard_smpp_texts", "People's texts that SMPP clients have not acknowledged yet.", labels=["state"]
    )
    for state, count in gateway_texts.counts().items():
        texts.add_metric([state], count)
    yield texts


def _accepted(totals: Iterable[Total]) -> Metric:
    """Count accepted messages: a transition leaves one status and enters another, so entered minus left were created."""
    signs = {RollupMetric.ENTERED: 1, RollupMetric.LEFT: -1}
    counts = dict.fromkeys(Direction, 0)
    for total in totals:
        direction = Direction.INBOUND if total.word in states.INBOUND else Direction.OUTBOUND
        counts[direction] += signs.get(total.metric, 0) * total.count
    family = CounterMetricFamily("switchboard_messages_accepted", "Messages taken in.", labels=["direction"])
    for direction, count in counts.items():
        family.add_metric([direction], count)
    return family


def _histogram(name: str, text: str, totals: Iterable[Total]) -> Metric:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    seconds: dict[str, float] = defaultdict(float)
    for total in totals:
        counts[total.provider_slug][total.word] = total.count
        seconds[total.provider_slug] += total.seconds
    family = HistogramMetricFamily(name, text, labels=["provider"])
    for slug in sorted(counts):
        family.add_metric([slug], _cumulative(counts[slug]), seconds[slug])
    return family


def _cumulative(counts: Mapping[str, int]) -> list[tuple[str, float]]:
    running = 0
    buckets: list[tuple[str, float]] = []
    for bound in BUCKETS:
        running += counts.get(bound, 0)
        buckets.append((bound if bound == "+Inf" else str(float(bound)), running))
    return buckets


def _queues() -> Iterator[Metric]:
    now = timezone.now()
    names = queues.names()
    depth = GaugeMetricFamily("switchboard_queue_depth", "Messages that wait in a queue.", labels=["queue"])
    for name, count in queues.depths(names).items():
        depth.add_metric([name], count)
    yield depth
    age = GaugeMetricFamily(
        "switchboard_queue_oldest_seconds",
        "Age of the oldest message that waits in a queue; 0 of none.",
        labels=["queue"],
    )
    oldest = queues.oldest_queued(names)
    for name in names:
        age.add_metric([name], _age(oldest.get(name), now))
    yield age
    yield GaugeMetricFamily(
        "switchboard_oldest_due_seconds",
        "How long the oldest message has been due that nothing defers and that waits for no other; 0 of none.",
        value=_age(pacing.oldest_due(now=now), now),
    )


def _age(at: datetime | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - at).total_seconds())


def _from_redis() -> Iterator[Metric]:
    yield CounterMetricFamily(
        "switchboard_ticks", "Ticks of beat that a worker has carried out.", value=heartbeats.ticks()
    )
    age = heartbeats.seconds_since_tick()
    yield GaugeMetricFamily(
        "switchboard_seconds_since_tick", "Since beat's last tick; NaN before the first.", value=_or_nan(age)
    )
    submissions = CounterMetricFamily(
        "switchboard_smpp_submissions", "Texts submitted by SMPP, by the status of the response.", labels=["status"]
    )
    for status, count in sorted(gateway_counts.totals().items()):
        submissions.add_metric([status], count)
    yield submissions
    yield GaugeMetricFamily(
        "switchboard_workers", "Worker processes that have shown life lately.", value=len(heartbeats.workers())
    )


def _circuits() -> Iterator[Metric]:
    heartbeats.seconds_since_tick()  # raises while Redis is unavailable, when every circuit would look closed
    now = timezone.now()
    slugs = list(ProviderAccount.objects.values_list("slug", flat=True))
    family = GaugeMetricFamily(
        "switchboard_circuit", "1 for the state that an account's circuit is in.", labels=["provider", "state"]
    )
    refusing = GaugeMetricFamily(
        "switchboard_provider_refuses_many",
        "1 while an account refuses nearly all recipients.",
        labels=["provider"],
    )
    states_of_accounts = account_state.cached(slugs, now=now)
    for slug in slugs:
        state = states_of_accounts[slug].circuit.at(now.timestamp())
        for each in Circuit:
            family.add_metric([slug, each], 1 if each is state else 0)
        refusing.add_metric([slug], 1 if states_of_accounts[slug].refuses_many else 0)
    yield family
    yield refusing


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
