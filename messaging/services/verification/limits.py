"""How many codes may be sent within an hour: to a number, to a prefix, for an end user's address, and by an owner."""

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from messaging.models import VerificationLimit
from messaging.policy.pumping import prefix_of
from messaging.services.errors import VerificationRateLimited
from messaging.services.privacy import fingerprints

PERIOD = timedelta(hours=1)
PURPOSE = "verification limit"
IPV6_NETWORK = 64  # what one subscriber has; a single address costs nothing
_TABLE = VerificationLimit._meta.db_table  # noqa: SLF001 (public in all but its name)
_IS_OVER = f"{_TABLE}.started_at <= %s"
# One statement counts, begins a new period, or changes nothing: then it returns no row.
_COUNT = (
    f"INSERT INTO {_TABLE} (key, started_at, count) VALUES (%s, %s, 1) ON CONFLICT (key) DO UPDATE SET "  # noqa: S608
    f"count = CASE WHEN {_IS_OVER} THEN 1 ELSE {_TABLE}.count + 1 END, "
    f"started_at = CASE WHEN {_IS_OVER} THEN excluded.started_at ELSE {_TABLE}.started_at END "
    f"WHERE {_IS_OVER} OR {_TABLE}.count < %s RETURNING count"
)


@dataclass(frozen=True, slots=True)
class _Limit:
    scope: str
    value: str = field(repr=False)
    most: int
    detail: str

    @property
    def key(self) -> str:
        return f"{self.scope}:{fingerprints.hmac_digest(PURPOSE, f'{self.scope}:{self.value}'.encode())[0]}"


def network_of(address: str) -> str:
    """What is counted as one end user: an IPv4 address, or the first 64 bits of an IPv6 address."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))
    return str(parsed)


def count(*, to: str, client_address: str, owner_id: int, now: datetime) -> None:
    """Count one send, or raise `VerificationRateLimited`. Call it last in the transaction that stores the send.

    A refusal rolls back the whole transaction, and with it what was counted. The counts are exact, because their rows stay
    locked until the commit; they are locked in the same order everywhere, the busiest last.
    """
    limits = [
        _Limit("number", to, settings.VERIFY_MAX_PER_NUMBER, "to this number"),
        _Limit("prefix", prefix_of(to), settings.VERIFY_MAX_PER_PREFIX, "to numbers with this prefix"),
        _Limit("owner", str(owner_id), settings.VERIFY_MAX_PER_OWNER, "by this account"),
    ]
    if client_address:
        by_address = _Limit("address", network_of(client_address), settings.VERIFY_MAX_PER_ADDRESS, "for this address")
        limits.insert(1, by_address)
    for limit in limits:
        if limit.most:
            _count(limit, now)


def _count(limit: _Limit, now: datetime) -> None:
    at = connection.ops.adapt_datetimefield_value(now)
    over = connection.ops.adapt_datetimefield_value(now - PERIOD)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [limit.key, at, over, over, over, limit.most])
        if cursor.fetchone() is not None:
            return
    started_at = VerificationLimit.objects.values_list("started_at", flat=True).get(pk=limit.key)
    wait = (started_at + PERIOD - now).total_seconds()
    raise VerificationRateLimited(
        f"{limit.most} codes were sent {limit.detail} within an hour.", retry_after=max(1, int(wait) + 1)
    )
