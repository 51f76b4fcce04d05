"""The validity that is handed over is never longer than what is left, within what a provider takes."""

from datetime import UTC, datetime, timedelta

import pytest

from providers.backends.validity import seconds_left

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(90.9, 90), (90, 90), (5, 5), (4.9, 5), (0, 5), (-60, 5), (100, 100), (100.1, 100), (900, 100)],
)
def test_the_seconds_that_are_left_are_within_the_limits(left: float, seconds: int) -> None:
    assert seconds_left(NOW + timedelta(seconds=left), now=NOW, shortest=5, longest=100) == seconds


def test_a_message_without_an_end_has_no_validity() -> None:
    assert seconds_left(None, now=NOW, shortest=5, longest=100) is None
