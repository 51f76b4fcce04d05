"""The preset `kannel` with Debian's Kannel, which sends to a carrier by SMPP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.client import Client
from tests.journeys.peers import kannel
from tests.journeys.peers.gateway_journey import GatewayJourney, address_for_replies, disable_sandbox
from tests.journeys.peers.kannel import Kannel
from tests.journeys.peers.smsc import Smsc
from tests.journeys.stack import Stack

pytestmark = pytest.mark.skipif(not kannel.IS_INSTALLED, reason="Kannel is not installed (apt-get install kannel)")
DENIED = "+4477"


@pytest.fixture(scope="module")
def smsc() -> Iterator[Smsc]:
    with Smsc() as carrier:
        yield carrier


@pytest.fixture(scope="module")
def stack(smsc: Smsc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("kannel")
    with Kannel(folder, smsc_port=smsc.port, denied=DENIED) as gateway:
        environment = {
            "KANNEL_URL": gateway.url,
            "KANNEL_USERNAME": gateway.username,
            "KANNEL_PASSWORD": gateway.password,
            "KANNEL_OLD_PASSWORD": "out-of-date",
        }
        with Stack(environment=environment) as running:
            running.manage("upsert_provider", "kannel", "--preset", "kannel")
            gateway.start(replies=address_for_replies(running, "kannel"))
            disable_sandbox(Client(running))
            running.wait_until(lambda: smsc.is_bound)
            yield running


class TestKannel(GatewayJourney):
    preset = "kannel"

    def test_a_number_that_kannel_denies_is_refused(self, client: Client, smsc: Smsc) -> None:
        to = f"{DENIED}00900123"

        message = client.wait_for(client.send(to)["id"], "failed")

        assert message["error"]["code"] == "provider_refused"
        assert smsc.sent_to(to[1:]) == []
