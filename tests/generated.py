"""Tests of generated input: `make test` runs them with a fifth of it, `make test-all` and CI with all (tests/tiers.py)."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_step = 5


def use_all() -> None:
    """Called before the tests are imported, if the selected tiers run all examples."""
    global _step  # noqa: PLW0603 (decorators read it while a file is imported)
    _step = 1


def examples(count: int) -> int:
    """The number for Hypothesis."""
    return count // _step


def some(cases: Sequence[T], start: int = 0) -> Sequence[T]:
    """All cases, or each fifth, and at least one: tests that begin elsewhere run other ones."""
    step = min(_step, len(cases))
    return cases[start % step :: step]
