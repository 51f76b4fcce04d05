"""Links over TLS: whose certificate is accepted, and which certificate of ours is shown."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from messaging.smpp_connector.links import tls_context
from providers.models import SmppBind
from providers.smpp.constants import CommandId
from tests.messaging.smpp_connector.carrier import FakeSmsc, running
from tests.messaging.smpp_connector.test_links import Watched
from tests.providers.http.private_network import Authority

State = SmppBind.State
NOT_VALID = "the carrier's certificate is not valid for this host"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "carriers")


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_certificate_of_the_account_s_own_authority_is_accepted(authority: Authority) -> None:
    async def scenario() -> None:
        async with running(FakeSmsc(), tls=authority.server()) as carrier:
            watched = Watched(carrier.port, tls=tls_context(ca_file=str(authority.file), certificate=None))
            watched.link.start()
            await watched.until(State.BOUND)
            assert carrier.binds[0][0] == CommandId.BIND_TRANSCEIVER
            await watched.link.stop()

    run(scenario)


@pytest.mark.parametrize(("own_authority", "host"), [(False, "127.0.0.1"), (True, "localhost")])
def test_another_authority_or_another_name_is_refused_before_the_password_is_sent(
    authority: Authority, own_authority: bool, host: str
) -> None:
    async def scenario() -> None:
        async with running(FakeSmsc(), tls=authority.server()) as carrier:
            ca_file = str(authority.file) if own_authority else None
            watched = Watched(carrier.port, host=host, tls=tls_context(ca_file=ca_file, certificate=None))
            watched.link.start()
            await watched.until(State.DOWN)
            assert watched.states[-1][1] == NOT_VALID
            assert carrier.binds == []
            await watched.link.stop()

    run(scenario)


def test_a_carrier_without_tls_never_gets_the_password(authority: Authority) -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            watched = Watched(carrier.port, tls=tls_context(ca_file=str(authority.file), certificate=None))
            watched.link.start()
            await watched.until(State.DOWN)
            assert carrier.binds == []
            await watched.link.stop()

    run(scenario)


def test_a_carrier_that_asks_for_a_client_certificate_gets_ours(authority: Authority, tmp_path: Path) -> None:
    ours = Authority(tmp_path, "clients")
    certificate, key = ours.issue("client")

    async def scenario() -> None:
        async with running(FakeSmsc(), tls=authority.server(clients_of=ours)) as carrier:
            without = Watched(carrier.port, tls=tls_context(ca_file=str(authority.file), certificate=None))
            without.link.start()
            await without.until(State.DOWN)
            assert carrier.binds == []
            await without.link.stop()
            context = tls_context(ca_file=str(authority.file), certificate=(str(certificate), str(key)))
            watched = Watched(carrier.port, tls=context)
            watched.link.start()
            await watched.until(State.BOUND)
            await watched.link.stop()

    run(scenario)
