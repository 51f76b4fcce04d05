"""Credentials of clients of Twilio's API."""

import re

import pytest

from messaging.models import TwilioAccount, TwilioApiKey
from messaging.sealing import unseal
from messaging.services.errors import InvalidField
from messaging.services.twilio import credentials
from tests.factories import NOW, UserFactory
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db


def issue(user) -> tuple[TwilioAccount, str]:
    return credentials.issue(user=user, now=NOW)


def is_valid(sid: str, secret: str) -> bool:
    return credentials.verify(sid=sid, secret=secret) is not None


def test_it_has_the_form_of_twilios_and_only_a_sealed_token_is_stored() -> None:
    row, token = issue(UserFactory())

    assert re.fullmatch(r"AC[0-9a-f]{32}", row.sid)
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert token not in repr(vars(row))
    assert unseal(credentials.PURPOSE, row.auth_token) == token
    client = credentials.verify(sid=row.sid, secret=token)
    assert (client.user, client.account, client.key, client.sid) == (row.user, row, None, row.sid)


def test_issued_again_there_are_two_tokens_and_never_three() -> None:
    user = UserFactory()
    first, old = issue(user)

    second, new = issue(user)

    assert first.sid == second.sid
    assert is_valid(first.sid, old)
    assert is_valid(first.sid, new)
    with pytest.raises(InvalidField, match="promote"):
        issue(user)
    assert is_valid(first.sid, old)
    assert is_valid(first.sid, new)


def test_promoting_the_secondary_token_refuses_the_old_one() -> None:
    row, old = issue(UserFactory())
    _, new = credentials.issue_secondary(account_id=row.pk)

    promoted = credentials.promote(account_id=row.pk)

    assert not is_valid(row.sid, old)
    assert is_valid(row.sid, new)
    assert unseal(credentials.PURPOSE, promoted.auth_token) == new
    with pytest.raises(InvalidField, match="no secondary"):
        credentials.promote(account_id=row.pk)
    assert is_valid(row.sid, new)


def test_a_new_secondary_token_replaces_the_one_before() -> None:
    row, primary = issue(UserFactory())
    _, old = credentials.issue_secondary(account_id=row.pk)
    _, new = credentials.issue_secondary(account_id=row.pk)

    assert [is_valid(row.sid, token) for token in (primary, old, new)] == [True, False, True]


def test_a_revoked_account_is_refused_until_a_new_token_is_issued() -> None:
    row, old = issue(UserFactory())
    _, secondary = credentials.issue_secondary(account_id=row.pk)
    key, secret = credentials.issue_key(account_id=row.pk, label="shop", now=NOW)
    credentials.revoke(account_id=row.pk, now=NOW)
    assert not any(is_valid(row.sid, token) for token in (old, secondary))
    for refused in (
        lambda: credentials.issue_secondary(account_id=row.pk),
        lambda: credentials.promote(account_id=row.pk),
        lambda: credentials.issue_key(account_id=row.pk, label="", now=NOW),
    ):
        with pytest.raises(InvalidField, match="revoked"):
            refused()

    again, new = issue(row.user)

    assert again.sid == row.sid
    assert is_valid(row.sid, new)
    assert not any(is_valid(row.sid, token) for token in (old, secondary))
    assert not is_valid(key.sid, secret)


def test_an_api_key_belongs_to_its_account() -> None:
    row, token = issue(UserFactory())

    key, secret = credentials.issue_key(account_id=row.pk, label="shop", now=NOW)

    assert re.fullmatch(r"SK[0-9a-f]{32}", key.sid)
    assert re.fullmatch(r"[A-Za-z0-9]{32}", secret)
    assert secret not in repr(vars(key))
    client = credentials.verify(sid=key.sid, secret=secret)
    assert (client.user, client.account, client.key, client.sid) == (row.user, row, key, key.sid)
    assert not is_valid(key.sid, token)
    assert not is_valid(row.sid, secret)


def test_an_account_has_a_limited_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_KEYS", 2)
    row, _ = issue(UserFactory())
    first, _ = credentials.issue_key(account_id=row.pk, label="", now=NOW)
    credentials.issue_key(account_id=row.pk, label="", now=NOW)

    with pytest.raises(InvalidField, match="2 API keys"):
        credentials.issue_key(account_id=row.pk, label="", now=NOW)
    credentials.revoke_key(key_id=first.pk, now=NOW)
    credentials.issue_key(account_id=row.pk, label="", now=NOW)


def test_an_empty_secret_is_never_right() -> None:
    row, _ = issue(UserFactory())
    TwilioAccount.objects.update(auth_token_digest="")

    assert not is_valid(row.sid, "")


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_both_tokens_are_valid() -> None:
    user = UserFactory()

    issued = at_once([lambda: issue(user), lambda: issue(user)])

    assert TwilioAccount.objects.count() == 1
    assert all(is_valid(row.sid, token) for row, token in issued)


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_keys_holds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_KEYS", 1)
    row, _ = issue(UserFactory())

    def issue_key() -> str:
        try:
            return credentials.issue_key(account_id=row.pk, label="", now=NOW)[1]
        except InvalidField:
            return ""

    assert sorted(map(bool, at_once([issue_key, issue_key]))) == [False, True]
    assert TwilioApiKey.objects.count() == 1
