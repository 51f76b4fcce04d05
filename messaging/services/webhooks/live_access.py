"""Who follows live, and whether they still may: a stream outlives the moment in which its token was looked at."""

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
    """A user by the proof it came with: a token's digest, or else the key of a browser's session.

    `as_staff`: it follows what belongs to somebody else, and if it `reads_texts` it is shown them.
    """

    user_id: int
    token: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    as_staff: bool = False
    reads_texts: bool = True


def still_authorized(guests: Collection[Subscriber], *, now: datetime) -> set[Subscriber]:
    """Those whose proof still stands and who still have the permissions; two queries for any number with tokens, a third where
    staff read others' texts.
    """
    users = _users({guest.user_id for guest in guests})
    readers = _readers({guest.user_id for guest in guests if guest.as_staff and guest.reads_texts})
    tokens = _tokens({guest.token for guest in guests if guest.token}, now)
    return {
        guest
        for guest in guests
        if guest.user_id in users
        and (users[guest.user_id] or not guest.as_staff)
        and (guest.user_id in readers or not (guest.as_staff and guest.reads_texts))
        and (tokens.get(guest.token) == guest.user_id if guest.token else _session_stands(guest))
    }


def _users(ids: Collection[int]) -> dict[int, bool]:
    """The active ones with the permission, and whether each is staff."""
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


def _session_stands(guest: Subscriber) -> bool:
    request = HttpRequest()
    request.session = SessionStore(session_key=guest.session)
    return get_user(request).pk == guest.user_id
