"""Watch for SMS pumping: count codes by prefix, compare with what is usual, and raise one alert per episode."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Substr

from messaging.categories import Category
from messaging.models import CodeCount, CodeScan, Message, PumpingAlert, VerificationCount
from messaging.policy.pumping import LONGEST, MIN_CODES, CodeVolume, Figures, Share, holds, judge, prefix_of
from messaging.services.limits import rules
from messaging.states import Direction

logger = logging.getLogger(__name__)

# Messages are counted when they are so old: those of slower transactions are missed.
LAG = timedelta(seconds=30)
# After an interruption no more than this is made up for.
MAX_BEHIND = timedelta(hours=1)
HOUR, WINDOW, USUAL = timedelta(hours=1), timedelta(hours=2), timedelta(days=14)
# An episode is over when nothing has spoken for it so long.
QUIET = timedelta(hours=2)
KEPT_FOR = timedelta(days=400)
# How far `created_at` may be from the time in a message's key: some keys are given out before the message is stored.
KEY_SKEW = timedelta(minutes=10)


def watch(*, now: datetime, hold: tuple[str, ...] = ()) -> list[PumpingAlert]:
    """Count new codes and judge all prefixes; return the alerts that are new. `hold` is the setting PUMPING_HOLD."""
    since = _count_codes(now)
    found = {
        prefix: (reason, figures) for prefix, figures in _figures(now, since).items() if (reason := judge(figures))
    }
    begun = [alert for prefix, judged in found.items() if (alert := _note(prefix, *judged, now=now, hold=hold))]
    PumpingAlert.objects.filter(ended_at__isnull=True, last_seen_at__lte=now - QUIET).update(ended_at=now)
    for alert in begun:
        state = "codes to it are held" if alert.is_holding else "nothing is held"
        logger.warning("SMS pumping suspected at prefix %s; %s. %s", alert.prefix, state, alert.detail)
    if begun:
        rules.expire()
    return begun


def purge(*, now: datetime) -> None:
    CodeCount.objects.filter(hour__lt=now - USUAL - HOUR).delete()
    PumpingAlert.objects.filter(ended_at__lt=now - KEPT_FOR, is_holding=False).delete()


# --- Counting ---------------------------------------------------------------------------------------------------------


def _count_codes(now: datetime) -> datetime:
    """Add the messages since the last pass, each once: the place is stored with the counts. Returns since when they are."""
    until = now - LAG
    with transaction.atomic():
        CodeScan.objects.get_or_create(pk=CodeScan.ONLY, defaults={"since": until, "counted_until": until})
        scan = CodeScan.objects.select_for_update().get(pk=CodeScan.ONLY)
        begin = max(scan.counted_until, until - MAX_BEHIND)
        if begin < until:
            for hour in _hours(begin, until):
                _add(max(begin, hour), min(until, hour + HOUR), hour)
            scan.counted_until = until
            scan.save(update_fields=["counted_until"])
    return scan.since


def _hours(begin: datetime, until: datetime) -> Iterator[datetime]:
    hour = begin.replace(minute=0, second=0, microsecond=0)
    while hour < until:
        yield hour
        hour += HOUR


def _add(begin: datetime, until: datetime, hour: datetime) -> None:
    """Messages are found by their keys, which begin with a time: no index of its own is needed."""
    rows = (
        Message.objects.filter(pk__gte=_first_key(begin - KEY_SKEW), pk__lt=_first_key(until + KEY_SKEW))
        .filter(direction=Direction.OUTBOUND, category=Category.OTP, created_at__gte=begin, created_at__lt=until)
        .order_by()
        .annotate(head=Substr("to_number", 1, LONGEST))
        .values_list("owner_id", "head")
        .annotate(found=Count("pk"))
    )
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for owner_id, head, found in rows:
        if owner_id is not None:
            counts[owner_id, prefix_of(head)] += found
    for (owner_id, prefix), found in sorted(counts.items()):
        row, is_new = CodeCount.objects.get_or_create(
            hour=hour, owner_id=owner_id, prefix=prefix, defaults={"count": found}
        )
        if not is_new:
            CodeCount.objects.filter(pk=row.pk).update(count=F("count") + found)


def _first_key(at: datetime) -> UUID:
    """The smallest UUIDv7 of this millisecond."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))


# --- Judging ----------------------------------------------------------------------------------------------------------


def _figures(now: datetime, since: datetime) -> dict[str, Figures]:
    """At most five queries. The window is the last two full hours and this one; what is usual is of the weeks before."""
    this = now.replace(minute=0, second=0, microsecond=0)
    current, usual = dict(_shares(this - WINDOW, now + HOUR)), dict(_shares(this - USUAL, this - WINDOW))
    of_all = Share(sum(each.started for each in usual.values()), sum(each.approved for each in usual.values()))
    volumes = _volumes(this)
    return {
        prefix: Figures(
            now=current.get(prefix, Share()),
            usual=usual.get(prefix, Share()),
            usual_of_all=of_all,
            volumes=tuple(volumes.get(prefix, ())),
            days=(now - since) / timedelta(days=1),
        )
        for prefix in current.keys() | volumes.keys()
    }


