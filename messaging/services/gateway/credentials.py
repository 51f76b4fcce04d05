"""Gateway credentials: issue, verify and revoke. Doors for clients of other systems share them."""

import ipaddress
import re
import secrets
import string
import time
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol, cast

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import AbstractBaseUser
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django_ratelimit.core import _split_rate

from messaging.models import GatewayCredential
from messaging.models.gateway import MAX_SESSIONS, MAX_SYSTEM_ID
from messaging.services.errors import DomainError, InvalidField

# Letters and digits that cannot be mistaken for one another.
_LOOKALIKES = frozenset("0O1lI")
ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - _LOOKALIKES))
PASSWORD_LENGTH = 8
MAX_NETWORKS = 50
# Passwords are random, 46 bits, so that a twentieth of Django's iterations keeps a stolen hash safe for years. All clients bind
# anew when a server restarts, and each check takes the processor some 15 ms instead of a third of a second.
ITERATIONS = 50_000
_HASHER = PBKDF2PasswordHasher()
_SYSTEM_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_SYSTEM_ID}}}")
_SUFFIX_LENGTH = 5
# A system id may be tried from many addresses: so many times the failures of one address are allowed to it.
TRIES_OF_SYSTEM_ID = 10
TAKEN = "There is a credential with this system ID."
PERMISSION = "messaging.add_message"
# `last_used_at` is for people; it is written at most this often, in seconds.
USE_NOTED_EVERY = 60


class WrongCredential(DomainError):
    """Unknown, revoked, or with another password: a stranger is not told which."""

    code = "wrong_credential"


class AddressNotAllowed(DomainError):
    code = "address_not_allowed"


class TooManyFailures(DomainError):
    code = "too_many_failures"


class _CountingCache(Protocol):
    """What this module needs of `config.cache.Cache`."""

    def count(self, key: str, seconds: int) -> int: ...


