from datetime import UTC, datetime, timedelta

import pytest

from providers import smpp_leases
from providers.models import SmppBind
from providers.smpp_leases import BindKey, BindReport
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
State = SmppBind.State


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def acquire(holder: str, *, seconds: float = 0, binds: int = 2, held: tuple[BindKey, ...] = ()) -> list[BindKey]:
    return smpp_leases.acquire(holder=holder, wanted={"acme": binds}, held=held, now=at(seconds), lease=LEASE)


def report(state: SmppBind.State = State.BOUND, error: str = "") -> BindReport:
    return BindReport(state, NOW, error, in_flight=1, window=10)


@pytest.fixture(autouse=True)
def account() -> None:
    AccountFactory(slug="acme", backend="smpp", config={})


def test_two_connectors_that_start_together_share_the_binds() -> None:
    assert acquire("a") == [BindKey("acme", 1)]
    assert acquire("b") == [BindKey("acme", 2)]
    assert acquire("a", held=(BindKey("acme", 1),)) == []


def test_one_connector_takes_all_binds_one_in_each_round() -> None:
    first = acquire("a")
    second = acquire("a", held=tuple(first))
    assert [*first, *second] == [BindKey("acme", 1), BindKey("acme", 2)]


def test_the_binds_of_a_dead_connector_are_taken_over_when_their_leases_end() -> None:
    acquire("a", binds=1)
    assert acquire("b", binds=1, seconds=29) == []
    assert acquire("b", binds=1, seconds=30) == [BindKey("acme", 1)]


def test_the_binds_of_a_connector_that_is_known_to_be_dead_are_free_at_once() -> None:
    acquire("a", binds=1)
    wanted = {"acme": 1}
    taken = smpp_leases.acquire(
        holder="b", wanted=wanted, held=(), now=at(1), lease=LEASE, is_dead=lambda name: name == "a"
    )
    assert taken == [BindKey("acme", 1)]
    assert SmppBind.objects.get().holder == "b"


def test_the_own_binds_are_never_taken_for_those_of_a_dead_connector() -> None:
    keys = acquire("a", binds=1)
    smpp_leases.acquire(holder="a", wanted={"acme": 1}, held=keys, now=at(1), lease=LEASE, is_dead=lambda _: True)
    assert SmppBind.objects.get().lease_until == at(30)


def test_a_lease_lasts_while_it_is_renewed_and_the_state_is_written() -> None:
    [key] = acquire("a", binds=1)
    assert smpp_leases.renew(holder="a", reports={key: report(error="x" * 300)}, now=at(20), lease=LEASE) == {key}
    assert acquire("b", binds=1, seconds=40) == []
    row = SmppBind.objects.get()
    assert (row.state, row.in_flight, row.window, len(row.last_error)) == ("bound", 1, 10, 200)


def test_a_lease_that_another_connector_has_taken_is_not_renewed() -> None:
    [key] = acquire("a", binds=1)
    acquire("b", binds=1, seconds=31)
    assert smpp_leases.renew(holder="a", reports={key: report()}, now=at(32), lease=LEASE) == set()
    assert SmppBind.objects.get().holder == "b"


def test_a_connector_that_has_lost_track_of_its_lease_takes_it_again() -> None:
    acquire("a", binds=1)
    assert acquire("a", binds=1, seconds=1) == [BindKey("acme", 1)]


def test_a_released_bind_is_free_at_once() -> None:
    [key] = acquire("a", binds=1)
    smpp_leases.release(holder="b", keys=[key], now=NOW)
    assert acquire("b", binds=1) == []
    smpp_leases.release(holder="a", keys=[key], now=NOW)
    assert acquire("b", binds=1) == [key]


def test_binds_that_are_no_longer_wanted_are_deleted_once_they_are_free() -> None:
    keys = [*acquire("a"), *acquire("b")]
    acquire("a", binds=1, held=(keys[0],))
    assert SmppBind.objects.count() == 2
    smpp_leases.release(holder="b", keys=[keys[1]], now=NOW)
    acquire("a", binds=1, held=(keys[0],))
    assert [row.number for row in SmppBind.objects.all()] == [1]


def test_only_enabled_smpp_accounts_are_held() -> None:
    AccountFactory(slug="off", backend="smpp", is_enabled=False)
    AccountFactory(slug="http")
    assert [each.slug for each in smpp_leases.accounts()] == ["acme"]


@pytest.mark.parametrize(
    ("state", "error", "seconds", "faults"),
    [
        (State.BOUND, "", 0, []),
        (State.DOWN, "the carrier cannot be reached", 0, ["acme: the carrier cannot be reached"]),
        (State.CONNECTING, "", 0, ["acme: not bound yet"]),
        (State.BOUND, "", 31, ["acme: no connector (run_smpp) runs"]),
    ],
)
def test_an_account_without_a_bind_is_a_fault(state, error: str, seconds: float, faults: list[str]) -> None:
    [key] = acquire("a", binds=1)
    smpp_leases.renew(holder="a", reports={key: report(state, error)}, now=NOW, lease=LEASE)
    assert smpp_leases.faults(now=at(seconds)) == faults
