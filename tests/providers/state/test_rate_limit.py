"""Departures: evenly spaced over all workers, and no place is given twice."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from limits.strategies import MovingWindowRateLimiter

from providers.errors import NotCalled, RateLimited, Unavailable
from providers.state import account_state, circuit_breaker, rate_limit, shared_state
from providers.state.account_state import CallResult
from providers.state.rate_limit import SlotRequest
from tests.factories import NOW

ONE = SlotRequest(1)
# Of an account that takes ten a second: a tenth more than a tenth.
SPACING = 0.11


def book(*wishes: SlotRequest, per_second: float = 10, clock: float = 1000.0, **options) -> list[float | None]:
    options = {"line": "express", "is_bulk": False} | options
    return rate_limit.reserve("acme", per_second, wishes or [ONE], clock=clock, **options)


def line_up(*wishes: SlotRequest, per_second: float = 10, clock: float = 1000.0, **options) -> list[float]:
    options = {"line": "express", "is_bulk": False} | options
    return rate_limit.queue_delay("acme", per_second, wishes, clock=clock, **options)


def test_departures_are_spaced_by_the_limit() -> None:
    departures = book(*[ONE] * 5)

    assert departures == [pytest.approx(0.1 + place * SPACING) for place in range(5)]


def test_no_sliding_second_holds_more_than_the_limit_even_if_each_is_late() -> None:
    leaving = sorted(
        1000 + second + departure
        for second in range(5)
        for departure in book(*[ONE] * 12, clock=1000.0 + second)
        if departure
    )

    for start in leaving:
        assert sum(start - rate_limit.SLACK <= moment <= start + 1 for moment in leaving) <= 11
    assert len(leaving) >= 45


def test_all_workers_take_from_the_same_row() -> None:
    with ThreadPoolExecutor(8) as pool:
        given = [each for group in pool.map(lambda _: book(ONE), range(20)) for each in group if each is not None]

    ordered = sorted(given)
    assert all(later - earlier == pytest.approx(SPACING, abs=1e-4) for earlier, later in pairwise(ordered))
    assert len(ordered) >= 18


def test_by_default_the_time_is_that_of_redis() -> None:
    [first] = rate_limit.reserve("acme", 1, [ONE], line="express", is_bulk=False)
    [second] = rate_limit.reserve("acme", 1, [ONE], line="express", is_bulk=False)

    assert (first, second) == (pytest.approx(0.1, abs=0.01), pytest.approx(1.2, abs=0.3))


def test_a_long_text_takes_as_many_places_as_it_has_segments() -> None:
    assert book(SlotRequest(4), ONE) == [pytest.approx(0.1), pytest.approx(0.1 + 4 * SPACING)]


def test_one_with_more_segments_than_the_limit_gets_through() -> None:
    assert book(SlotRequest(12), ONE, per_second=2) == [pytest.approx(0.1), None]
    assert book(ONE, per_second=2, clock=1006.7) == [pytest.approx(0.1)]


def test_less_than_one_a_second() -> None:
    assert book(ONE, ONE, per_second=0.5) == [pytest.approx(0.1), None]
    assert book(ONE, per_second=0.5, clock=1002.3) == [pytest.approx(0.1)]


def test_bulk_sees_less_far_so_that_single_messages_find_room() -> None:
    taken = [each for each in book(*[ONE] * 100, is_bulk=True) if each is not None]
    assert max(taken) <= rate_limit.BULK_HORIZON_SECONDS

    assert book(ONE)[0] == pytest.approx(1.15, abs=0.11)


def test_who_finds_no_room_is_spread_over_the_time_that_the_account_needs() -> None:
    taken = [each for each in book(*[ONE] * 100) if each is not None]
    waits = line_up(*[ONE] * 50)

    assert waits[0] == pytest.approx(max(taken) + SPACING)
    assert all(later - earlier == pytest.approx(SPACING, abs=1e-3) for earlier, later in pairwise(waits))
    assert line_up(ONE)[0] == pytest.approx(waits[-1] + SPACING, abs=1e-3)


def test_who_comes_fresh_does_not_overtake_those_that_wait() -> None:
    book(*[ONE] * 100)
    line_up(*[ONE] * 50)
    later = 1003.0

    assert book(ONE, clock=later) == [None]
    assert book(SlotRequest(1, has_waited=True), clock=later) == [pytest.approx(0.1)]


@pytest.mark.parametrize("other", [{"line": "paced"}, {"is_bulk": False}], ids=str)
def test_each_queue_and_bulk_have_lines_of_their_own(other) -> None:
    book(*[ONE] * 100, is_bulk=True)
    line_up(*[ONE] * 50, is_bulk=True)

    assert book(ONE, clock=1003.0, is_bulk=True) == [None]
    assert book(ONE, clock=1003.0, **other) == [pytest.approx(0.1)]


def test_who_has_waited_and_finds_no_room_again_does_not_go_to_the_end() -> None:
    book(*[ONE] * 100)
    line_up(*[ONE] * 500)

    [wait] = line_up(SlotRequest(1, has_waited=True))

    assert 0.5 <= wait <= rate_limit.HORIZON_SECONDS


class TestLookingAgain:
    """Others leave the line, and limits change: nobody is told once and for all how long it takes."""

    def test_in_a_short_line_everybody_looks_again_within_half_a_minute(self) -> None:
        book(ONE, per_second=1)

        waits = line_up(*[ONE] * 300, per_second=1)

        assert waits[:3] == [pytest.approx(1.2 + 1.1 * place) for place in range(3)]
        assert (max(waits), waits.count(30.0)) == (30.0, 300 - 27)

    def test_of_a_long_one_about_ten_in_a_second(self) -> None:
        line_up(*[ONE] * 10_000, per_second=1)

        waits = line_up(*[ONE] * 100, per_second=1)

        assert waits == [pytest.approx(1000.0)] * 100

    def test_a_line_that_is_soon_over_is_not_asked_at_all(self) -> None:
        line_up(*[ONE] * 3000, per_second=100)

        [wait] = line_up(ONE, per_second=100)

        assert wait == pytest.approx(33.0)

    def test_those_who_look_too_early_come_back_one_after_the_other(self) -> None:
        book(*[ONE] * 10, per_second=1)
        line_up(*[ONE] * 200, per_second=1)

        waits = line_up(*[SlotRequest(1, has_waited=True)] * 60, per_second=1)

        assert waits[:3] == [pytest.approx(1.3 + 1.1 * place) for place in range(3)]
        assert (max(waits), waits.count(29.0)) == (29.0, 60 - 26)

    def test_a_line_that_nobody_comes_out_of_is_forgotten(self) -> None:
        book(*[ONE] * 100)
        line_up(*[ONE] * 3000)
        line_up(*[ONE] * 3000, line="paced")

        asked = {at: book(ONE, clock=1000.0 + at) for at in (3, 4, 5, 6, 7)}
        assert set(map(tuple, asked.values())) == {(None,)}

        assert book(ONE, clock=1007.2) == [pytest.approx(0.1)]
        assert book(ONE, clock=1007.2, line="paced") == [pytest.approx(0.1 + SPACING)]

    def test_as_long_as_one_of_it_comes_it_is_not(self) -> None:
        book(*[ONE] * 100)
        line_up(*[ONE] * 3000)

        for at in range(3, 30, 4):
            assert book(SlotRequest(1, has_waited=True), clock=1000.0 + at) == [pytest.approx(0.1)]

        assert book(ONE, clock=1030.0) == [None]

    def test_another_limit_begins_anew(self) -> None:
        book(ONE, per_second=0.01)
        line_up(*[ONE] * 50, per_second=0.01)
        rate_limit.acquire("acme", 0.01, 1, clock=1000.1)
        assert book(ONE, per_second=0.01) == [None]

        assert book(ONE, per_second=100) == [pytest.approx(0.1)]
        assert rate_limit.acquire("acme", 100, 1, clock=1000.2) == 0.0

    def test_and_so_does_an_account_that_was_reset(self) -> None:
        book(*[ONE] * 100)
        line_up(*[ONE] * 50)
        rate_limit.acquire("acme", 10, 5, clock=1000.0)
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=60), 5)], now=NOW)

        assert account_state.reset("acme", now=NOW) is True

        assert book(ONE) == [pytest.approx(0.1)]
        assert rate_limit.acquire("acme", 10, 1, clock=1000.0) == 0.0

    def test_nothing_stays_for_ever(self) -> None:
        book(*[ONE] * 100)
        line_up(*[ONE] * 500)
        rate_limit.acquire("acme", 10, 1)

        [key] = shared_state.ask(lambda client: client.keys("switchboard:provider:acme:*"), otherwise=[])
        lasts = shared_state.ask(lambda client: client.ttl(key), otherwise=0)

        assert 60 < lasts <= 60 + 60


class TestLeaving:
    """The last word, asked at the moment at which a call leaves."""

    @pytest.fixture(autouse=True)
    def no_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It goes by the real clock, these tests by one of their own."""
        monkeypatch.setattr(MovingWindowRateLimiter, "hit", lambda *_, **__: True)

    def leave(self, at: float, *, per_second: float = 10, segments: int = 1) -> float:
        return rate_limit.acquire("acme", per_second, segments, clock=1000.0 + at)

    def test_calls_that_come_together_leave_one_after_the_other(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            waits = list(pool.map(lambda _: self.leave(0.0), range(40)))

        assert sorted(waits) == [0.0, *[pytest.approx(0.105)] * 39]
        assert self.leave(0.106) == 0.0

    def test_no_sliding_second_holds_more_than_the_limit_however_late_each_is(self) -> None:
        # One process stood still for a second: what was booked meanwhile comes at once, and whoever waits asks again.
        asking = [3.0] * 12 + [3.0 + place * 0.11 for place in range(12)]
        left: list[float] = []
        while asking:
            moment = asking.pop(asking.index(min(asking)))
            wait = self.leave(moment)
            if wait:
                asking.append(moment + wait)
            else:
                left.append(moment)

        assert len(left) == 24
        assert max(sum(start <= moment <= start + 1.0 for moment in left) for start in left) <= 10
        assert left[-1] - left[0] <= 24 * 0.105

    def test_a_little_is_forgiven_and_not_forgotten(self) -> None:
        assert [self.leave(at) for at in (0.0, 0.09, 0.18)] == [0.0, 0.0, pytest.approx(0.03, abs=1e-4)]

    def test_a_long_text_takes_the_time_of_its_segments(self) -> None:
        assert self.leave(0.0, segments=4) == 0.0
        assert self.leave(0.2) == pytest.approx(0.22)
        assert self.leave(0.43) == 0.0

    def test_nobody_leaves_into_a_pause(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=20), 5)], now=NOW)

        for is_probe in (False, True):
            with pytest.raises(NotCalled):
                rate_limit.acquire("acme", 10, 1, is_probe=is_probe, clock=1000.0)

        account_state.reset("acme", now=NOW)
        assert self.leave(0.0) == 0.0

    def test_nobody_but_its_probe_leaves_for_a_circuit_that_is_not_closed(self) -> None:
        account_state.record([CallResult("acme", Unavailable("down"), 5)] * circuit_breaker.FAULTS_IN_A_ROW, now=NOW)

        with pytest.raises(NotCalled):
            self.leave(0.0)
        assert rate_limit.acquire("acme", 10, 1, is_probe=True, clock=1000.0) == 0.0

    def test_nor_a_probe_for_one_that_a_person_holds_open(self) -> None:
        circuit_breaker.hold_open("acme", reason="test", now=NOW.timestamp())

        for is_probe in (False, True):
            with pytest.raises(NotCalled):
                rate_limit.acquire("acme", 10, 1, is_probe=is_probe, clock=1000.0)

    def test_who_did_not_leave_takes_no_place(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=20), 5)], now=NOW)
        with pytest.raises(NotCalled):
            rate_limit.acquire("acme", 10, 500, clock=1000.0)
        shared_state.ask(lambda client: client.delete(rate_limit._pause_key("acme")), otherwise=None)

        assert self.leave(0.0) == 0.0

    def test_by_default_the_time_is_that_of_redis(self) -> None:
        assert rate_limit.acquire("acme", 1, 1) == 0.0
        assert rate_limit.acquire("acme", 1, 1) == pytest.approx(1.05, abs=0.3)


