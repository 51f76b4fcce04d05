"""Credentials of clients that speak Twilio's API: issue, rotate, verify and revoke.

Tokens and secrets are random, 128 bits and more, so that a plain digest of one cannot be reversed.
"""

import hashlib
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.db.models import Q

from messaging.models import TwilioAccount, TwilioApiKey
from messaging.models.twilio import SID_LENGTH
from messaging.sealing import seal
from messaging.services.errors import InvalidField

PURPOSE = "twilio-auth-tokens"
ACCOUNT, KEY = "AC", "SK"
TOKEN_BYTES = 16
SECRET_LENGTH = 32
MAX_KEYS = 50
# `last_used_at` is for people; it is written at most this often.
USE_NOTED_EVERY = timedelta(minutes=1)
_ALPHABET = string.ascii_letters + string.digits


@dataclass(slots=True)
class TwilioClient:
    """The authenticated client of one request. `key` is set if it used an API key."""

    user: User
    account: TwilioAccount
    key: TwilioApiKey | None = None

    @property
    def sid(self) -> str:
        return self.account.sid if self.key is None else self.key.sid


def issue(*, user: AbstractBaseUser, now: datetime) -> tuple[TwilioAccount, str]:
    """Return the user's account and an auth token, which is not shown again. Tokens that are in use stay valid.

    The first token is the primary one, the second one the secondary. A revoked account keeps its SID and gets a new token; its
    API keys stay revoked. Raises `InvalidField` if there are two tokens already.
    """
    token = secrets.token_hex(TOKEN_BYTES)
    with transaction.atomic():
        TwilioAccount.objects.bulk_create(
            [TwilioAccount(user_id=user.pk, sid=_new_sid(ACCOUNT), created_at=now)], ignore_conflicts=True
        )
        row = TwilioAccount.objects.select_for_update(of=("self",)).get(user=user.pk)
        if row.revoked_at is not None or not row.auth_token:
            if row.revoked_at is not None:
                row.api_keys.filter(revoked_at__isnull=True).update(revoked_at=row.revoked_at)
            row.revoked_at, row.secondary_token, row.secondary_token_digest = None, "", ""
            row.auth_token, row.auth_token_digest = _stored(token)
        elif not row.secondary_token:
            row.secondary_token, row.secondary_token_digest = _stored(token)
        else:
            raise InvalidField(
                "user",
                "has_two_tokens",
                "There are a primary and a secondary auth token; promote the secondary one first.",
            )
        row.save()
    return row, token


def issue_secondary(*, account_id: int) -> tuple[TwilioAccount, str]:
    """Return a new secondary auth token, which replaces the present one. Raises `InvalidField` for a revoked account."""
    token = secrets.token_hex(TOKEN_BYTES)
    with transaction.atomic():
        row = _usable(account_id)
        row.secondary_token, row.secondary_token_digest = _stored(token)
        row.save()
    return row, token


def promote(*, account_id: int) -> TwilioAccount:
    """Make the secondary auth token the primary one, and refuse the primary one. Raises `InvalidField` without a secondary."""
    with transaction.atomic():
        row = _usable(account_id)
        if not row.secondary_token:
            raise InvalidField("user", "no_secondary_token", "There is no secondary auth token to promote.")
        row.auth_token, row.auth_token_digest = row.secondary_token, row.secondary_token_digest
        row.secondary_token = row.secondary_token_digest = ""
        row.save()
    return row


def issue_key(*, account_id: int, label: str, now: datetime) -> tuple[TwilioApiKey, str]:
    """Return an API key and its secret, which is not shown again. Raises `InvalidField`."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    with transaction.atomic():
        account = _usable(account_id)
        if account.api_keys.filter(revoked_at__isnull=True).count() >= MAX_KEYS:
            raise InvalidField("account", "too_many_keys", f"There are {MAX_KEYS} API keys already; revoke one.")
        row = TwilioApiKey.objects.create(
            account=account, sid=_new_sid(KEY), secret_digest=digest_of(secret), label=label, created_at=now
        )
    return row, secret


def revoke(*, account_id: int, now: datetime) -> TwilioAccount:
    """Refuse the account's tokens and API keys from now on."""
    with transaction.atomic():
        row = TwilioAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
        row.revoked_at = row.revoked_at or now
        row.save(update_fields=["revoked_at"])
    return row


def revoke_key(*, key_id: int, now: datetime) -> TwilioApiKey:
    with transaction.atomic():
        row = TwilioApiKey.objects.select_for_update(of=("self",)).get(pk=key_id)
        row.revoked_at = row.revoked_at or now
        row.save(update_fields=["revoked_at"])
    return row


def verify(*, sid: str, secret: str) -> TwilioClient | None:
    """The client with this account SID and auth token, or API key and secret; None for any other."""
    given = digest_of(secret)
    if len(sid) != SID_LENGTH or not (sid.isascii() and sid.isalnum()):
        return None
    if sid.startswith(ACCOUNT):
        account = TwilioAccount.objects.select_related("user").filter(sid=sid, revoked_at=None).first()
        digests = [account.auth_token_digest, account.secondary_token_digest] if account is not None else []
        key = None
    else:
        keys = TwilioApiKey.objects.select_related("account__user")
        key = keys.filter(sid=sid, revoked_at=None, account__revoked_at=None).first()
        account, digests = (key.account, [key.secret_digest]) if key is not None else (None, [])
    is_right = any(compare_digest(given, digest) for digest in digests if digest)
    if account is None or not is_right or not account.user.is_active:
        return None
    return TwilioClient(account.user, account, key)


def note_use(client: TwilioClient, now: datetime) -> None:
    row: TwilioAccount | TwilioApiKey = client.account if client.key is None else client.key
    if row.last_used_at is not None and now - row.last_used_at < USE_NOTED_EVERY:
        return
    rows: Any = type(row)._default_manager.filter(pk=row.pk)  # noqa: SLF001 (Django's public name for it)
    rows.filter(Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED_EVERY)).update(last_used_at=now)
    row.last_used_at = now


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _stored(token: str) -> tuple[str, str]:
    return seal(PURPOSE, token), digest_of(token)


def _new_sid(kind: str) -> str:
    return kind + secrets.token_hex(16)


def _usable(account_id: int) -> TwilioAccount:
    row = TwilioAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    if row.revoked_at is not None:
        raise InvalidField("user", "revoked", "The credential is revoked; issue a new one.")
    return row
