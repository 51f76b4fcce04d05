"""One stack for the journeys of this folder: none needs an empty one, and each identifies its own messages."""

from collections.abc import Iterator

import pytest

from tests.journeys.client import Client
from tests.journeys.stack import Stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    # Two web processes, so that requests with the same key run in parallel; the rate limit is not under test.
    with Stack(workers=2, web_workers=2, environment={"RATE_LIMIT_PER_TOKEN": "10000/s"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)