class TestWindow:
    """By the library `limits`, over the redis-py that is installed: exact where texts of several segments meet short ones."""

    def leave(self, *segments: int, slug: str = "acme", per_second: float = 10) -> list[float]:
        """Each far enough behind the one before it, by the clock of the departures; the window has its own."""
        return [
            rate_limit.acquire(slug, per_second, each, clock=1000.0 * place)
            for place, each in enumerate(segments, start=1)
        ]

    def test_segments_count(self) -> None:
        assert self.leave(4, 4, 4, 2) == [0.0, 0.0, rate_limit.ASK_AGAIN_SECONDS, 0.0]

    def test_one_with_more_segments_than_the_limit_gets_through_alone(self) -> None:
        assert self.leave(12, 1, per_second=2) == [0.0, rate_limit.ASK_AGAIN_SECONDS]

    def test_accounts_are_apart(self) -> None:
        assert self.leave(1, 1, per_second=1) == [0.0, rate_limit.ASK_AGAIN_SECONDS]
        assert self.leave(1, slug="other", per_second=1) == [0.0]

    @pytest.mark.parametrize(
        ("per_second", "amount", "seconds"),
        [(10, 10, 1), (0.5, 1, 2), (2.5, 5, 2), (0.3, 3, 10), (0.001, 1, 1000), (10_000, 10_000, 1)],
    )
    def test_a_fraction_is_a_longer_window(self, per_second: float, amount: int, seconds: int) -> None:
        window = rate_limit._window(per_second)

        assert (window.amount, window.get_expiry()) == (amount, seconds)


class TestPause:
    def wait(self, seconds: float = 0) -> float:
        moment = NOW.fromtimestamp(NOW.timestamp() + seconds, tz=NOW.tzinfo)
        return account_state.fetch(["acme"], now=moment)["acme"].wait(moment)

    def test_a_provider_is_left_alone_for_just_as_long_as_it_wishes(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=7), 5)], now=NOW)

        assert (self.wait(), self.wait(6.5), self.wait(7)) == (7.0, 0.5, 0.0)

    def test_a_shorter_wish_does_not_end_a_longer_pause(self) -> None:
        for seconds in (60, 7):
            account_state.record([CallResult("acme", RateLimited("slow down", retry_after=seconds), 5)], now=NOW)

        assert self.wait() == 60.0

    def test_no_provider_can_silence_us_for_ever(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=86_400), 5)], now=NOW)

        assert self.wait() == 3600.0

    @pytest.mark.parametrize(
        "error", [RateLimited("slow down"), Unavailable("down", retry_after=60)], ids=["no wish", "another fault"]
    )
    def test_nothing_else_pauses(self, error) -> None:
        account_state.record([CallResult("acme", error, 5)], now=NOW)

        assert self.wait() == 0.0
