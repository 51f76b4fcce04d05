"""A database that is away, full or read-only for a while: what carriers have answered is kept, and written when it is back."""

import threading
from collections.abc import Callable, Iterator
from itertools import repeat

import psycopg
import pytest
from django.db import OperationalError, ProgrammingError, connection
from psycopg import sql

from messaging import database_faults
from messaging.models import Message
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch import Dispatcher
from messaging.services.outbound.dispatch import dispatcher as drain
from providers.errors import Unavailable
from providers.state import shared_state
from tests.database_faults import passing_faults, read_only
from tests.environment import GIVEN_DATABASE_URL
from tests.factories import MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher
from tests.messaging.services.outbound.dispatch.test_dispatcher import statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
each_fault = pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
OFTEN = 50  # more tries than any bound that there once was


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
def test_answers_are_settled_when_it_is_back_however_long_that_takes(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(3)
    monkeypatch.setattr(drain, "settle", failing(drain.settle, fault, times=OFTEN))
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert len(carrier.calls) == 3
    assert statuses() == {"sent": 3}


@each_fault
def test_a_fault_while_claiming_more_does_not_lose_what_is_in_the_air(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(4)
    real = drain.claim
    claims = iter([real])

    def claim(**options):
        claiming = next(claims, None)
        if claiming is None:
            raise fault
        return claiming(**options)

    monkeypatch.setattr(drain, "claim", claim)
    loop = dispatcher(Carrier(), concurrency=8)
    loop._wait = lambda air, _lane: set(list(air.calls)[:1])  # one answer at a time: the others stay in the air
    with pytest.raises(type(fault)):
        loop.run("express")

    assert statuses() == {"sent": 4}


@each_fault
def test_a_circuit_that_cannot_be_written_down_loses_no_answer(account, monkeypatch, fault) -> None:
    MessageFactory.create_batch(8)

    def unavailable(*_: object, **_more: object) -> None:
        raise fault

    monkeypatch.setattr("messaging.services.outbound.dispatch.record_results.note_circuits", unavailable)

    dispatcher(Carrier(Unavailable("down"))).run("express")

    assert set(statuses()) == {"queued"}


def test_a_drain_that_failed_can_be_repeated(account, monkeypatch) -> None:
    MessageFactory()
    loop = dispatcher(Carrier())
    with monkeypatch.context() as patched:
        patched.setattr(drain, "claim", failing(drain.claim, OperationalError("gone"), times=1))
        with pytest.raises(OperationalError):
            loop.run("express")

    assert loop.run("express") == 1
    assert statuses() == {"sent": 1}


def test_a_fault_that_lasts_is_not_waited_for_and_takes_no_other_answer_along(account, monkeypatch) -> None:
    bad, *_ = MessageFactory.create_batch(4)
    real = drain.settle

    def settle(answers, **options):
        if bad.pk in {answer.call.message.pk for answer in answers}:
            raise ProgrammingError("no such column")
        return real(answers, **options)

    monkeypatch.setattr(drain, "settle", settle)

    dispatcher(Carrier()).run("express")

    assert statuses() == {"sent": 3, "sending": 1}


def test_the_sweep_of_another_worker_waits_for_answers_that_are_kept(account, monkeypatch) -> None:
    """Those that were being settled, and one that came while the database was unavailable."""
    first, second = MessageFactory.create_batch(2)
    clock, waiting, second_answered = Clock(), threading.Event(), threading.Event()
    carrier = Carrier(Unavailable("busy"))
    carrier.before_answer = lambda call: call.message.pk == first.pk or waiting.wait(20)
    real, tries = drain.settle, []

    def settle(answers, **options):
        tries.append(len(answers))
        if len(tries) == 1:
            waiting.set()
            second_answered.wait(20)
            raise read_only()
        if len(tries) == 2:
            clock.advance(LEASE.total_seconds())
            recovery.return_expired_claims(now=clock.now)
            assert statuses() == {"sending": 2}
        return real(answers, **options)

    monkeypatch.setattr(drain, "settle", settle)
    loop = Dispatcher(concurrency=2, lease=LEASE, call=carrier, clock=clock, position=lambda: 0.5)
    lane = loop._lane("express")
    submit = lane.executor.submit

    def submitted(*args):
        future = submit(*args)
        if args[1].message.pk == second.pk:
            future.add_done_callback(lambda _future: second_answered.set())
        return future

    monkeypatch.setattr(lane.executor, "submit", submitted)

    loop.run("express")
    lane.executor.shutdown()

    assert tries[:2] == [1, 1]
    assert statuses() == {"queued": 2}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no switch-over")
@pytest.mark.django_db(transaction=True)
class TestSwitchOver:
    """The real thing: the database ends all sessions, is read-only for a while, and leaves sessions behind that stay so."""

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

    def test_all_answers_are_written_when_it_is_over(self, account, other, monkeypatch) -> None:
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

        carrier.before_answer = switch_over

        dispatcher(carrier).run("express")

        assert next(pauses) > 3, "the database was not read-only"
        assert len(carrier.calls) == 16
        assert statuses() == {"sent": 16}


def test_what_is_kept_is_forgotten_by_itself(account, monkeypatch) -> None:
    MessageFactory()
    monkeypatch.setattr(drain, "settle", failing(drain.settle, read_only(), times=2))

    dispatcher(Carrier(Unavailable("busy"))).run("express")

    keys = shared_state.ask(lambda client: client.keys("switchboard:sent:*"), otherwise=[])
    assert len(keys) == 1
    assert all(shared_state.ask(lambda client, key=key: client.ttl(key), otherwise=-1) > 0 for key in keys)
    assert Message.objects.get().status == "queued"
