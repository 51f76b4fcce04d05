"""Slots: evenly spaced over all workers, and none is given twice."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from providers.errors import NotCalled, RateLimited, Unavailable
from providers.state import account_state, circuit_breaker, rate_limit, shared_state
from providers.state.account_state import CallResult
from providers.state.rate_limit import SlotRequest
from tests.factories import NOW

ONE = SlotRequest(1)
# Of an account that takes ten a second: a tenth more than a tenth.
SPACING = 0.11


def reserve(*requests: SlotRequest, per_second: float = 10, clock: float = 1000.0, **options) -> list[float | None]:
    options = {"line": "express", "is_bulk": False} | options
    return rate_limit.reserve("acme", per_second, requests or [ONE], clock=clock, **options)


def queue_delay(*requests: SlotRequest, per_second: float = 10, clock: float = 1000.0, **options) -> list[float]:
    options = {"line": "express", "is_bulk": False} | options
    return rate_limit.queue_delay("acme", per_second, requests, clock=clock, **options)


def test_slots_are_spaced_by_the_limit() -> None:
    delays = reserve(*[ONE] * 5)

    assert delays == [pytest.approx(0.1 + place * SPACING) for place in range(5)]


def test_no_sliding_second_holds_more_than_the_limit_even_if_each_is_late() -> None:
    sent_at = sorted(
        1000 + second + delay for second in range(5) for delay in reserve(*[ONE] * 12, clock=1000.0 + second) if delay
    )

    for start in sent_at:
        assert sum(start - rate_limit.SLACK <= at <= start + 1 for at in sent_at) <= 11
    assert len(sent_at) >= 45


def test_all_workers_share_the_slots() -> None:
    with ThreadPoolExecutor(8) as pool:
        given = [each for group in pool.map(lambda _: reserve(ONE), range(20)) for each in group if each is not None]

    ordered = sorted(given)
    assert all(later - earlier == pytest.approx(SPACING, abs=1e-4) for earlier, later in pairwise(ordered))
    assert len(ordered) >= 18


def test_by_default_the_time_is_that_of_redis() -> None:
    [first] = rate_limit.reserve("acme", 1, [ONE], line="express", is_bulk=False)
    [second] = rate_limit.reserve("acme", 1, [ONE], line="express", is_bulk=False)

    assert (first, second) == (pytest.approx(0.1, abs=0.01), pytest.approx(1.2, abs=0.3))


def test_a_long_text_takes_as_many_slots_as_it_has_segments() -> None:
    assert reserve(SlotRequest(4), ONE) == [pytest.approx(0.1), pytest.approx(0.1 + 4 * SPACING)]


def test_one_with_more_segments_than_the_limit_gets_through() -> None:
    assert reserve(SlotRequest(12), ONE, per_second=2) == [pytest.approx(0.1), None]
    assert reserve(ONE, per_second=2, clock=1006.7) == [pytest.approx(0.1)]


def test_less_than_one_a_second() -> None:
    assert reserve(ONE, ONE, per_second=0.5) == [pytest.approx(0.1), None]
    assert reserve(ONE, per_second=0.5, clock=1002.3) == [pytest.approx(0.1)]


def test_bulk_reserves_less_far_ahead_so_that_single_messages_find_a_slot() -> None:
    taken = [each for each in reserve(*[ONE] * 100, is_bulk=True) if each is not None]
    assert max(taken) <= rate_limit.BULK_HORIZON_SECONDS

    assert reserve(ONE)[0] == pytest.approx(1.15, abs=0.11)


def test_what_goes_first_finds_a_slot_behind_all_that_single_messages_reserved() -> None:
    taken = [each for each in reserve(*[ONE] * 100) if each is not None]

    assert reserve(ONE, goes_first=True) == [pytest.approx(max(taken) + SPACING)]


def test_messages_without_a_slot_are_spread_over_the_time_that_the_account_needs() -> None:
    taken = [each for each in reserve(*[ONE] * 100) if each is not None]
    waits = queue_delay(*[ONE] * 50)

    assert waits[0] == pytest.approx(max(taken) + SPACING)
    assert all(later - earlier == pytest.approx(SPACING, abs=1e-3) for earlier, later in pairwise(waits))
    assert queue_delay(ONE)[0] == pytest.approx(waits[-1] + SPACING, abs=1e-3)


def test_a_new_message_does_not_overtake_those_that_wait() -> None:
    reserve(*[ONE] * 100)
    queue_delay(*[ONE] * 50)
    later = 1003.0

    assert reserve(ONE, clock=later) == [None]
    assert reserve(SlotRequest(1, has_waited=True), clock=later) == [pytest.approx(0.1)]


@pytest.mark.parametrize("other", [{"line": "paced"}, {"is_bulk": False}], ids=str)
def test_each_queue_and_bulk_have_lines_of_their_own(other) -> None:
    reserve(*[ONE] * 100, is_bulk=True)
    queue_delay(*[ONE] * 50, is_bulk=True)

    assert reserve(ONE, clock=1003.0, is_bulk=True) == [None]
    assert reserve(ONE, clock=1003.0, **other) == [pytest.approx(0.1)]


def test_what_goes_first_waits_for_none_of_the_single_messages_that_wait() -> None:
    reserve(*[ONE] * 100)
    queue_delay(*[ONE] * 50)

    assert reserve(ONE, clock=1003.0) == [None]
    assert reserve(ONE, clock=1003.0, goes_first=True) == [pytest.approx(0.1)]


def test_a_message_that_has_waited_and_finds_no_slot_again_does_not_go_to_the_end() -> None:
    reserve(*[ONE] * 100)
    queue_delay(*[ONE] * 500)

    [wait] = queue_delay(SlotRequest(1, has_waited=True))

    assert 0.5 <= wait <= rate_limit.HORIZON_SECONDS


class TestRecheck:
    """Other messages leave the line and limits change, so each delay is bounded."""

    def test_in_a_short_line_every_message_is_checked_within_30_seconds(self) -> None:
        reserve(ONE, per_second=1)

        waits = queue_delay(*[ONE] * 300, per_second=1)

        assert waits[:3] == [pytest.approx(1.2 + 1.1 * place) for place in range(3)]
        assert (max(waits), waits.count(30.0)) == (30.0, 300 - 27)

    def test_in_a_long_line_about_ten_are_checked_each_second(self) -> None:
        queue_delay(*[ONE] * 10_000, per_second=1)

        waits = queue_delay(*[ONE] * 100, per_second=1)

        assert waits == [pytest.approx(1000.0)] * 100

    def test_a_line_that_is_soon_over_gets_its_real_delay(self) -> None:
        queue_delay(*[ONE] * 3000, per_second=100)

        [wait] = queue_delay(ONE, per_second=100)

        assert wait == pytest.approx(33.0)

    def test_messages_that_are_checked_too_early_come_back_one_after_the_other(self) -> None:
        reserve(*[ONE] * 10, per_second=1)
        queue_delay(*[ONE] * 200, per_second=1)

        waits = queue_delay(*[SlotRequest(1, has_waited=True)] * 60, per_second=1)

        assert waits[:3] == [pytest.approx(1.3 + 1.1 * place) for place in range(3)]
        assert (max(waits), waits.count(29.0)) == (29.0, 60 - 26)

    def test_a_stale_line_is_cleared(self) -> None:
        reserve(*[ONE] * 100)
        queue_delay(*[ONE] * 3000)
        queue_delay(*[ONE] * 3000, line="paced")

        asked = {at: reserve(ONE, clock=1000.0 + at) for at in (3, 4, 5, 6, 7)}
        assert set(map(tuple, asked.values())) == {(None,)}

        assert reserve(ONE, clock=1007.2) == [pytest.approx(0.1)]
        assert reserve(ONE, clock=1007.2, line="paced") == [pytest.approx(0.1 + SPACING)]

    def test_a_line_that_moves_is_kept(self) -> None:
        reserve(*[ONE] * 100)
        queue_delay(*[ONE] * 3000)

        for at in range(3, 30, 4):
            assert reserve(SlotRequest(1, has_waited=True), clock=1000.0 + at) == [pytest.approx(0.1)]

        assert reserve(ONE, clock=1030.0) == [None]

    def test_another_limit_starts_anew(self) -> None:
        reserve(ONE, per_second=0.01)
        queue_delay(*[ONE] * 50, per_second=0.01)
        rate_limit.acquire("acme", 0.01, 1, clock=1000.1)
        assert reserve(ONE, per_second=0.01) == [None]

        assert reserve(ONE, per_second=100) == [pytest.approx(0.1)]
        assert rate_limit.acquire("acme", 100, 1, clock=1000.2) == 0.0

    def test_an_account_that_was_reset_starts_anew(self) -> None:
        reserve(*[ONE] * 100)
        queue_delay(*[ONE] * 50)
        rate_limit.acquire("acme", 10, 5, clock=1000.0)
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=60), 5)], now=NOW)

        assert account_state.reset("acme", now=NOW) is True

        assert reserve(ONE) == [pytest.approx(0.1)]
        assert rate_limit.acquire("acme", 10, 1, clock=1000.0) == 0.0

    def test_everything_expires(self) -> None:
        reserve(*[ONE] * 100)
        queue_delay(*[ONE] * 500)
        rate_limit.acquire("acme", 10, 1)

        [key] = shared_state.ask(lambda client: client.keys("switchboard:provider:acme:*"), otherwise=[])
        lasts = shared_state.ask(lambda client: client.ttl(key), otherwise=0)

        assert 60 < lasts <= 60 + 60


class TestAcquire:
    """The last word, asked at the at at which a call leaves."""

    def acquire(self, at: float, *, per_second: float = 10, segments: int = 1) -> float:
        return rate_limit.acquire("acme", per_second, segments, clock=1000.0 + at)

    def test_calls_that_come_together_are_made_one_after_the_other(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            waits = list(pool.map(lambda _: self.acquire(0.0), range(40)))

        assert sorted(waits) == [0.0, *[pytest.approx(0.105)] * 39]
        assert self.acquire(0.106) == 0.0

    def test_no_sliding_second_holds_more_than_the_limit_however_late_each_is(self) -> None:
        # One process was suspended for a second: its reserved calls come at once, and those that wait ask again.
        asking = [3.0] * 12 + [3.0 + place * 0.11 for place in range(12)]
        left: list[float] = []
        while asking:
            at = asking.pop(asking.index(min(asking)))
            wait = self.acquire(at)
            if wait:
                asking.append(at + wait)
            else:
                left.append(at)

        assert len(left) == 24
        assert max(sum(start <= at <= start + 1.0 for at in left) for start in left) <= 10
        assert left[-1] - left[0] <= 24 * 0.105

    def test_a_call_may_be_a_little_early_but_the_next_one_waits_for_it(self) -> None:
        assert [self.acquire(at) for at in (0.0, 0.09, 0.18)] == [0.0, 0.0, pytest.approx(0.03, abs=1e-4)]

    def test_a_long_text_takes_the_time_of_its_segments(self) -> None:
        assert self.acquire(0.0, segments=4) == 0.0
        assert self.acquire(0.2) == pytest.approx(0.22)
        assert self.acquire(0.43) == 0.0

    def test_a_paused_account_is_not_called(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=20), 5)], now=NOW)

        for is_probe in (False, True):
            with pytest.raises(NotCalled):
                rate_limit.acquire("acme", 10, 1, is_probe=is_probe, clock=1000.0)

        account_state.reset("acme", now=NOW)
        assert self.acquire(0.0) == 0.0

    def test_only_the_probe_is_made_while_the_circuit_is_not_closed(self) -> None:
        account_state.record([CallResult("acme", Unavailable("down"), 5)] * circuit_breaker.FAULT_THRESHOLD, now=NOW)

        with pytest.raises(NotCalled):
            self.acquire(0.0)
        assert rate_limit.acquire("acme", 10, 1, is_probe=True, clock=1000.0) == 0.0

    def test_no_probe_is_made_while_an_operator_holds_the_circuit_open(self) -> None:
        circuit_breaker.hold_open("acme", reason="test", now=NOW.timestamp())

        for is_probe in (False, True):
            with pytest.raises(NotCalled):
                rate_limit.acquire("acme", 10, 1, is_probe=is_probe, clock=1000.0)

    def test_a_call_that_is_not_made_takes_no_slot(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=20), 5)], now=NOW)
        with pytest.raises(NotCalled):
            rate_limit.acquire("acme", 10, 500, clock=1000.0)
        shared_state.ask(lambda client: client.delete(rate_limit._pause_key("acme")), otherwise=None)

        assert self.acquire(0.0) == 0.0

    def test_by_default_the_time_is_that_of_redis(self) -> None:
        assert rate_limit.acquire("acme", 1, 1) == 0.0
        assert rate_limit.acquire("acme", 1, 1) == pytest.approx(1.05, abs=0.3)

    def test_texts_of_several_segments_exceed_the_limit_by_no_more_than_one_text(self) -> None:
        asking = [(0.0, segments) for segments in (4, 1, 10, 1, 1, 4, 2, 7) * 5]
        sent: list[tuple[float, int]] = []
        while asking:
            at, segments = asking.pop(asking.index(min(asking)))
            wait = self.acquire(at, segments=segments)
            if wait:
                asking.append((at + wait, segments))
            else:
                sent.append((at, segments))

        per_second = [sum(count for at, count in sent if start <= at < start + 1.0) for start, _ in sent]
        assert max(per_second) <= 10 + (10 - 1)
        assert sum(count for _, count in sent[:-1]) / sent[-1][0] <= 10

    def test_accounts_are_apart(self) -> None:
        assert self.acquire(0.0) == 0.0
        assert rate_limit.acquire("other", 10, 1, clock=1000.0) == 0.0


class TestPause:
    def wait(self, seconds: float = 0) -> float:
        at = NOW.fromtimestamp(NOW.timestamp() + seconds, tz=NOW.tzinfo)
        return account_state.fetch(["acme"], now=at)["acme"].wait(at)

    def test_a_pause_lasts_as_long_as_the_provider_asks(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=7), 5)], now=NOW)

        assert (self.wait(), self.wait(6.5), self.wait(7)) == (7.0, 0.5, 0.0)

    def test_a_shorter_pause_does_not_end_a_longer_one(self) -> None:
        for seconds in (60, 7):
            account_state.record([CallResult("acme", RateLimited("slow down", retry_after=seconds), 5)], now=NOW)

        assert self.wait() == 60.0

    def test_a_pause_is_bounded(self) -> None:
        account_state.record([CallResult("acme", RateLimited("slow down", retry_after=86_400), 5)], now=NOW)

        assert self.wait() == 3600.0

    @pytest.mark.parametrize(
        "error",
        [RateLimited("slow down"), Unavailable("down", retry_after=60)],
        ids=["no retry-after", "another fault"],
    )
    def test_nothing_else_pauses(self, error) -> None:
        account_state.record([CallResult("acme", error, 5)], now=NOW)

        assert self.wait() == 0.0
