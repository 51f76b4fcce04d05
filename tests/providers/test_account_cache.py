"""Accounts that are kept in the process for a moment."""

import pytest
from django.db import transaction

from providers import account_cache
from providers.models import ProviderAccount
from providers.services import upsert_account
from tests.factories import AccountFactory
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("providers.account_cache.time.monotonic", lambda: now[0])
    return now


def change_elsewhere(slug: str, **values: object) -> None:
    """As another process does it: without the signals of this one."""
    ProviderAccount.objects.filter(pk=slug).update(**values)


def test_an_account_is_read_once_in_a_moment(clock, django_assert_num_queries) -> None:
    AccountFactory(slug="acme")

    with django_assert_num_queries(1):
        assert [account_cache.get("acme").slug for _ in range(3)] == ["acme"] * 3


def test_a_change_in_another_process_is_seen_within_a_second(clock) -> None:
    AccountFactory(slug="acme")
    account_cache.get("acme")
    change_elsewhere("acme", config={"url": "https://new"})
    assert account_cache.MAX_AGE_SECONDS < 1

    clock[0] += account_cache.MAX_AGE_SECONDS

    assert account_cache.get("acme").config == {"url": "https://new"}


def test_an_account_deleted_in_another_process_is_gone_within_a_second(clock) -> None:
    AccountFactory(slug="acme")
    account_cache.get("acme")
    ProviderAccount.objects.filter(pk="acme")._raw_delete("default")

    clock[0] += account_cache.MAX_AGE_SECONDS

    assert account_cache.get("acme") is None


def test_a_change_in_this_process_is_seen_at_once(clock) -> None:
    AccountFactory(slug="acme")
    account_cache.get("acme")

    upsert_account(slug="acme", config={"url": "https://new.example.com"})
    assert account_cache.get("acme").config == {"url": "https://new.example.com"}

    ProviderAccount.objects.get(pk="acme").delete()
    assert account_cache.get("acme") is None


def test_a_new_account_is_found_at_once(clock) -> None:
    assert account_cache.get("acme") is None
    AccountFactory(slug="acme")

    assert account_cache.get("acme").slug == "acme"


def test_a_row_that_was_read_before_a_change_is_not_kept(clock, monkeypatch) -> None:
    """The change comes between reading the row and keeping it."""
    account = AccountFactory(slug="acme", weight=1)
    real = ProviderAccount.objects.filter

    def read_and_change(**conditions: object) -> list[ProviderAccount]:
        monkeypatch.setattr(ProviderAccount.objects, "filter", real)
        found = real(**conditions).first()
        account.weight = 2
        account.save()
        return type("Rows", (), {"first": lambda _: found})()

    monkeypatch.setattr(ProviderAccount.objects, "filter", read_and_change)

    assert account_cache.get("acme").weight == 1
    assert account_cache.get("acme").weight == 2


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_read_before_the_commit_is_not_kept(clock) -> None:
    account = AccountFactory(slug="acme", weight=1)

    with transaction.atomic():
        account.weight = 2
        account.save()
        if transaction.get_connection().vendor == "postgresql":  # SQLite's readers wait for its writers
            assert at_once([lambda: account_cache.get("acme").weight]) == [1]

    assert account_cache.get("acme").weight == 2
