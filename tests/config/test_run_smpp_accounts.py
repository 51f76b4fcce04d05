import pytest

from config.run import smpp_accounts
from config.run.smpp_accounts import CHECK_SECONDS, SmppAccounts
from providers.models import ProviderAccount
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(clock: Clock):
    made = SmppAccounts(clock=clock)
    yield made
    made.close()


def later(accounts: SmppAccounts, clock: Clock) -> bool:
    clock.now += CHECK_SECONDS
    return accounts.exist()


def test_only_an_enabled_smpp_account_counts(accounts: SmppAccounts, clock: Clock) -> None:
    AccountFactory()
    row = AccountFactory(backend="smpp", is_enabled=False)
    assert not accounts.exist()
    ProviderAccount.objects.filter(pk=row.pk).update(is_enabled=True)
    assert later(accounts, clock)


def test_the_database_is_asked_every_two_seconds_only(accounts: SmppAccounts, clock: Clock) -> None:
    assert not accounts.exist()
    AccountFactory(backend="smpp")
    clock.now += CHECK_SECONDS / 2
    assert not accounts.exist()
    assert later(accounts, clock)


def test_a_database_that_does_not_answer_is_asked_again(accounts: SmppAccounts, clock: Clock, monkeypatch) -> None:
    def fail() -> None:
        raise OSError

    AccountFactory(backend="smpp")
    with monkeypatch.context() as patch:
        patch.setattr(smpp_accounts, "_connect", fail)
        assert not accounts.exist()
    assert later(accounts, clock)