def _volumes(this: datetime) -> dict[str, list[CodeVolume]]:
    """The owners' codes of this hour by prefix, where they are enough to tell, and those of the hours before."""
    many = list(CodeCount.objects.filter(hour__gte=this, count__gte=MIN_CODES).order_by("prefix", "owner_id"))
    before = CodeCount.objects.filter(hour__gte=this - USUAL, hour__lt=this).order_by()
    before = before.filter(owner_id__in={row.owner_id for row in many})
    most = before.filter(prefix__in={row.prefix for row in many}).values_list("owner_id", "prefix")
    busiest = {(owner, prefix): count for owner, prefix, count in most.annotate(most=Max("count"))}
    of_all: dict[int, int] = {}
    for owner, _, total in before.values_list("owner_id", "hour").annotate(total=Sum("count")):
        of_all[owner] = max(of_all.get(owner, 0), total)
    found: dict[str, list[CodeVolume]] = {}
    for row in many:
        volume = CodeVolume(row.count, busiest.get((row.owner_id, row.prefix), 0), of_all.get(row.owner_id, 0))
        found.setdefault(row.prefix, []).append(volume)
    return found


def _shares(begin: datetime, until: datetime) -> Iterator[tuple[str, Share]]:
    rows = VerificationCount.objects.filter(hour__gte=begin, hour__lt=until).order_by().values_list("prefix")
    for prefix, started, approved in rows.annotate(begun=Sum("started"), done=Sum("approved")):
        yield prefix, Share(started, approved)


def _note(prefix: str, reason: str, figures: Figures, *, now: datetime, hold: tuple[str, ...]) -> PumpingAlert | None:
    """Write an episode down, and return it if it is new. Two workers that begin one at once write one row."""
    values = {
        "last_seen_at": now,
        "detail": reason[:300],
        "started": figures.now.started,
        "approved": figures.now.approved,
        "codes": sum(volume.codes for volume in figures.volumes),
    }
    alert, is_new = PumpingAlert.objects.get_or_create(
        prefix=prefix, ended_at=None, defaults={**values, "since": now, "is_holding": holds(prefix, hold)}
    )
    if is_new:
        return alert
    PumpingAlert.objects.filter(pk=alert.pk).update(**values)
    return None


# --- What staff do ----------------------------------------------------------------------------------------------------


def acknowledge(*, alert_id: int, actor: User, now: datetime) -> PumpingAlert:
    """Staff have looked at it: it no longer needs attention. The first who did so stays named."""
    PumpingAlert.objects.filter(pk=alert_id, acknowledged_at__isnull=True).update(
        acknowledged_at=now, acknowledged_by=actor
    )
    return PumpingAlert.objects.get(pk=alert_id)


def hold(*, alert_id: int, is_holding: bool, actor: User, now: datetime) -> PumpingAlert:
    """Hold codes to the prefix, or let them go; those that wait are sent within a minute, if they are still valid."""
    with transaction.atomic():
        alert = PumpingAlert.objects.select_for_update().get(pk=alert_id)
        # Another episode of the prefix may be holding as well.
        same = PumpingAlert.objects.filter(prefix=alert.prefix, is_holding=True)
        (PumpingAlert.objects.filter(pk=alert_id) if is_holding else same).update(is_holding=is_holding)
        transaction.on_commit(rules.expire)
    rules.expire()
    return acknowledge(alert_id=alert_id, actor=actor, now=now)


def block(*, alert_id: int, actor: User, now: datetime) -> PumpingAlert:
    """Block the prefix for everybody, which also ends the hold: what waits fails within a minute."""
    alert = PumpingAlert.objects.get(pk=alert_id)
    rules.set_prefix(
        owner=None, prefix=alert.prefix, country="", is_allowed=False, reason="suspected SMS pumping", now=now
    )
    return hold(alert_id=alert_id, is_holding=False, actor=actor, now=now)


def open_alerts() -> list[PumpingAlert]:
    """Episodes that need attention: going on and not acknowledged, or holding codes. At most 20."""
    rows = PumpingAlert.objects.filter(ended_at__isnull=True, acknowledged_at__isnull=True)
    return list((rows | PumpingAlert.objects.filter(is_holding=True)).order_by("-since")[:20])


def counts() -> dict[str, int]:
    """Episodes that go on, and those that hold codes. One query of a small table: a row is an episode."""
    return PumpingAlert.objects.aggregate(
        open=Count("pk", filter=Q(ended_at__isnull=True)), holding=Count("pk", filter=Q(is_holding=True))
    )
