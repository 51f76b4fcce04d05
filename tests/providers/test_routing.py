"""The choice of an account is fair, repeatable and never an account that must not be chosen."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.routing import (
    FLOOR,
    MIN_RELATIVE_HEALTH,
    Candidate,
    SpreadSequence,
    Strategy,
    choose,
    health_factor,
    serves,
)

NUMBER = "+14155550123"
weights = st.dictionaries(
    st.sampled_from("abcdef"), st.one_of(st.just(0.0), st.integers(1, 1000).map(float)), min_size=1, max_size=6
)
positions = st.floats(0, 1, exclude_max=True)


def candidates(shares: dict[str, float]) -> list[Candidate]:
    return [Candidate(slug, weight) for slug, weight in shares.items()]


@settings(deadline=None)  # a thousand picks for an example; how long they take is the machine's affair
@given(shares=weights.filter(lambda shares: any(shares.values())), start=positions)
def test_shares_follow_the_weights_within_one_percent(shares: dict[str, float], start: float) -> None:
    sequence = SpreadSequence(start)

    picks = Counter(choose(candidates(shares), number=NUMBER, position=sequence.next()) for _ in range(1000))

    total = sum(shares.values())
    for slug, weight in shares.items():
        assert abs(picks[slug] / 1000 - weight / total) <= 0.01


@given(shares=weights, position=positions, excluded=st.frozensets(st.sampled_from("abcdef")))
def test_only_an_account_with_a_weight_that_is_not_excluded_is_chosen(
    shares: dict[str, float], position: float, excluded: frozenset[str]
) -> None:
    usable = {slug for slug, weight in shares.items() if weight > 0} - excluded

    chosen = choose(candidates(shares), number=NUMBER, position=position, exclude=excluded)

    assert chosen in usable if usable else chosen is None


@given(shares=weights, position=positions, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(shares: dict[str, float], position: float, seed) -> None:
    shuffled = candidates(shares)
    seed.shuffle(shuffled)

    assert choose(shuffled, number=NUMBER, position=position) == choose(
        candidates(shares), number=NUMBER, position=position
    )


@pytest.mark.parametrize(
    ("position", "slug"), [(0.0, "a"), (0.2999, "a"), (0.3, "b"), (0.9999, "b"), (1 - 2**-53, "b")]
)
def test_a_position_stands_for_one_account(position: float, slug: str) -> None:
    assert choose(candidates({"a": 30, "b": 70}), number=NUMBER, position=position) == slug


def test_rounding_at_the_end_of_the_scale_still_finds_an_account() -> None:
    many = candidates({f"{index:02}": 0.1 for index in range(11)})

    assert choose(many, number=NUMBER, position=1 - 2**-53) == "10"


def test_the_share_of_an_account_that_does_not_serve_the_number_goes_to_the_others() -> None:
    pair = [Candidate("a", 99, allowed_prefixes=("+44",)), Candidate("b", 1)]

    assert choose(pair, number=NUMBER, position=0.0) == "b"
    assert choose(pair, number="+447700900123", position=0.0) == "a"


@pytest.mark.parametrize(
    ("allowed", "denied", "expected"),
    [
        ((), (), True),
        (("+1",), (), True),
        (("+44",), (), False),
        ((), ("+1",), False),
        ((), ("+44",), True),
        (("+1",), ("+1415",), False),
        (("+1415",), ("+1",), True),
        (("+1",), ("+1",), False),
        (("+44",), ("+7",), False),
        (("+1", "+1415555"), ("+1415",), True),
        (("+14155550123",), ("+1415555012",), True),
    ],
)
def test_the_longest_prefix_decides(allowed: tuple[str, ...], denied: tuple[str, ...], expected: bool) -> None:
    assert serves(Candidate("a", 1, allowed, denied), NUMBER) is expected


def test_a_sequence_stays_evenly_spread_under_many_threads() -> None:
    sequence = SpreadSequence()

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: sequence.next(), range(4000)))

    assert all(0 <= position < 1 for position in drawn)
    assert len(set(drawn)) == 4000
    tenths = Counter(int(position * 10) for position in drawn)
    assert all(abs(count - 400) <= 8 for count in tenths.values())


class TestHealth:
    @given(shares=weights, position=positions)
    def test_health_alone_excludes_no_account(self, shares: dict[str, float], position: float) -> None:
        # A power of two, so that a position on the very border of two shares stays on its side.
        ill = [Candidate(slug, weight, health=2**-5) for slug, weight in shares.items()]

        assert choose(ill, number=NUMBER, position=position) == choose(
            candidates(shares), number=NUMBER, position=position
        )

    @settings(deadline=None)
    @given(health=st.floats(0.03, 1), start=positions)
    def test_the_share_is_that_of_weight_times_health(self, health: float, start: float) -> None:
        pair = [Candidate("ill", 50, health=health), Candidate("well", 50)]
        sequence = SpreadSequence(start)

        picks = Counter(choose(pair, number=NUMBER, position=sequence.next()) for _ in range(1000))

        assert abs(picks["ill"] / 1000 - health / (1 + health)) <= 0.01


class TestStrategies:
    def choose(self, strategy: Strategy, *found: Candidate, number: str = NUMBER, **options) -> str | None:
        return choose(found, number=number, position=options.pop("position", 0.5), strategy=strategy, **options)

    def test_failover_takes_the_heaviest_that_is_there(self) -> None:
        found = [Candidate("b", 50), Candidate("c", 10), Candidate("a", 50, health=0.3)]

        assert self.choose(Strategy.FAILOVER, *found) == "a"
        assert self.choose(Strategy.FAILOVER, *found, exclude=frozenset({"a"})) == "b"
        assert self.choose(Strategy.FAILOVER, *found, exclude=frozenset({"a", "b"})) == "c"
        assert self.choose(Strategy.FAILOVER, *found, exclude=frozenset("abc")) is None

    def test_the_cheapest_is_that_of_the_longest_prefix(self) -> None:
        dear = Candidate("dear", 900, prices={"+1": 0.008})
        cheap = Candidate("cheap", 1, prices={"+1": 0.02, "+1415": 0.001})

        assert self.choose(Strategy.CHEAPEST, dear, cheap) == "cheap"
        assert self.choose(Strategy.CHEAPEST, dear, cheap, number="+12125550123") == "dear"
        assert self.choose(Strategy.CHEAPEST, dear, cheap, exclude=frozenset({"cheap"})) == "dear"

    @pytest.mark.parametrize(("position", "slug"), [(0.0, "a"), (0.29, "a"), (0.31, "b"), (0.99, "b")])
    def test_those_of_one_price_share_by_weight(self, position: float, slug: str) -> None:
        found = [Candidate(name, weight, prices={"+1": 0.01}) for name, weight in (("a", 30), ("b", 70))]

        assert self.choose(Strategy.CHEAPEST, *found, Candidate("c", 100), position=position) == slug

    def test_without_a_price_an_account_is_the_dearest(self) -> None:
        assert self.choose(Strategy.CHEAPEST, Candidate("a", 900), Candidate("b", 1, prices={"+1": 999.0})) == "b"
        assert self.choose(Strategy.CHEAPEST, Candidate("a", 900)) == "a"

    @pytest.mark.parametrize("strategy", [Strategy.CHEAPEST, Strategy.FAILOVER])
    @given(
        healths=st.dictionaries(st.sampled_from("abcdef"), st.floats(FLOOR, 1), min_size=1, max_size=6),
        position=positions,
    )
    def test_cheapest_and_failover_skip_accounts_far_less_healthy_than_the_best(
        self, strategy: Strategy, healths: dict[str, float], position: float
    ) -> None:
        """The choice is the same as without the accounts that are skipped."""
        all_of_them = [
            Candidate(slug, weight=ord("g") - ord(slug), health=health, prices={"+": ord(slug)})
            for slug, health in healths.items()
        ]
        well = [each for each in all_of_them if each.health >= max(healths.values()) * MIN_RELATIVE_HEALTH]

        chosen = choose(all_of_them, number=NUMBER, position=position, strategy=strategy)

        assert chosen == min(each.slug for each in well)

    @pytest.mark.parametrize("strategy", [Strategy.CHEAPEST, Strategy.FAILOVER])
    @pytest.mark.parametrize(("faults", "slug"), [(0, "first"), (29, "first"), (60, "second")])
    def test_the_first_account_is_skipped_by_the_share_of_its_faults(
        self, strategy: Strategy, faults: int, slug: str
    ) -> None:
        first = Candidate("first", 90, prices={"+1": 0.001}, health=health_factor(100, faults))
        second = Candidate("second", 10, prices={"+1": 0.01}, health=health_factor(100, 0))

        assert choose([first, second], number=NUMBER, position=0.5, strategy=strategy) == slug
        alone = choose([first, second], number=NUMBER, position=0.5, exclude=frozenset({"second"}), strategy=strategy)
        assert alone == "first"

    def test_sticky_gives_a_number_the_same_account_each_time(self) -> None:
        found = candidates({"a": 30, "b": 70})

        for last in range(100):
            number = f"+1415555{last:04d}"
            assert len({self.choose(Strategy.STICKY, *found, number=number, position=p / 10) for p in range(10)}) == 1

    def test_sticky_shares_follow_the_weights_over_many_numbers(self) -> None:
        found = candidates({"a": 30, "b": 70})

        picks = Counter(self.choose(Strategy.STICKY, *found, number=f"+1415{n:07d}") for n in range(4000))

        assert abs(picks["a"] / 4000 - 0.3) <= 0.03

    def test_a_lower_weight_moves_recipients_only_away_from_that_account(self) -> None:
        numbers = [f"+1415{n:07d}" for n in range(500)]
        before = {n: self.choose(Strategy.STICKY, *candidates({"a": 50, "b": 50, "c": 50}), number=n) for n in numbers}
        after = {n: self.choose(Strategy.STICKY, *candidates({"a": 10, "b": 50, "c": 50}), number=n) for n in numbers}

        moved = [(before[n], after[n]) for n in numbers if before[n] != after[n]]
        assert moved
        assert {origin for origin, _ in moved} == {"a"}
