"""An account that refuses nearly all recipients: staff are told once, and it is used as before."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from providers.errors import RateLimited, RecipientInvalid, Refused, Rejected, Unavailable
from providers.state import account_state, recipients, redis_client, shared_state
from providers.state.account_state import CallResult, RefusalChange
from providers.state.circuit_breaker import CLOSED
from tests.factories import NOW

NO = Refused("answered 400")
BEGAN = RefusalChange("acme", refuses_many=True, detail="provider_refused: answered 400")
ENDED = RefusalChange("acme", refuses_many=False)


def called(numbers: range, error=NO, *, minutes: float = 0) -> list[RefusalChange]:
    results = [CallResult("acme", error, 10, recipient=f"+1415{number:07d}") for number in numbers]
    return account_state.record(results, now=NOW + timedelta(minutes=minutes))


def refuses_many(*, minutes: float = 0) -> bool:
    return account_state.fetch(["acme"], now=NOW + timedelta(minutes=minutes))["acme"].refuses_many


@pytest.mark.parametrize("error", [NO, Rejected("no"), RecipientInvalid("no")], ids=lambda error: error.code)
def test_twenty_refused_recipients_are_many(error) -> None:
    assert called(range(19), error) == []
    assert not refuses_many()

    [change] = called(range(19, 20), error)

    assert (change.slug, change.refuses_many, change.detail) == ("acme", True, f"{error.error_code}: {error.detail}")
    assert refuses_many()


def test_it_stays_in_use() -> None:
    called(range(100))

    state = account_state.fetch(["acme"], now=NOW)["acme"]

    assert (state.circuit, state.factor, state.wait(NOW)) == (CLOSED, 1.0, 0.0)


@pytest.mark.parametrize(("accepted", "expected"), [(10, []), (9, [BEGAN])], ids=["nine in ten", "more"])
def test_more_than_nine_in_ten_are_many(accepted: int, expected: list) -> None:
    called(range(accepted), None)

    assert called(range(accepted, 100)) == expected


def test_the_same_recipients_count_once() -> None:
    for _ in range(10):
        assert called(range(10)) == []


@pytest.mark.parametrize("error", [Unavailable("down"), RateLimited("slow down")], ids=lambda error: error.code)
def test_calls_without_an_answer_do_not_count(error) -> None:
    called(range(50), error)
    assert called(range(100, 119)) == []

    assert called(range(119, 120)) == [BEGAN]


def test_only_the_last_quarter_of_an_hour_counts() -> None:
    assert called(range(19)) == []
    assert called(range(19, 20), minutes=15) == []

    assert called(range(20, 38), minutes=16) == []
    assert called(range(38, 39), minutes=16) == [BEGAN]


def test_staff_are_told_once_until_most_are_accepted_again() -> None:
    assert called(range(20)) == [BEGAN]
    assert called(range(20, 40)) == []
    assert called(range(100, 130), None) == []
    assert refuses_many()

    assert called(range(130, 150), None) == [ENDED]
    assert not refuses_many()
    assert called(range(150, 160), None) == []

    assert called(range(1000, 2000)) == [BEGAN]


def test_workers_that_report_at_once_tell_staff_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda start: called(range(start, start + 5)), range(0, 80, 5)))

    assert [change for changes in found for change in changes] == [BEGAN]


def test_a_reset_forgets_the_recipients() -> None:
    called(range(20))
    account_state.reset("acme", now=NOW)

    assert not refuses_many()
    assert called(range(20, 39)) == []


def test_redis_holds_no_number_and_forgets_everything() -> None:
    called(range(20))

    client = redis_client.client()
    keys = list(client.scan_iter(shared_state.key("acme", "*")))
    assert all(client.ttl(key) > 0 for key in keys)
    assert not [key for key in keys if client.type(key) == "string" and "1415" in str(client.get(key))]
    assert recipients.fingerprint("+14155550101") != recipients.fingerprint("+14155550102")
    assert "415555" not in recipients.fingerprint("+14155550101")
