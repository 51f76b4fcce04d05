"""Read and change what an owner has decided for its own texts."""

from collections.abc import Mapping
from datetime import datetime, time

from django.contrib.auth.models import User
from django.db import transaction

from messaging.models import OwnerPolicy
from messaging.policy import quiet, zones
from messaging.policy.quiet import InvalidQuietHours
from messaging.services.errors import InvalidField
from messaging.services.outbound import held, hours, sender_rules
from providers.models import SenderNumber
from providers.senders import SenderKind, kind_of

EDITABLE = ("default_time_zone", "quiet_from", "quiet_until", "fallback_sender")


def of(owner: User) -> OwnerPolicy:
    """The owner's policy, not stored if nothing is decided."""
    return OwnerPolicy.objects.filter(owner=owner).first() or OwnerPolicy(owner=owner)


def change(*, owner: User, changes: Mapping[str, str | time | SenderNumber | None], now: datetime) -> OwnerPolicy:
    """Change some of the `EDITABLE` fields. What is held of this owner is judged anew. Raises `InvalidField`."""
    with transaction.atomic():
        OwnerPolicy.objects.bulk_create([OwnerPolicy(owner=owner)], ignore_conflicts=True)
        policy = OwnerPolicy.objects.select_for_update().get(owner=owner)
        policy.owner = owner
        before = policy.decided()
        for field in EDITABLE:
            if field in changes:
                setattr(policy, field, changes[field])
        check(policy)
        if policy.decided() != before:
            policy.effective_at = now + held.TAKES_EFFECT_AFTER
        policy.save(update_fields=[*EDITABLE, "effective_at"])
    hours.expire()
    sender_rules.expire()
    return policy


def check(policy: OwnerPolicy) -> None:
    """Raises `InvalidField` for what cannot be meant."""
    if policy.default_time_zone and not zones.is_zone(policy.default_time_zone):
        raise InvalidField("default_time_zone", "unknown_time_zone", "There is no time zone of this name.")
    check_quiet_hours(policy.quiet_from, policy.quiet_until)
    sender = policy.fallback_sender
    if sender is not None and sender.owner_id not in {None, policy.owner_id}:
        raise InvalidField("fallback_sender", "sender_not_allowed", "This is not one of the owner's senders.")
    if sender is not None and kind_of(sender.number) is SenderKind.NAME:
        raise InvalidField("fallback_sender", "not_a_number", "A fallback sender is a number or a short code.")


def check_quiet_hours(quiet_from: time | None, quiet_until: time | None) -> None:
    """Raises `InvalidField` for wall times that are no quiet hours."""
    try:
        quiet.check(quiet_from, quiet_until)
    except InvalidQuietHours as error:
        raise InvalidField("quiet_hours", error.code, str(error)) from None
