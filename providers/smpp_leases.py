"""Which connector holds which bind of the SMPP accounts. Connectors share the binds by leases in the database.

A connector takes at most one free bind of an account in each round, so that several that start together share them; one that
comes later takes over the binds of one that dies, when their leases end.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from providers.models import ProviderAccount, SmppBind

BACKEND = "smpp"
# A connector extends its leases every two seconds. A restart of the database should not end them.
LEASE = timedelta(seconds=15)

State = SmppBind.State


class BindKey(NamedTuple):
    slug: str
    number: int


@dataclass(frozen=True, slots=True)
class BindReport:
    """The state of one bind as its connector sees it. `error` is a sentence without secrets, empty without one."""

    state: SmppBind.State
    since: datetime
    error: str = ""
    in_flight: int = 0
    window: int = 0


def accounts() -> list[ProviderAccount]:
    """The enabled SMPP accounts."""
    return list(ProviderAccount.objects.filter(backend=BACKEND, is_enabled=True).order_by("slug"))


def acquire(
    *,
    holder: str,
    wanted: Mapping[str, int],
    held: Collection[BindKey],
    now: datetime,
    lease: timedelta = LEASE,
    is_dead: Callable[[str], bool] = lambda _holder: False,
) -> list[BindKey]:
    """Take at most one free bind of each account. `wanted` is the number of binds by account.

    Binds of a connector that `is_dead` are free. One that this connector already holds by the database, but not by `held`, is
    taken too: its lease was lost and regained.
    """
    taken = []
    for slug, count in wanted.items():
        _create_rows(slug, count)
        _free_dead(slug, holder, is_dead, now)
        free = Q(lease_until=None) | Q(lease_until__lte=now) | Q(holder=holder)
        rows = SmppBind.objects.filter(free, account=slug, number__lte=count).order_by("number")
        for number in rows.values_list("number", flat=True):
            key = BindKey(slug, number)
            if key not in held and _acquire_row(key, holder, now, lease):
                taken.append(key)
                break
    return taken


def _create_rows(slug: str, count: int) -> None:
    known = set(SmppBind.objects.filter(account=slug).values_list("number", flat=True))
    missing = [SmppBind(account_id=slug, number=number) for number in range(1, count + 1) if number not in known]
    if missing:
        SmppBind.objects.bulk_create(missing, ignore_conflicts=True)
    if any(number > count for number in known):
        now_unused = SmppBind.objects.filter(account=slug, number__gt=count)
        now_unused.filter(Q(lease_until=None) | Q(holder="")).delete()


def _free_dead(slug: str, holder: str, is_dead: Callable[[str], bool], now: datetime) -> None:
    leased = SmppBind.objects.filter(account=slug, lease_until__gt=now).exclude(holder=holder)
    for row in leased:
        if is_dead(row.holder):
            leased.filter(pk=row.pk, holder=row.holder).update(lease_until=None)


def _acquire_row(key: BindKey, holder: str, now: datetime, lease: timedelta) -> bool:
    """Two connectors may try at once: the row's condition decides."""
    row = SmppBind.objects.filter(account=key.slug, number=key.number)
    free = row.filter(Q(lease_until=None) | Q(lease_until__lte=now) | Q(holder=holder))
    return bool(free.update(holder=holder, lease_until=now + lease, state=State.CONNECTING, state_since=now))


def renew(
    *, holder: str, reports: Mapping[BindKey, BindReport], now: datetime, lease: timedelta = LEASE
) -> set[BindKey]:
    """Extend the leases of these binds and write their states. Returns those that the connector still holds."""
    kept = set()
    with transaction.atomic():
        for key, report in sorted(reports.items()):
            row = SmppBind.objects.filter(account=key.slug, number=key.number, holder=holder)
            is_held = row.update(
                lease_until=now + lease,
                state=report.state,
                state_since=report.since,
                last_error=report.error[:200],
                in_flight=report.in_flight,
                window=report.window,
            )
            if is_held:
                kept.add(key)
    return kept


def release(*, holder: str, keys: Iterable[BindKey], now: datetime) -> None:
    """Give binds back, so that another connector can take them at once."""
    for key in keys:
        row = SmppBind.objects.filter(account=key.slug, number=key.number, holder=holder)
        row.update(holder="", lease_until=None, state=State.UNBOUND, state_since=now, in_flight=0)


def is_live(bind: SmppBind, *, now: datetime) -> bool:
    """Whether a connector holds the bind now; what the row says of its state is outdated otherwise."""
    return bind.lease_until is not None and bind.lease_until > now


def state_of(bind: SmppBind, *, now: datetime) -> SmppBind.State:
    """The state of a bind; `unbound` while no connector holds it."""
    return State(bind.state) if is_live(bind, now=now) else State.UNBOUND


def binds_of(rows: Sequence[ProviderAccount]) -> Mapping[str, Sequence[SmppBind]]:
    """The binds of these accounts by slug: one query, or none without an SMPP account."""
    found: dict[str, list[SmppBind]] = {row.slug: [] for row in rows}
    slugs = [row.slug for row in rows if row.backend == BACKEND]
    for bind in SmppBind.objects.filter(account__in=slugs).order_by("number") if slugs else ():
        found[bind.account_id].append(bind)
    return found


def faults(*, now: datetime) -> list[str]:
    """A sentence for each enabled SMPP account that has no bind, for operators."""
    sentences = []
    for account in accounts():
        binds = list(account.smpp_binds.all())
        live = [bind for bind in binds if is_live(bind, now=now)]
        if not any(bind.state == State.BOUND for bind in live):
            reason = next((bind.last_error for bind in live if bind.last_error), "")
            sentences.append(
                f"{account.slug}: {reason or ('not bound yet' if live else 'no connector (run_smpp) runs')}"
            )
    return sentences
