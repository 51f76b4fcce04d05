"""A carrier on loopback for the tests of one backend."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contract.fake_carrier import FakeCarrier


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        yield carrier
