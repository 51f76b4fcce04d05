"""A carrier, a token endpoint, and our client."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from providers.contract.sender import Timeouts
from providers.http.transport import Transport
from tests.contract.fake_carrier import FakeCarrier
from tests.providers.http.authenticated_calls import numbered_tokens


@pytest.fixture
def endpoint() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as endpoint:
        endpoint.play = numbered_tokens
        yield endpoint


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        yield carrier


@pytest.fixture
def http() -> Iterator[Transport]:
    with closing(Transport(Timeouts(connect=1, read=1), pool_size=8)) as http:
        yield http
