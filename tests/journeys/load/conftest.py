"""One stack for the journeys of this folder: none of them expects an empty one, and each tells its own messages apart."""

from collections.abc import Iterator

import pytest

from tests.journeys.client import Client
from tests.journeys.stack import Stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    # Two web processes, so that the same key is really taken at the same time; the limit of requests is not the point.
    with Stack(workers=2, web_workers=2, environment={"RATE_LIMIT_PER_TOKEN": "10000/s"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)
