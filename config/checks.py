"""System checks for settings that Django accepts but that cannot work."""

import re
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core import checks as framework
from django.core.checks import CheckMessage, Error, register

from messaging import encryption
from messaging.policy.prefixes import PREFIX
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
