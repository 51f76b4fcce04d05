"""The preset `jasmin` with Jasmin, which sends to a carrier by SMPP."""

from collections.abc import Iterator

import pytest

from tests.journeys.client import Client
from tests.journeys.peers import jasmin
from tests.journeys.peers.gateway_journey import GatewayJourney, address_for_replies, disable_sandbox
from tests.journeys.peers.jasmin import Jasmin
from tests.journeys.peers.smsc import Smsc
from tests.journeys.stack import Stack

MISSING = jasmin.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def smsc() -> Iterator[Smsc]:
    with Smsc() as carrier:
        yield carrier


@pytest.fixture(scope="module")
def stack(smsc: Smsc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Jasmin(tmp_path_factory.mktemp("jasmin"), smsc_port=smsc.port) as gateway:
        environment = {
            "JASMIN_URL": gateway.url,
            "JASMIN_USERNAME": gateway.username,
            "JASMIN_PASSWORD": gateway.password,
            "JASMIN_OLD_PASSWORD": "out-of-date",
        }
        with Stack(environment=environment) as running:
            running.manage("upsert_provider", "jasmin", "--preset", "jasmin")
            gateway.start(replies=address_for_replies(running, "jasmin"))
            disable_sandbox(Client(running))
            running.wait_until(lambda: smsc.is_bound)
            yield running


class TestJasmin(GatewayJourney):
    preset = "jasmin"

    def test_texts_at_every_moment_of_a_second_arrive(self, client: Client, smsc: Smsc) -> None:
        """Jasmin drops a text with a validity that ends in the last tenth of a second."""
        recipients = [self.number(100 + index) for index in range(60)]

        for to in recipients:
            client.send(to, "Hello")

        client.wait_until_none_is(["queued", "sending", "sent"])
        arrived = [text.to for text in smsc.submitted if f"+{text.to}" in recipients]
        assert sorted(arrived) == sorted(to[1:] for to in recipients)
