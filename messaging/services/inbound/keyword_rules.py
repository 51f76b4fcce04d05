"""The keyword rules of one of our numbers."""

from django.conf import settings
from django.db.models import F, Q

from messaging.keywords import Action, MatchRule, default_rules
from messaging.models import KeywordRule


def rules_for(number: str) -> dict[Action, MatchRule]:
    """For each action: the number's own rule, else the rule for all numbers, else the default."""
    rules = default_rules(brand=settings.MESSAGE_BRAND, contact=settings.MESSAGE_CONTACT)
    rows = KeywordRule.objects.filter(Q(sender_number__isnull=True) | Q(sender_number__number=number))
    for row in rows.order_by(F("sender_number").asc(nulls_first=True)):
        rules[Action(row.action)] = row.as_rule()
    return rules
