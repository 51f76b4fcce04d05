"""Gateway credentials: issued, verified and revoked."""

import pytest

from messaging.models import GatewayCredential
from messaging.services.errors import InvalidField
from messaging.services.gateway import credentials
from messaging.services.gateway.credentials import AddressNotAllowed, TooManyFailures, WrongCredential
from tests.factories import NOW, GatewayCredentialFactory, UserFactory

pytestmark = pytest.mark.django_db

ADDRESS = "192.0.2.7"


def verify(system_id: str = "shop", password: str = "secret12", address: str = ADDRESS) -> GatewayCredential:
    return credentials.verify(system_id=system_id, password=password, address=address, now=NOW)


def test_a_password_has_eight_characters_that_cannot_be_mistaken() -> None:
    passwords = [credentials.issue(user=UserFactory(), now=NOW)[1] for _ in range(20)]

    assert len(set(passwords)) == 20
    assert all(len(password) == 8 and not set(password) & set("0O1lI") for password in passwords)
    assert all(password.isalnum() for password in passwords)


@pytest.mark.parametrize(
    ("username", "system_id"), [("shop", "shop"), ("a.b@example.com", "abexamplecom"), ("x" * 30, "x" * 15)]
)
def test_a_system_id_is_made_from_the_user_name(username: str, system_id: str) -> None:
    row, _ = credentials.issue(user=UserFactory(username=username), now=NOW)

    assert row.system_id == system_id


@pytest.mark.parametrize("username", ["shop", "é", "x" * 30])
def test_a_made_system_id_is_free_and_fits(username: str) -> None:
    user = UserFactory(username=username)

    ids = {credentials.issue(user=user, now=NOW)[0].system_id for _ in range(3)}

    assert len(ids) == 3
    assert all(len(each) <= 15 for each in ids)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"system_id": "a b"}, "system_id"),
        ({"system_id": "x" * 16}, "system_id"),
        ({"system_id": "taken"}, "system_id"),
        ({"max_sessions": 0}, "max_sessions"),
        ({"max_sessions": 101}, "max_sessions"),
        ({"allowed_addresses": ["10.0.0.1/8"]}, "allowed_addresses"),
        ({"allowed_addresses": ["192.0.2.7"] * 51}, "allowed_addresses"),
    ],
)
def test_what_cannot_be_is_refused(values: dict, field: str) -> None:
    GatewayCredentialFactory(system_id="taken")

    with pytest.raises(InvalidField) as refusal:
        credentials.issue(user=UserFactory(), now=NOW, **values)

    assert refusal.value.field == field
    assert GatewayCredential.objects.count() == 1


def test_the_right_password_is_verified_and_its_use_noted() -> None:
    row = GatewayCredentialFactory(system_id="shop")

    assert verify() == row
    row.refresh_from_db()
    assert row.last_used_at == NOW


@pytest.mark.parametrize(
    ("system_id", "password"), [("shop", "wrong"), ("nobody", "secret12"), ("", ""), ("sh\0p", "x"), ("shop", "\0")]
)
def test_every_refusal_takes_the_work_of_one_password(monkeypatch, system_id: str, password: str) -> None:
    GatewayCredentialFactory(system_id="shop")
    checked = []

    def check(_password: str, stored: str) -> bool:
        checked.append(stored)
        return False

    monkeypatch.setattr(credentials, "_is_password", check)

    with pytest.raises(WrongCredential):
        verify(system_id, password)
    assert len(checked) == 1


def test_a_user_who_may_not_send_is_refused() -> None:
    row = GatewayCredentialFactory(system_id="shop")
    row.user.user_permissions.clear()

    with pytest.raises(WrongCredential):
        verify()


def test_an_inactive_user_is_refused() -> None:
    row = GatewayCredentialFactory(system_id="shop")
    row.user.is_active = False
    row.user.save()

    with pytest.raises(WrongCredential):
        verify()


def test_a_revoked_one_is_refused_and_keeps_its_time() -> None:
    row = GatewayCredentialFactory(system_id="shop")

    assert credentials.revoke(credential_id=row.pk, now=NOW).revoked_at == NOW

    with pytest.raises(WrongCredential):
        verify()


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_allowed_addresses_are_networks(address: str) -> None:
    GatewayCredentialFactory(system_id="shop", allowed_addresses=["10.1.0.0/16", "2001:db8::/32"])

    assert verify(address=address)
    for other in ("10.2.0.1", "2001:db9::1", "", "nonsense"):
        with pytest.raises(AddressNotAllowed):
            verify(address=other)


class TestGuessing:
    @pytest.fixture(autouse=True)
    def _limit(self, settings) -> None:
        settings.RATE_LIMIT_FAILED_LOGINS = "2/h"

    def fail(self, times: int, **values: str) -> None:
        for _ in range(times):
            with pytest.raises(WrongCredential):
                verify(**{"password": "wrong", **values})

    def test_an_address_is_refused_after_its_failures_and_others_are_not(self) -> None:
        GatewayCredentialFactory(system_id="shop")
        self.fail(2)

        with pytest.raises(TooManyFailures):
            verify()
        assert verify(address="192.0.2.8")

    def test_a_system_id_is_refused_after_failures_from_many_addresses(self) -> None:
        GatewayCredentialFactory(system_id="shop")
        for number in range(10):
            self.fail(2, address=f"192.0.2.{number + 100}")

        with pytest.raises(TooManyFailures):
            verify()

    def test_failures_from_addresses_that_are_not_allowed_lock_nobody_out(self) -> None:
        GatewayCredentialFactory(system_id="shop", allowed_addresses=["10.0.0.0/8"])
        for number in range(12):
            self.fail(2, address=f"192.0.2.{number + 100}")

        assert verify(address="10.1.1.1")

    def test_while_redis_is_away_failures_are_counted_in_the_process(self, no_redis) -> None:
        GatewayCredentialFactory(system_id="shop")
        self.fail(2)

        with pytest.raises(TooManyFailures):
            verify()
