"""System checks for settings that Django accepts but that cannot work."""

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core import checks as framework
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError, transaction

from messaging import encryption, keywords, segments
from messaging.policy import calendars
from messaging.policy.prefixes import PREFIX
from messaging.services.inbound import replies_of_us_senders
from providers.http.public_addresses import Guard

# Time for everything but the call: claiming the message, storing the attempt, settling the result.
LEASE_MARGIN_SECONDS = 2.0
RATE = re.compile(r"[1-9]\d*/\d*[smhd]")


@register()
def check_lease(app_configs: Any, **_: Any) -> list[CheckMessage]:
    needed = settings.PROVIDER_CONNECT_TIMEOUT + settings.PROVIDER_READ_TIMEOUT + LEASE_MARGIN_SECONDS
    if needed <= settings.CLAIM_LEASE_SECONDS:
        return []
    return [
        Error(
            "CLAIM_LEASE_SECONDS is shorter than a provider call may take: messages in flight would become unknown.",
            hint=f"Set it to at least {needed:g}, or shorten the PROVIDER_*_TIMEOUT settings.",
            id="switchboard.E001",
        )
    ]


@register()
def check_positive(app_configs: Any, **_: Any) -> list[CheckMessage]:
    names = (
        "DISPATCH_CONCURRENCY",
        "CALLBACK_CONCURRENCY",
        "LIVE_STREAMS_PER_USER",
        "PROVIDER_CONNECT_TIMEOUT",
        "PROVIDER_READ_TIMEOUT",
        "SCHEDULE_MAX_LATENESS",
        "MAX_BODY_BYTES",
        "WEB_THREADS",
    )
    return [
        Error(f"{name} must be greater than zero.", hint=f"Unset {name} for its default.", id="switchboard.E002")
        for name in names
        if getattr(settings, name) <= 0
    ]


@register()
def check_rates(app_configs: Any, **_: Any) -> list[CheckMessage]:
    names = ("RATE_LIMIT_PER_TOKEN", "RATE_LIMIT_FAILED_LOGINS")
    return [
        Error(f"{name} is not a rate.", hint="Write it as 200/s, 10/m or 1000/h.", id="switchboard.E003")
        for name in names
        if not RATE.fullmatch(getattr(settings, name))
    ]


@register()
def check_networks(app_configs: Any, **_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in ("CALLBACK_ALLOWED_NETWORKS", "MEDIA_FETCH_ALLOWED_NETWORKS"):
        try:
            Guard.allowing(getattr(settings, name))
        except ValueError as error:
            found.append(
                Error(
                    f"{name} is not a list of networks: {error}.",
                    hint="Write them as 10.1.0.0/16,fd00:1::/64, with no bits set beyond the mask.",
                    id="switchboard.E004",
                )
            )
    return found


@register()
def check_time_zone(app_configs: Any, **_: Any) -> list[CheckMessage]:
    if settings.POLICY_DEFAULT_TIME_ZONE in available_timezones() - {"Factory", "localtime"}:  # placeholders, not zones
        return []
    return [
        Error(
            "POLICY_DEFAULT_TIME_ZONE is no time zone.",
            hint="Give an IANA name such as Europe/Berlin, or unset it for UTC.",
            id="switchboard.E006",
        )
    ]


@register()
def check_verification_limits(app_configs: Any, **_: Any) -> list[CheckMessage]:
    names = ("VERIFY_MAX_PER_NUMBER", "VERIFY_MAX_PER_ADDRESS", "VERIFY_MAX_PER_PREFIX", "VERIFY_MAX_PER_OWNER")
    least = {**dict.fromkeys(names, 0), "VERIFY_RETENTION_DAYS": 1}
    return [
        Error(
            f"{name} is less than {lowest}.",
            hint="Give a whole number; 0 switches a limit off." if lowest == 0 else "Give a number of days.",
            id="switchboard.E009",
        )
        for name, lowest in least.items()
        if getattr(settings, name) < lowest
    ]


@register()
def check_business_holidays(app_configs: Any, **_: Any) -> list[CheckMessage]:
    if not settings.BUSINESS_HOLIDAYS or calendars.is_calendar(settings.BUSINESS_HOLIDAYS):
        return []
    return [
        Error(
            "BUSINESS_HOLIDAYS is no calendar of holidays.",
            hint="Give a country such as US, a part of one such as DE-BY, or nothing.",
            id="switchboard.E007",
        )
    ]


@register()
def check_replies(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A reply of several segments costs several texts, and an operator who set a long name has not meant that."""
    rules = keywords.default_rules(brand=settings.MESSAGE_BRAND, contact=settings.MESSAGE_CONTACT)
    long = [str(action) for action, rule in rules.items() if segments.measure(rule.reply).segments > 1]
    if not long:
        return []
    return [
        framework.Warning(
            f"With this MESSAGE_BRAND and MESSAGE_CONTACT the reply takes more than one segment: {', '.join(long)}.",
            hint="Shorten them, and use letters of the GSM alphabet only.",
            id="switchboard.W002",
        )
    ]


@register(framework.Tags.database)
def check_us_senders(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """As all checks of the database, it runs with `migrate` and `check --database default`. The dashboard says the same."""
    if not databases:
        return []
    try:
        with transaction.atomic():
            senders = replies_of_us_senders.without_brand()
    except DatabaseError:
        return []  # before the first migration
    if not senders:
        return []
    return [
        framework.Warning(
            f"The reply to HELP names neither brand nor contact, as carriers in the US require of {', '.join(senders[:3])}.",
            hint="Set MESSAGE_BRAND and MESSAGE_CONTACT, or write a reply for HELP under Keywords in the console.",
            id="switchboard.W003",
        )
    ]


@register()
def check_pumping_hold(app_configs: Any, **_: Any) -> list[CheckMessage]:
    wrong = [each for each in settings.PUMPING_HOLD if each != "all" and not PREFIX.fullmatch(each)]
    if not wrong:
        return []
    return [
        Error(
            f"PUMPING_HOLD has what is neither a prefix nor all: {', '.join(wrong)}.",
            hint="Write prefixes such as +62,+880, or all, or unset it.",
            id="switchboard.E008",
        )
    ]


@register(deploy=True)
def check_public_url(app_configs: Any, **_: Any) -> list[CheckMessage]:
    if settings.HTTPS:
        return []
    return [
        framework.Warning(
            "PUBLIC_URL is not https: receipts and tokens are not encrypted, and callbacks can be forged in transit.",
            hint="Set PUBLIC_URL to the https address that providers call.",
            id="switchboard.W001",
        )
    ]


@register()
def check_encryption_keys(app_configs: Any, **_: Any) -> list[CheckMessage]:
    try:
        encryption.read_keys(settings.FIELD_ENCRYPTION_KEYS)
    except encryption.InvalidKeys as error:
        hint = (
            "Write FIELD_ENCRYPTION_KEYS=new:<secret>,old:<secret>; create a secret with "
            "python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
        )
        return [Error(f"FIELD_ENCRYPTION_KEYS: {error}", hint=hint, id="switchboard.E005")]
    return []
