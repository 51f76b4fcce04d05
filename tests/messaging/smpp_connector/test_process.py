import asyncio

import pytest

from messaging.smpp_connector import process
from messaging.smpp_connector.connector import Connector

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_connector_that_fails_ends_the_process(monkeypatch) -> None:
    async def fail(_connector: Connector) -> None:
        raise LookupError("a fault of the program")

    monkeypatch.setattr(Connector, "run", fail)

    async def scenario() -> None:
        serving = asyncio.create_task(process.serve(host="127.0.0.1", port=0, secret_keys=["secret"]))
        ended, _ = await asyncio.wait([serving], timeout=5)
        assert ended
        await serving

    with pytest.raises(LookupError):
        asyncio.run(scenario())
