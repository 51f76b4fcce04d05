"""Who calls: the gateway credential in the parameters of a request, and how often it may."""

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from messaging import request_limits
from messaging.gateway_http.memory import digest_of, remembered
from messaging.models import GatewayCredential
from messaging.services.errors import DomainError
from messaging.services.gateway import credentials


class TooManyRequests(DomainError):
    code = "throttled"


def verified(request: HttpRequest, *, username: str, password: str, now: datetime) -> GatewayCredential:
    """Return the credential, with its user. Raises what `credentials.verify` raises."""
    address: str = import_string(settings.RATELIMIT_IP_META_KEY)(request)
    digest = digest_of(username, password, address)
    known = remembered.get(digest)
    if known is not None:
        return known
    begun = remembered.begin()
    row = credentials.verify(system_id=username, password=password, address=address, now=now)
    remembered.put(digest, row, begun)
    return row


def admit(credential: GatewayCredential, *, requests: int = 1) -> None:
    """Count the requests. Raises `TooManyRequests` for a credential that was at its limit before."""
    if not request_limits.admit(f"gateway:{credential.pk}", requests=requests).admitted:
        raise TooManyRequests("There were too many requests.")
