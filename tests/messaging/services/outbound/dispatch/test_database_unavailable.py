"""The database is unavailable, full or read-only for a while: results are kept, and saved when it is back."""

import threading
from collections.abc import Callable, Iterator
from itertools import repeat

import psycopg
import pytest
from django.db import OperationalError, ProgrammingError, connection
from psycopg import sql

from messaging import database_faults
from messaging.models import Message
from messaging.services.outbound import dispatch, recovery
from messaging.services.outbound.dispatch import Dispatcher
from providers.errors import Unavailable
from providers.state import shared_state
from tests.database_faults import passing_faults, read_only
from tests.environment import GIVEN_DATABASE_URL
from tests.factories import MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher
from tests.messaging.services.outbound.dispatch.test_dispatcher import statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
each_fault = pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
OFTEN = 50  # more tries than any plausible bound


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_faults, "pauses", lambda: repeat(0.0))


def failing(step: Callable, fault: Exception, *, times: int) -> Callable:
    faults = iter([fault] * times)

    def failing(*args, **options):
        raised = next(faults, None)
        if raised is not None:
            raise raised
        return step(*args, **options)

    return failing


@each_fault
def test_results_are_settled_when_it_is_back_however_long_that_takes(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(3)
    monkeypatch.setattr(dispatch.dispatcher, "settle", failing(dispatch.dispatcher.settle, fault, times=OFTEN))
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert len(carrier.calls) == 3
    assert statuses() == {"sent": 3}


@each_fault
def test_a_fault_while_claiming_does_not_lose_the_calls_in_flight(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(4)
    real = dispatch.dispatcher.claim
    claims = iter([real])

    def claim(**options):
        claiming = next(claims, None)
        if claiming is None:
            raise fault
        return claiming(**options)

    monkeypatch.setattr(dispatch.dispatcher, "claim", claim)
    loop = dispatcher(Carrier(), concurrency=8)
    loop._wait = lambda in_flight, _wakeup: set(list(in_flight.calls)[:1])  # one result at a time
    with pytest.raises(type(fault)):
        loop.run("express")

    assert statuses() == {"sent": 4}


@each_fault
def test_a_circuit_change_that_cannot_be_saved_loses_no_result(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(8)

    def unavailable(*_: object, **_more: object) -> None:
        raise fault

    monkeypatch.setattr("messaging.services.outbound.dispatch.record_results.note_changes", unavailable)

    dispatcher(Carrier(Unavailable("down"))).run("express")

    assert set(statuses()) == {"queued"}


def test_a_run_that_failed_can_be_repeated(account, monkeypatch) -> None:
    MessageFactory()
    loop = dispatcher(Carrier())
    with monkeypatch.context() as patched:
        patched.setattr(
            dispatch.dispatcher, "claim", failing(dispatch.dispatcher.claim, OperationalError("gone"), times=1)
        )
        with pytest.raises(OperationalError):
            loop.run("express")

    assert loop.run("express") == 1
    assert statuses() == {"sent": 1}


def test_a_lasting_fault_is_not_waited_for_and_does_not_prevent_other_results(account, monkeypatch) -> None:
    bad, *_ = MessageFactory.create_batch(4)
    real = dispatch.dispatcher.settle

    def settle(results, **options):
        if bad.pk in {result.attempt.message.pk for result in results}:
            raise ProgrammingError("no such column")
        return real(results, **options)

    monkeypatch.setattr(dispatch.dispatcher, "settle", settle)

    dispatcher(Carrier()).run("express")

    assert statuses() == {"sent": 3, "sending": 1}


def test_the_sweep_of_another_worker_waits_for_results_that_are_kept(account, monkeypatch) -> None:
    """The results being settled, and one that came while the database was unavailable."""
    first, second = MessageFactory.create_batch(2)
    clock, waiting, second_finished = Clock(), threading.Event(), threading.Event()
    carrier = Carrier(Unavailable("busy"))
    carrier.before_response = lambda call: call.message.pk == first.pk or waiting.wait(20)
    real, tries = dispatch.dispatcher.settle, []

    def settle(results, **options):
        tries.append(len(results))
        if len(tries) == 1:
            waiting.set()
            second_finished.wait(20)
            raise read_only()
        if len(tries) == 2:
            clock.advance(LEASE.total_seconds())
            recovery.return_expired_claims(now=clock.now)
            assert statuses() == {"sending": 2}
        return real(results, **options)

    monkeypatch.setattr(dispatch.dispatcher, "settle", settle)
    loop = Dispatcher(concurrency=2, lease=LEASE, send=carrier, clock=clock, position=lambda: 0.5)
    runner = loop._runner("express")
    submit = runner.executor.submit

    def submitted(*args):
        future = submit(*args)
        if args[1].message.pk == second.pk:
            future.add_done_callback(lambda _future: second_finished.set())
        return future

    monkeypatch.setattr(runner.executor, "submit", submitted)

    loop.run("express")
    runner.executor.shutdown()

    assert tries[:2] == [1, 1]
    assert statuses() == {"queued": 2}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no switch-over")
@pytest.mark.django_db(transaction=True)
class TestSwitchOver:
    """A real switch-over: all sessions end, the database is read-only for a while, and some sessions stay read-only."""

    @pytest.fixture
    def other(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as other:
            yield other
            self.become(other, read_only=False)
            self.end_sessions(other)
        database_faults.drop_connection()
        connection.close_pool()  # with what it has opened while the database was read-only

    def become(self, other: psycopg.Connection, *, read_only: bool) -> None:
        name = sql.Identifier(connection.settings_dict["NAME"])
        statement = (
            "ALTER DATABASE {} SET default_transaction_read_only = on" if read_only else "ALTER DATABASE {} RESET ALL"
        )
        other.execute(sql.SQL(statement).format(name))

    def end_sessions(self, other: psycopg.Connection) -> None:
        ended = "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity WHERE datname = %s"
        other.execute(ended, [connection.settings_dict["NAME"]])

    def test_all_results_are_saved_afterwards(self, account, other, monkeypatch) -> None:
        MessageFactory.create_batch(16)
        pauses = iter(range(OFTEN))

        def pause() -> Iterator[float]:
            for tries in pauses:
                if tries == 3:
                    self.become(other, read_only=False)
                yield 0.0

        monkeypatch.setattr(database_faults, "pauses", pause)
        carrier = Carrier()
        switched = []

        def switch_over(_call: object) -> None:
            if not switched:
                switched.append(True)
                self.become(other, read_only=True)
                self.end_sessions(other)

        carrier.before_response = switch_over

        dispatcher(carrier).run("express")

        assert next(pauses) > 3, "the database was not read-only"
        assert len(carrier.calls) == 16
        assert statuses() == {"sent": 16}


def test_held_results_expire_by_themselves(account, monkeypatch) -> None:
    MessageFactory()
    monkeypatch.setattr(dispatch.dispatcher, "settle", failing(dispatch.dispatcher.settle, read_only(), times=2))

    dispatcher(Carrier(Unavailable("busy"))).run("express")

    keys = shared_state.ask(lambda client: client.keys("switchboard:sent:*"), otherwise=[])
    assert len(keys) == 1
    assert all(shared_state.ask(lambda client, key=key: client.ttl(key), otherwise=-1) > 0 for key in keys)
    assert Message.objects.get().status == "queued"
