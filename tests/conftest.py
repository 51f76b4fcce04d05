"""What every test stands on: a database and a broker of its own, and an empty cache."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import django
import pytest
import pytest_django
from django.contrib import admin
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase

from messaging import notifier
from providers import account_cache
from providers.state import account_state, redis_client
from tests import static_files, tiers
from tests.emptying import delete_all_rows
from tests.environment import GIVEN_DATABASE_URL
from tests.plugin import ENVIRONMENT

# Tests that start the product's processes follow one another in one process, folder by folder, while others run beside them.
# Of nested folders the inner one decides.
WITH_PROCESSES = {name: Path(__file__).parent / name for name in ("browser", "journeys/chaos", "journeys")}
django.setup()  # the conftests of the folders below import models, and are loaded before pytest-django does this
admin.autodiscover()  # tests that go over all pages are collected before the first request loads them
TransactionTestCase._fixture_teardown = delete_all_rows
static_files.remember()
PBKDF2PasswordHasher.iterations = 1  # a million, the real number, take a third of a second for each password


@pytest.hookimpl(tryfirst=True)  # pytest-xdist puts the group's name behind the id
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Schemathesis gives all operations of a schema one id, of which pytest-xdist would run a single one.
        if not item.nodeid.endswith(item.name):
            item._nodeid = f"{item.nodeid.rpartition('::')[0]}::{item.name}"
        group = _group_of(item.path)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


@functools.cache
def _group_of(path: Path) -> str | None:
    return next((name for name, folder in WITH_PROCESSES.items() if path.is_relative_to(folder)), None)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> None:
    """An empty database, with the rows of an installation laid by."""
    from tests import installed  # noqa: PLC0415 (its models can only be imported when Django is set up)

    with django_db_blocker.unblock():
        if GIVEN_DATABASE_URL and GIVEN_DATABASE_URL.endswith(f"/{connection.settings_dict['NAME']}"):
            # pytest-django makes no test database when no selected test is marked as one that needs it.
            pytest.exit("these tests would empty the database of DATABASE_URL; select a marked test too", returncode=1)
        installed.keep()
        delete_all_rows()


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No counter, cached response, notification or remembered token of one test is left for the next."""
    from messaging import credential_memory  # noqa: PLC0415 (these import models: see above)
    from messaging.api import token_memory  # noqa: PLC0415
    from messaging.services.costs import budget_rules  # noqa: PLC0415
    from messaging.services.limits import conversion, rules  # noqa: PLC0415
    from messaging.services.outbound import hours, sender_pools, sender_rules  # noqa: PLC0415
    from messaging.services.templates import lookup  # noqa: PLC0415
    from messaging.twilio_api import authentication  # noqa: PLC0415

    if tiers.of_item(request.node) == tiers.PURE:
        monkeypatch.setattr("redis.connection.AbstractConnection.send_packed_command", _refuse)
        return
    ENVIRONMENT.empty_redis()
    cache._in_memory.clear()
    account_state.invalidate()
    account_cache.clear()
    token_memory.remembered.clear()
    authentication.remembered.clear()
    lookup.forget()
    # Without rules, and not read again until a service changes one.
    conversion.forget()
    hours.use(hours.Snapshot(read_at=1.0))
    monkeypatch.setattr(hours, "REFRESH_SECONDS", float("inf"))
    rules.use(rules.LimitRules(read_at=1.0))
    monkeypatch.setattr(rules, "REFRESH_SECONDS", float("inf"))
    sender_pools.use(sender_pools.SenderPools(read_at=1.0))
    monkeypatch.setattr(sender_pools, "REFRESH_SECONDS", float("inf"))
    sender_rules.use(sender_rules.SenderRules(read_at=1.0))
    monkeypatch.setattr(sender_rules, "REFRESH_SECONDS", float("inf"))
    budget_rules.use(budget_rules.BudgetSnapshot(read_at=1.0))
    monkeypatch.setattr(budget_rules, "REFRESH_SECONDS", float("inf"))
    # Off, so that the first request of a test costs as many queries as the next. Tests of the memory put it back.
    monkeypatch.setattr(credential_memory, "SECONDS", 0.0)
    # At once instead of by a thread, so that what a test reads is there. Tests of the thread put it back.
    monkeypatch.setattr(notifier._sender, "request", notifier._send_request)


@pytest.fixture
def use_redis(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], redis_client.RedisAccess]]:
    """Call it with an address: from then on, until the end of the test, this process has that Redis."""
    opened: list[redis_client.RedisAccess] = []

    def use(url: str) -> redis_client.RedisAccess:
        settings.REDIS_URL = url
        opened.append(redis_client.RedisAccess())
        monkeypatch.setattr(redis_client, "_access", opened[-1])
        return opened[-1]

    yield use
    for access in opened:
        access.close()


@pytest.fixture
def no_redis(use_redis) -> redis_client.RedisAccess:
    """Connections are refused."""
    return use_redis("redis://127.0.0.1:9/0")


def _refuse(*_arguments: object, **_options: object) -> None:
    raise AssertionError("a test of the tier `pure` uses Redis: tests/tiers.py must not list it there")
