"""Messages that wait for an hour: judge them anew when rules or quiet hours change, and count them by moment and reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from messaging.models import HoursRevision, Message, OwnerPolicy
from messaging.policy.hours import OUTSIDE_HOURS
from messaging.services.outbound import eligibility, hours
from messaging.services.transitions import save_together
from messaging.states import Status

# All processes judge by new rules after this time: they read them every two seconds, and their clocks may differ a little.
TAKES_EFFECT_AFTER = timedelta(seconds=5)
CHUNK, MAX_CHUNKS = 500, 6
# So many changes of owners' policies are looked at in one pass.
MAX_POLICIES = 20
# Of each group so many are counted, and so many groups are shown.
COUNTED, SHOWN = 10_000, 20


def messages() -> QuerySet[Message]:
    return Message.objects.filter(status=Status.QUEUED, error_code=OUTSIDE_HOURS, next_attempt_at__isnull=False)


def judged_before() -> QuerySet[Message]:
    """The held messages that were judged before the last change of the rules took effect."""
    changed = HoursRevision.objects.annotate(effect=F("changed_at") + TAKES_EFFECT_AFTER).values("effect")[:1]
    return messages().filter(updated_at__lt=changed)


def changed_policies(*, now: datetime) -> QuerySet[OwnerPolicy]:
    """The owners' policies whose last change has taken effect, and by which held messages were not judged yet."""
    return OwnerPolicy.objects.filter(effective_at__lte=now)


def judge_anew(*, now: datetime) -> int:
    """Judge held messages by rules that have changed: release them, or hold them by what holds now. Returns how many.

    Each chunk is a transaction of its own. Nothing is done before all processes know the new rules: one that does not could
    still hold a message by the old ones. What one owner changes concerns its own messages alone, so that it can neither
    delay nor repeat the judgement of all others.
    """
    hours.read()
    return _judge_by_rules(now) + _judge_by_policies(now)


def _judge_by_rules(now: datetime) -> int:
    changed_at = HoursRevision.objects.values_list("changed_at", flat=True).first()
    if changed_at is None or now < changed_at + TAKES_EFFECT_AFTER:
        return 0
    return _judge_chunks(judged_before, now)


def _judge_by_policies(now: datetime) -> int:
    total = 0
    for policy in changed_policies(now=now).order_by("effective_at")[:MAX_POLICIES]:
        before = messages().filter(owner=policy.pk, updated_at__lt=policy.effective_at)
        total += _judge_chunks(before.all, now)
        if not before.exists():  # there are more, or another transaction has one of them
            OwnerPolicy.objects.filter(pk=policy.pk, effective_at=policy.effective_at).update(effective_at=None)
        if total >= CHUNK * MAX_CHUNKS:
            break
    return total


def _judge_chunks(before: Callable[[], QuerySet[Message]], now: datetime) -> int:
    total = 0
    for _ in range(MAX_CHUNKS):
        done = _judge_chunk(before(), now)
        total += done
        if done < CHUNK:
            break
    return total


def _judge_chunk(before: QuerySet[Message], now: datetime) -> int:
    with transaction.atomic():
        rows = list(before.defer("text").order_by("updated_at").select_for_update(skip_locked=True)[:CHUNK])
        for row in rows:
            row.updated_at = now
            eligibility.hold_or_release(row, now)
        if rows:
            save_together(rows, ("updated_at", *eligibility.FIELDS))
    return len(rows)


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that are held until one moment for one reason. `is_more`: there are more than `count`."""

    until: datetime
    reason: str
    count: int
    is_more: bool


def groups() -> list[Group]:
    """What waits for which hour, earliest first; at most `SHOWN` groups.

    Steps from group to group in the index and counts a bounded number of each, so a million held messages cost no more.
    """
    found: list[Group] = []
    while len(found) < SHOWN and (following := _after(found[-1] if found else None)) is not None:
        until, reason = following
        same = messages().filter(next_attempt_at=until, error_detail=reason)
        # Without an order and other columns: they would lead past the index.
        counted = same.order_by().values("error_detail")[: COUNTED + 1].count()
        found.append(Group(until, reason, min(counted, COUNTED), counted > COUNTED))
    return found


def _after(group: Group | None) -> tuple[datetime, str] | None:
    """The moment and reason of the group that follows. Two steps: no database uses its index for both at once."""
    waiting = messages().values_list("next_attempt_at", "error_detail")
    steps: Sequence[QuerySet[Message, tuple[datetime | None, str]]] = [waiting]
    if group is not None:
        steps = [
            waiting.filter(next_attempt_at=group.until, error_detail__gt=group.reason),
            waiting.filter(next_attempt_at__gt=group.until),
        ]
    for step in steps:
        first = step.order_by("next_attempt_at", "error_detail").first()
        if first is not None and first[0] is not None:
            return first[0], first[1]
    return None
