"""Change the rules of hours. Each change is noted, so that messages which are held already are judged anew (`held`)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from messaging.models import HoursRevision, HoursRule
from messaging.policy.hours import Rule
from messaging.policy.rules import InvalidRule, ShippedRule, check, shipped
from messaging.services.errors import InvalidField
from messaging.services.outbound import hours

DEFINITION = (
    *("name", "countries", "prefixes", "categories", "hours", "holidays"),
    *("effective_from", "effective_until", "source"),
)


def save(rule: HoursRule, *, now: datetime) -> HoursRule:
    """Store a new rule of the installation, or a changed one. Raises `InvalidField`; then nothing is stored."""
    if rule.is_shipped:
        raise InvalidField("id", "shipped", "This rule is shipped: it can only be switched on and off.")
    try:
        check(rule.as_rule())
    except InvalidRule as error:
        raise InvalidField("hours", "invalid", str(error)) from None
    with transaction.atomic():
        rule.changed_at = now
        rule.save()
        note_change(now)
    return rule


def switch(*, rule_id: str, is_enabled: bool, now: datetime) -> HoursRule:
    """Switch a rule on or off. Raises `HoursRule.DoesNotExist`."""
    with transaction.atomic():
        rule = HoursRule.objects.select_for_update().get(pk=rule_id)
        if rule.is_enabled != is_enabled:
            rule.is_enabled, rule.changed_at = is_enabled, now
            rule.save(update_fields=["is_enabled", "changed_at"])
            note_change(now)
    return rule


def remove(*, rule_id: str, now: datetime) -> None:
    """Delete a rule of the installation; one that is shipped stays."""
    with transaction.atomic():
        deleted, _ = HoursRule.objects.filter(pk=rule_id, is_shipped=False).delete()
        if deleted:
            note_change(now)


def install(*, now: datetime, rules: Iterable[ShippedRule] | None = None) -> None:
    """Store the shipped rules as the file has them; those that staff have switched stay as they are.

    A rule that is no longer shipped is switched off. A rule of the installation that has the id of a shipped one stays.
    """
    wanted = {each.rule.id: each for each in (shipped() if rules is None else rules)}
    with transaction.atomic():
        is_changed = HoursRule.objects.filter(pk__in=wanted).count() < len(wanted)
        HoursRule.objects.bulk_create(
            [
                HoursRule(
                    id=each.rule.id, is_shipped=True, is_enabled=each.is_enabled, changed_at=now, **_values(each.rule)
                )
                for each in wanted.values()
            ],
            ignore_conflicts=True,
        )
        for row in HoursRule.objects.select_for_update().filter(is_shipped=True).order_by("pk"):
            new = {"is_enabled": False} if row.pk not in wanted else _values(wanted[row.pk].rule)
            changes = {name: value for name, value in new.items() if getattr(row, name) != value}
            if changes:
                is_changed = True
                HoursRule.objects.filter(pk=row.pk).update(**changes, changed_at=now)
        if is_changed or not HoursRevision.objects.exists():
            note_change(now)


def _values(rule: Rule) -> dict[str, Any]:
    """The columns of a definition, as the database has them."""
    return {
        **{name: getattr(rule, name) for name in DEFINITION},
        "countries": sorted(rule.countries),
        "prefixes": list(rule.prefixes),
        "categories": sorted(rule.categories),
        "hours": [[list(span) for span in day] for day in rule.hours],
    }


def note_change(now: datetime) -> None:
    """What is held by now is judged anew; called in the transaction of the change. Quiet hours of queues call it too."""
    HoursRevision.objects.update_or_create(pk=HoursRevision.ONLY, defaults={"changed_at": now})
    hours.expire()
