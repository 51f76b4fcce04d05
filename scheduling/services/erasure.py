"""Erase a phone number from all recipient lists and all messages."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from messaging.services.privacy import erasure
from messaging.services.privacy.erasure import Erased
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.services import list_retention


def erase(*, number: str, reason: str, actor: User, now: datetime) -> Erased:
    """Remove the number from all lists first, so that no run creates a message to it; then erase it from messages.

    Lists that wait to be saved are discarded if they may have it. Raises `NotErasable` while a message to it is in flight, or
    such a list is being saved; then the lists are unchanged.
    """
    erasure.refuse_in_flight(number)
    list_retention.discard_with(number, now=now)
    with transaction.atomic():
        listed = ScheduleRecipient.objects.filter(number=number)
        schedules = list(
            Schedule.objects.select_for_update()
            .filter(pk__in=listed.values("schedule"))
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        listed.filter(schedule__in=schedules).delete()
        Schedule.objects.filter(pk__in=schedules).update(recipient_count=F("recipient_count") - 1)
    return erasure.erase(number=number, reason=reason, actor=actor, now=now)
