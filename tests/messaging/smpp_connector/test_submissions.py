import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from messaging.smpp_connector import links, submissions
from messaging.smpp_connector.links import Link, LinkSettings
from messaging.smpp_connector.submissions import NotSubmitted, PartOf, Submission, Submitter
from providers.models import SmppBind
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Bind, Pdu, ShortMessage, SmppAddress, message_id_body
from providers.smpp.session import SessionLimits
from tests.messaging.smpp_connector.carrier import (
    PASSWORD,
    SYSTEM_ID,
    FakeSmsc,
    accept,
    hang_up,
    ignore,
    refuse,
    running,
)

State = SmppBind.State
THROTTLED = refuse(CommandStatus.RTHROTTLED)


class Rig:
    def __init__(self, made: list[Link]) -> None:
        self.links = made
        self.late: asyncio.Queue[tuple[PartOf, Pdu]] = asyncio.Queue()
        self.announced = 0
        self.submitter = Submitter(lambda: made, response_seconds=0.5)

    async def submit(self, parts: int = 1, *, within: float = 5.0) -> Submission:
        body = ShortMessage(SmppAddress("1"), SmppAddress("2"), b"x").encode()
        submission = Submission("acme", "attempt", "message", [body] * parts, within)
        await self.submitter.submit(submission, before_write=self._announce)
        return submission

    async def _announce(self) -> None:
        self.announced += 1


@asynccontextmanager
async def bound(carrier: FakeSmsc, *, password: str = PASSWORD, window: int = 10, count: int = 1) -> AsyncIterator[Rig]:
    async with running(carrier):
        changed = asyncio.Event()
        made: list[Link] = []
        rig = Rig(made)
        settings = LinkSettings(
            host="127.0.0.1",
            port=carrier.port,
            bind=Bind(SYSTEM_ID, password),
            limits=SessionLimits(window=window, response_seconds=2),
        )
        for _ in range(count):
            link = Link(
                settings,
                CommandId.BIND_TRANSCEIVER,
                receive=lambda *_: None,
                late=lambda context, pdu: rig.late.put_nowait((context, pdu)),
                changed=lambda _: changed.set(),
            )
            made.append(link)
            link.start()
        async with asyncio.timeout(10):
            while any(link.state == State.CONNECTING for link in made):
                changed.clear()
                await changed.wait()
        yield rig
        await asyncio.gather(*(link.stop() for link in made))


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(links, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(submissions, "THROTTLE_PAUSE", 0.01)


def test_an_accepted_text_has_the_carrier_s_id_and_was_announced_before_it_was_written() -> None:
    async def scenario() -> None:
        async with bound(FakeSmsc()) as rig:
            submission = await rig.submit()
            assert submission.as_json() == [{"status": 0, "id": "id-1"}]
            assert (submission.is_accepted, rig.announced) == (True, 1)

    run(scenario)


def test_each_part_has_its_id_and_the_first_one_goes_alone() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[ignore, accept])
        async with bound(carrier) as rig:
            task = asyncio.create_task(rig.submit(3))
            await carrier.until(lambda: bool(carrier.unanswered))
            assert len(carrier.submitted) == 1
            session, pdu = carrier.unanswered[0]
            session.respond(pdu, body=message_id_body("first"))
            submission = await task
            assert [answer and answer["id"] for answer in submission.as_json()] == ["first", "id-2", "id-3"]
            assert rig.announced == 1

    run(scenario)


def test_a_refused_first_part_is_the_only_one() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[refuse(CommandStatus.RINVDSTADR)])
        async with bound(carrier) as rig:
            submission = await rig.submit(3)
            assert submission.as_json() == [{"status": 0x0B, "id": ""}, None, None]
            assert len(carrier.submitted) == 1

    run(scenario)


def test_a_throttled_later_part_is_repeated_and_the_accepted_ones_are_not() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[accept, THROTTLED, accept])
        async with bound(carrier) as rig:
            submission = await rig.submit(2)
            assert submission.is_accepted
            assert len(carrier.submitted) == 3

    run(scenario)


def test_a_throttled_first_part_is_left_to_the_worker() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[THROTTLED])
        async with bound(carrier) as rig:
            assert (await rig.submit()).as_json() == [{"status": 0x58, "id": ""}]
            assert len(carrier.submitted) == 1

    run(scenario)


@pytest.mark.parametrize("answer", [ignore, hang_up])
def test_a_text_that_was_written_and_not_answered_has_no_answer(answer) -> None:
    async def scenario() -> None:
        async with bound(FakeSmsc(answers=[answer])) as rig:
            submission = await rig.submit()
            assert (submission.as_json(), rig.announced) == ([None], 1)

    run(scenario)


def test_an_answer_that_comes_too_late_is_told_with_its_part() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[ignore])
        async with bound(carrier) as rig:
            submission = await rig.submit()
            session, pdu = carrier.unanswered[0]
            session.respond(pdu, body=message_id_body("late"))
            context, answer = await asyncio.wait_for(rig.late.get(), 5)
            assert (context.submission is submission, context.position, answer.body) == (True, 0, b"late\0")

    run(scenario)


def test_without_a_bind_nothing_is_announced() -> None:
    async def scenario() -> None:
        async with bound(FakeSmsc(bind_status=CommandStatus.RSYSERR)) as rig:
            with pytest.raises(NotSubmitted, match="ESME_RSYSERR") as caught:
                await rig.submit()
            assert (caught.value.code, rig.announced) == ("no_bind", 0)

    run(scenario)


def test_refused_credentials_are_told_apart() -> None:
    async def scenario() -> None:
        async with bound(FakeSmsc(), password="wrong") as rig:
            with pytest.raises(NotSubmitted, match="ESME_RINVPASWD") as caught:
                await rig.submit()
            assert (caught.value.code, rig.announced) == ("credentials", 0)

    run(scenario)


def test_a_full_window_is_waited_for_and_then_left() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[ignore])
        async with bound(carrier, window=1) as rig:
            first = asyncio.create_task(rig.submit())
            await carrier.until(lambda: bool(carrier.unanswered))
            with pytest.raises(NotSubmitted) as caught:
                await rig.submit(within=0.51)
            assert (caught.value.code, rig.announced) == ("window_full", 1)
            session, pdu = carrier.unanswered[0]
            session.respond(pdu, body=message_id_body("one"))
            assert (await first).is_accepted
            assert len(carrier.submitted) == 1

    run(scenario)


def test_texts_use_the_bind_that_is_least_busy() -> None:
    async def scenario() -> None:
        carrier = FakeSmsc(answers=[ignore])
        async with bound(carrier, window=1, count=3) as rig:
            tasks = [asyncio.create_task(rig.submit()) for _ in range(3)]
            await carrier.until(lambda: len(carrier.unanswered) == 3)
            assert len({id(session) for session, _ in carrier.unanswered}) == 3
            for session, pdu in carrier.unanswered:
                session.respond(pdu, body=message_id_body("x"))
            assert all(each.is_accepted for each in await asyncio.gather(*tasks))

    run(scenario)
