"""The client's IP address, also behind proxies."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "0.0.0.0"  # noqa: S104 (means "no address"; nothing binds to it)


def client_address(request: HttpRequest) -> str:
    """Return the peer's address or, behind `TRUSTED_PROXY_COUNT` trusted proxies, the address that the outermost one saw."""
    peer: str = request.META.get("REMOTE_ADDR", "")
    hops = settings.TRUSTED_PROXY_COUNT
    if hops:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if len(forwarded) >= hops:
            peer = forwarded[-hops]
    try:
        return str(ipaddress.ip_address(peer))
    except ValueError:
        return UNKNOWN
