"""The users behind live streams, and whether they still have access: a stream can outlive its token."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.db.models import Q
from django.http import HttpRequest

from messaging.models import ApiToken
from messaging.services.representation import READ_TEXTS

PERMISSION = "messaging.view_message"
BACKEND = "django.contrib.auth.backends.ModelBackend"
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A user and its credential: the digest of a token, or else the key of a browser session.

    `as_staff`: the stream belongs to another owner; then `reads_texts` says whether texts are shown.
    """

    user_id: int
    token: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    as_staff: bool = False
    reads_texts: bool = True


def still_authorized(subscribers: Collection[Subscriber], *, now: datetime) -> set[Subscriber]:
    """Return the subscribers with a valid credential and the needed permissions.

    Two queries for any number of tokens; one more when staff users read other owners' texts; more for each session.
    """
    users = _users({subscriber.user_id for subscriber in subscribers})
    readers = _readers(
        {subscriber.user_id for subscriber in subscribers if subscriber.as_staff and subscriber.reads_texts}
    )
    tokens = _tokens({subscriber.token for subscriber in subscribers if subscriber.token}, now)
    return {
        subscriber
        for subscriber in subscribers
        if subscriber.user_id in users
        and (users[subscriber.user_id] or not subscriber.as_staff)
        and (subscriber.user_id in readers or not (subscriber.as_staff and subscriber.reads_texts))
        and (tokens.get(subscriber.token) == subscriber.user_id if subscriber.token else _session_is_valid(subscriber))
    }


def _users(ids: Collection[int]) -> dict[int, bool]:
    """The active users with the permission, and whether each is staff."""
    allowed = get_user_model().objects.with_perm(PERMISSION, backend=BACKEND)
    return dict(allowed.filter(pk__in=ids).values_list("pk", "is_staff"))


def _readers(ids: Collection[int]) -> set[int]:
    if not ids:
        return set()
    allowed = get_user_model().objects.with_perm(READ_TEXTS, backend=BACKEND)
    return set(allowed.filter(pk__in=ids).values_list("pk", flat=True))


def _tokens(digests: Collection[str], now: datetime) -> dict[str, int]:
    unexpired = Q(expiry__isnull=True) | Q(expiry__gt=now)
    return dict(ApiToken.objects.filter(unexpired, digest__in=digests).values_list("digest", "user"))


def _session_is_valid(subscriber: Subscriber) -> bool:
    request = HttpRequest()
    request.session = SessionStore(session_key=subscriber.session)
    return get_user(request).pk == subscriber.user_id
