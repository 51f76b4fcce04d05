"""Opt-out cases: texts that probably ask for no more messages, which staff decide within ten business days.

The deadline is that of the US (47 CFR 64.1200(a)(10)): an opt-out in a person's own words counts as one by keyword does.
"""

from collections.abc import Collection
from contextlib import suppress as suppress_error
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from messaging.models import OptOutCase, Suppression
from messaging.policy import business_days
from messaging.services.access import owned_by
from messaging.services.errors import CaseDecided
from messaging.services.recipients import suppressions

VIEW = "messaging.view_optoutcase"
BUSINESS_DAYS = 10
CHUNK = 1_000
MAX_NOTE = 200

Decision = OptOutCase.Decision


@dataclass(frozen=True, slots=True)
class CaseCounts:
    open: int
    overdue: int


def visible_to(user: User) -> QuerySet[OptOutCase]:
    """The cases of the user's own texts; all for staff with the permission. The earliest deadline first."""
    return OptOutCase.objects.filter(owned_by(user, VIEW)).order_by("due_at", "pk")


def due_at(opened_at: datetime) -> datetime:
    zone = ZoneInfo(settings.POLICY_DEFAULT_TIME_ZONE)
    return business_days.after(opened_at, days=BUSINESS_DAYS, calendar=settings.BUSINESS_HOLIDAYS, zone=zone)


def open_case(
    *,
    number: str,
    sender: str,
    senders: Collection[str],
    owner: User | None,
    message_id: UUID | None,
    text: str,
    now: datetime,
) -> bool:
    """Open a case unless one is open for this number and sender, or all `senders` are suppressed; return whether it is new.

    Call it in the transaction that accepts the text.
    """
    if _are_suppressed(number, senders):
        return False
    if OptOutCase.objects.filter(number=number, sender=sender, decision=Decision.OPEN).exists():
        return False
    OptOutCase.objects.bulk_create(
        [
            OptOutCase(
                number=number,
                sender=sender,
                senders=sorted(senders),
                owner=owner,
                message_id=message_id,
                text=text,
                opened_at=now,
                due_at=due_at(now),
            )
        ],
        ignore_conflicts=True,  # of a case that another process has opened meanwhile
    )
    return True


def suppress(*, case_id: UUID, actor: User, is_staff: bool, note: str, now: datetime) -> OptOutCase:
    """Suppress the number at all senders of the case. Raises `CaseDecided`, and `OptOutCase.DoesNotExist`.

    `is_staff` tells a decision of staff, which stays whatever clients do, from that of the client who owns the text.
    """
    source = Suppression.Source.ADMIN if is_staff else Suppression.Source.API
    with transaction.atomic():
        case = _decide(case_id, Decision.SUPPRESSED, actor, note, now)
        for sender in case.senders:
            suppressions.add(
                number=case.number,
                sender=sender,
                source=source,
                channel=Suppression.Channel.TEXT,
                reason=f"asked in a text: opt-out case {case.pk}",
                note=note,
                requested_at=case.opened_at,
                actor=actor,
                now=now,
            )
    return case


def dismiss(*, case_id: UUID, actor: User, note: str, now: datetime) -> OptOutCase:
    """Decide that the text was no opt-out. Raises `CaseDecided`, and `OptOutCase.DoesNotExist`."""
    with transaction.atomic():
        return _decide(case_id, Decision.DISMISSED, actor, note, now)


def settle(*, number: str, actor: User | None, note: str, now: datetime, owner: User | None = None) -> int:
    """Close the open cases of a number whose senders are all suppressed by now, of `owner` only if one is given."""
    open_cases = OptOutCase.objects.filter(number=number, decision=Decision.OPEN)
    if owner is not None:
        open_cases = open_cases.filter(owner=owner)
    with transaction.atomic():
        settled = [
            case.pk
            for case in open_cases.select_for_update(of=("self",)).order_by("pk")
            if _are_suppressed(number, case.senders)
        ]
        if settled:
            OptOutCase.objects.filter(pk__in=settled).update(
                decision=Decision.SUPPRESSED, decided_at=now, decided_by=actor, note=note[:MAX_NOTE]
            )
    return len(settled)


def erase(*, number: str, pseudonym: str, actor: User, now: datetime) -> None:
    """Take the number and the words out of its cases. What is not decided yet is suppressed first."""
    rows = OptOutCase.objects.filter(number=number)
    for case_id in list(rows.filter(decision=Decision.OPEN).values_list("pk", flat=True)):
        with suppress_error(CaseDecided):
            suppress(case_id=case_id, actor=actor, is_staff=True, note="", now=now)
    rows.exclude(decision=Decision.OPEN).update(number=pseudonym, text="", note="")


def counts(*, now: datetime) -> CaseCounts:
    found = OptOutCase.objects.filter(decision=Decision.OPEN).aggregate(
        total=Count("pk"), late=Count("pk", filter=Q(due_at__lt=now))
    )
    return CaseCounts(found["total"], found["late"])


def forget(*, now: datetime) -> int:
    """Delete decided cases, and so the evidence, after `OPT_OUT_EVIDENCE_DAYS`; return how many."""
    if not settings.OPT_OUT_EVIDENCE_DAYS:
        return 0
    old = OptOutCase.objects.filter(decided_at__lt=now - timedelta(days=settings.OPT_OUT_EVIDENCE_DAYS))
    total = 0
    while ids := list(old.order_by("decided_at").values_list("pk", flat=True)[:CHUNK]):
        OptOutCase.objects.filter(pk__in=ids).delete()
        total += len(ids)
    return total


def _decide(case_id: UUID, decision: str, actor: User, note: str, now: datetime) -> OptOutCase:
    case = OptOutCase.objects.select_for_update(of=("self",)).get(pk=case_id)
    if case.decision != Decision.OPEN:
        raise CaseDecided("The case has been decided already.")
    case.decision, case.decided_at, case.decided_by, case.note = decision, now, actor, note[:MAX_NOTE]
    case.save(update_fields=["decision", "decided_at", "decided_by", "note"])
    return case


def _are_suppressed(number: str, senders: Collection[str]) -> bool:
    found = set(Suppression.objects.filter(number=number).values_list("sender", flat=True))
    return suppressions.EVERY_SENDER in found or found.issuperset(senders)