def issue(
    *,
    user: AbstractBaseUser,
    now: datetime,
    system_id: str = "",
    label: str = "",
    allowed_addresses: Sequence[str] = (),
    max_sessions: int = 2,
    receives_texts: bool = False,
) -> tuple[GatewayCredential, str]:
    """Return the credential and its password, which is not shown again. Without `system_id` one is made from the user's name.

    Raises `InvalidField`.
    """
    if system_id:
        check_system_id(system_id)
    if not 1 <= max_sessions <= MAX_SESSIONS:
        raise InvalidField("max_sessions", "invalid", f"The number of sessions must be from 1 to {MAX_SESSIONS}.")
    networks = read_networks(allowed_addresses)
    password = "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH))
    row = GatewayCredential(
        user_id=user.pk,
        system_id=system_id or _free_system_id(user.get_username()),
        password=hashed(password),
        label=label,
        allowed_addresses=networks,
        max_sessions=max_sessions,
        receives_texts=receives_texts,
        created_at=now,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise InvalidField("system_id", "taken", TAKEN) from None
    return row, password


def check_system_id(system_id: str) -> str:
    """Return it. Raises `InvalidField` for one that cannot be used, or is used already."""
    if not _SYSTEM_ID.fullmatch(system_id):
        raise InvalidField(
            "system_id", "invalid", f"A system ID has 1 to {MAX_SYSTEM_ID} letters, digits, hyphens and underscores."
        )
    if GatewayCredential.objects.filter(system_id=system_id).exists():
        raise InvalidField("system_id", "taken", TAKEN)
    return system_id


def read_networks(texts: Sequence[str]) -> list[str]:
    """Return the networks in their usual notation. Raises `InvalidField`."""
    if len(texts) > MAX_NETWORKS:
        raise InvalidField("allowed_addresses", "too_many", f"At most {MAX_NETWORKS} networks.")
    try:
        return [str(ipaddress.ip_network(text.strip())) for text in texts]
    except ValueError:
        raise InvalidField(
            "allowed_addresses", "invalid", "Name addresses or networks, such as 192.0.2.7 or 10.1.0.0/16."
        ) from None


def _free_system_id(username: str) -> str:
    base = re.sub(r"[^A-Za-z0-9_-]", "", username)[:MAX_SYSTEM_ID]
    if base and not GatewayCredential.objects.filter(system_id=base).exists():
        return base
    suffix = "".join(secrets.choice(ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return f"{base[: MAX_SYSTEM_ID - _SUFFIX_LENGTH - 1] or 'client'}-{suffix}"


def verify(*, system_id: str, password: str, address: str, now: datetime) -> GatewayCredential:
    """Return the credential, with its user. Raises `WrongCredential`, `AddressNotAllowed` or `TooManyFailures`.

    It takes as long for an unknown system ID as for a wrong password. Failures are counted by address and by system ID; from
    an address that the credential does not allow they do not count against its system ID, so a stranger cannot lock it out.
    """
    is_readable = _SYSTEM_ID.fullmatch(system_id) is not None
    if _failures(f"ip:{address}") >= _limit():
        raise TooManyFailures("Too many failed tries from this address.")
    row = GatewayCredential.objects.select_related("user").filter(system_id=system_id).first() if is_readable else None
    if is_readable and _failures(f"id:{system_id}") >= TRIES_OF_SYSTEM_ID * _limit():
        raise TooManyFailures("Too many failed tries with this system ID.")
    is_right = _is_password(password, row.password if row is not None else _no_password())
    if row is None or not is_right or row.revoked_at is not None:
        _count_failure(f"ip:{address}")
        if is_readable and (row is None or _is_allowed(row, address)):
            _count_failure(f"id:{system_id}")
        raise WrongCredential("The system ID or the password is wrong.")
    if not _is_allowed(row, address):
        raise AddressNotAllowed("This address is not allowed.")
    if not row.user.has_perm(PERMISSION):
        raise WrongCredential("The user may not send.")
    _note_use(row, now)
    return row


def revoke(*, credential_id: int, now: datetime) -> GatewayCredential:
    """Refuse the credential from now on. Its sessions are closed when their server renews them, within seconds."""
    with transaction.atomic():
        row = GatewayCredential.objects.select_for_update().get(pk=credential_id)
        if row.revoked_at is None:
            row.revoked_at = now
            row.save(update_fields=["revoked_at"])  # not `update`: the signal makes this process forget the credential
    return row


def _note_use(row: GatewayCredential, now: datetime) -> None:
    if row.last_used_at is None or (now - row.last_used_at).total_seconds() >= USE_NOTED_EVERY:
        GatewayCredential.objects.filter(pk=row.pk).update(last_used_at=now)


def _is_allowed(row: GatewayCredential, address: str) -> bool:
    if not row.allowed_addresses:
        return True
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in ipaddress.ip_network(network) for network in row.allowed_addresses)


def hashed(password: str) -> str:
    """The password as it is stored."""
    return _HASHER.encode(password, _HASHER.salt(), iterations=ITERATIONS)


def _is_password(password: str, stored: str) -> bool:
    return _HASHER.verify(password[:64], stored)


@lru_cache(maxsize=1)
def _no_password() -> str:
    """A hash that no password has, for the work of checking one."""
    return hashed(secrets.token_urlsafe(32))


def _limit() -> int:
    """Failures of one address within the period of `RATE_LIMIT_FAILED_LOGINS`."""
    limit, _ = _split_rate(settings.RATE_LIMIT_FAILED_LOGINS)
    return int(limit)


def _key(name: str) -> tuple[str, int]:
    _, period = _split_rate(settings.RATE_LIMIT_FAILED_LOGINS)
    return f"gateway-failed:{name}:{int(time.time()) // period}", period


def _failures(name: str) -> int:
    return int(cache.get(_key(name)[0], 0))


def _count_failure(name: str) -> None:
    key, period = _key(name)
    cast("_CountingCache", cache).count(key, period)
