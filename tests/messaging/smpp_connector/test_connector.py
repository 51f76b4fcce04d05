"""The connector as a whole, with a carrier, the database and its leases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from messaging.smpp_connector import connector as connector_module
from messaging.smpp_connector.connector import Connector
from messaging.smpp_connector.submissions import Submission
from providers import smpp_leases
from providers.models import ProviderAccount, ProviderEvent, SmppBind
from providers.smpp.pdu import ShortMessage, SmppAddress, message_id_body
from tests.factories import AccountFactory
from tests.messaging.smpp_connector.carrier import FakeSmsc, ignore, running

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = {"env": "SMS_TEST_PASSWORD"}


class Rig:
    """A connector that works in rounds of a few milliseconds. `at` moves its clock."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.connector = Connector(clock=self._now)

    def _now(self) -> datetime:
        return timezone.now() + self.ahead

    async def in_database(self, job: Callable[[], object]) -> object:
        return await asyncio.to_thread(_closing(job))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on the database is true."""
        async with asyncio.timeout(10):
            while not await self.in_database(condition):  # noqa: ASYNC110 (the database tells nobody)
                await asyncio.sleep(0.01)


def _closing(job: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        try:
            return job()
        finally:
            connection.close()

    return run


@asynccontextmanager
async def connected() -> AsyncIterator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.connector.run())
    try:
        yield rig
    finally:
        rig.connector.stop()
        await asyncio.wait_for(task, 10)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(connector_module, "ROUND_SECONDS", 0.01)
    monkeypatch.setenv("SMS_TEST_PASSWORD", "secret")


def account(port: int, *, slug: str = "carrier", **config: object) -> ProviderAccount:
    values = {"host": "127.0.0.1", "port": port, "system_id": "us", "password": SECRET, **config}
    return AccountFactory(slug=slug, backend="smpp", config=values)


def states() -> list[str]:
    return [smpp_leases.state_of(bind, now=timezone.now()) for bind in SmppBind.objects.all()]


def test_an_enabled_account_is_bound_and_a_disabled_one_unbound() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port, binds=2))
            await rig.until(lambda: states() == ["bound", "bound"])
            assert len(carrier.sessions) == 2
            await rig.in_database(lambda: ProviderAccount.objects.update(is_enabled=False))
            await rig.until(lambda: states() == ["unbound", "unbound"])
            await carrier.until(lambda: carrier.closed == ["the peer has unbound"] * 2)
            await rig.until(lambda: list(SmppBind.objects.values_list("holder", flat=True)) == ["", ""])

    run(scenario)


def test_a_changed_account_is_bound_anew() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            row = await rig.in_database(lambda: account(carrier.port))
            await rig.until(lambda: states() == ["bound"])

            def change() -> None:
                row.config = row.config | {"system_type": "SMS"}
                row.save()

            await rig.in_database(change)
            await carrier.until(lambda: len(carrier.binds) == 2)
            assert [bind.system_type for _, bind in carrier.binds] == ["", "SMS"]

    run(scenario)


def test_a_lease_that_another_connector_has_is_left_to_it() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port))
            await rig.until(lambda: states() == ["bound"])
            until = timezone.now() + timedelta(hours=1)
            await rig.in_database(lambda: SmppBind.objects.update(holder="another", lease_until=until))
            await carrier.until(lambda: not carrier.sessions)
            assert rig.connector.binds_of("carrier") is None

    run(scenario)


def test_binds_outlast_the_database_until_their_leases_end(monkeypatch) -> None:
    def fail() -> list[ProviderAccount]:
        raise OperationalError("the server is restarting")

    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port))
            await rig.until(lambda: states() == ["bound"])
            with monkeypatch.context() as patch:
                patch.setattr(smpp_leases, "accounts", fail)
                rig.ahead = smpp_leases.LEASE - timedelta(seconds=5)
                await asyncio.sleep(0.1)  # several rounds
                assert len(carrier.sessions) == 1
                rig.ahead = smpp_leases.LEASE
                await carrier.until(lambda: not carrier.sessions)
            await carrier.until(lambda: len(carrier.sessions) == 1)

    run(scenario)


def test_refused_credentials_alert_staff_once() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port, system_id="them"))
            await rig.until(lambda: states() == ["refused"])
            await rig.until(ProviderEvent.objects.exists)
            for _ in range(10):
                await asyncio.sleep(0.01)
            events = await rig.in_database(lambda: list(ProviderEvent.objects.values_list("kind", "detail")))
            assert events == [("needs_operator", "the carrier refused the bind as transceiver: ESME_RINVPASWD")]
            assert len(carrier.binds) == 1

    run(scenario)


def test_files_that_cannot_be_used_are_reported() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port, tls=True, ca_file="/nowhere/ca.pem"))
            sentence = "the files of ca_file or client_certificate cannot be used"
            await rig.until(lambda: SmppBind.objects.filter(last_error=sentence, state="down").exists())

    run(scenario)


def test_an_account_that_cannot_be_used_does_not_hinder_the_others(monkeypatch) -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier, connected() as rig:
            await rig.in_database(lambda: account(carrier.port, slug="broken", password={"env": "SMS_NOT_SET"}))
            await rig.in_database(lambda: account(carrier.port))
            await rig.until(lambda: states() == ["bound"])

    run(scenario)


def test_a_stop_unbinds_and_gives_the_leases_back() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            async with connected() as rig:
                await rig.in_database(lambda: account(carrier.port))
                await rig.until(lambda: states() == ["bound"])
            await carrier.until(lambda: carrier.closed == ["the peer has unbound"])
            [row] = await rig.in_database(lambda: list(SmppBind.objects.all()))
            assert (row.holder, row.lease_until, row.state) == ("", None, "unbound")

    run(scenario)


def test_a_carrier_that_does_not_answer_delays_no_other_lease() -> None:
    async def scenario() -> None:
        slow, good = FakeSmsc(answers=[ignore]), FakeSmsc()
        async with running(slow), running(good), connected() as rig:
            await rig.in_database(lambda: account(slow.port, slug="slow", response_timeout=4.0))
            await rig.in_database(lambda: account(good.port, slug="good"))
            await rig.until(lambda: states() == ["bound", "bound"])
            pdu = ShortMessage(SmppAddress("1"), SmppAddress("2"), b"x").encode()
            binds = rig.connector.binds_of("slow")
            submission = Submission("slow", "a", "m", [pdu], 9.0)
            written = asyncio.create_task(binds.submit(submission, before_write=lambda: asyncio.sleep(0)))
            await slow.until(lambda: len(slow.submitted) == 1)
            await rig.in_database(lambda: ProviderAccount.objects.filter(pk="slow").update(is_enabled=False))

            def lease(slug: str) -> datetime:
                return SmppBind.objects.get(account=slug).lease_until

            await rig.until(lambda: rig.connector.binds_of("slow") is None)
            before = [await rig.in_database(lambda slug=slug: lease(slug)) for slug in ("slow", "good")]
            async with asyncio.timeout(2):
                await rig.until(lambda: lease("slow") > before[0] and lease("good") > before[1])
            assert not written.done()
            session, request = slow.unanswered[0]
            session.respond(request, body=message_id_body("late"))
            await written
            assert submission.is_accepted
            await rig.until(lambda: states() == ["bound", "unbound"])

    run(scenario)
