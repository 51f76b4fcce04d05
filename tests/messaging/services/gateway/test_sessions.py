"""Sessions and their leases."""

from datetime import timedelta

import pytest

from messaging.models import GatewaySession
from messaging.services.gateway import credentials, sessions
from messaging.services.gateway.sessions import TooManySessions
from tests.factories import NOW, GatewayCredentialFactory

pytestmark = pytest.mark.django_db

RECEIVER = GatewaySession.Bind.RECEIVER


def bind(credential, now=NOW) -> GatewaySession:
    return sessions.bind(credential=credential, kind=RECEIVER, address="192.0.2.7", now=now)


def test_no_more_than_the_credential_allows() -> None:
    credential = GatewayCredentialFactory(max_sessions=1)
    other = GatewayCredentialFactory(max_sessions=1)
    first = bind(credential)

    with pytest.raises(TooManySessions):
        bind(credential)
    assert bind(other)
    sessions.release([first.pk])
    assert bind(credential)


def test_a_renewed_lease_does_not_end() -> None:
    credential = GatewayCredentialFactory(max_sessions=1)
    session = bind(credential)
    later = NOW + sessions.LEASE - timedelta(seconds=1)

    assert sessions.renew([session.pk], now=later) == {session.pk}
    with pytest.raises(TooManySessions):
        bind(credential, now=NOW + sessions.LEASE + timedelta(seconds=10))
    assert bind(credential, now=later + sessions.LEASE)
    assert sessions.renew([session.pk], now=later + sessions.LEASE) == set()


def test_sessions_of_whom_may_not_send_any_more_are_not_renewed() -> None:
    revoked, inactive, without, kept = (bind(GatewayCredentialFactory()) for _ in range(4))
    credentials.revoke(credential_id=revoked.credential_id, now=NOW)
    inactive.credential.user.is_active = False
    inactive.credential.user.save()
    without.credential.user.user_permissions.clear()

    ids = [each.pk for each in (revoked, inactive, without, kept)]
    assert sessions.renew(ids, now=NOW) == {kept.pk}


def test_sessions_are_counted_while_their_lease_lasts() -> None:
    credential = GatewayCredentialFactory()
    bind(credential)

    assert sessions.counts([credential.pk], now=NOW) == {credential.pk: 1}
    assert sessions.by_kind(now=NOW) == {"transmitter": 0, "receiver": 1, "transceiver": 0}
    assert sessions.counts([credential.pk], now=NOW + sessions.LEASE) == {}
