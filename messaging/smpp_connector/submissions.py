"""Submissions: the PDUs of one text, written through one bind, and the carrier's answer to each."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from messaging.smpp_connector.links import Link
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Pdu, read_message_id
from providers.smpp.session import NoResponse, NotWritten, Session

# How long a text waits for a place in the window, at most. Its worker may have another account for it.
WINDOW_SECONDS: Final = 2.0
# Later parts of a text whose first part is accepted are repeated when the carrier says "slow down".
THROTTLED: Final = frozenset({CommandStatus.RTHROTTLED, CommandStatus.RMSGQFUL})
THROTTLE_PAUSE: Final = 0.5


class NotSubmitted(Exception):
    """Nothing was written. `code`: `no_bind`, `credentials` or `window_full`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(slots=True)
class Submission:
    """One text. `answers` has the response to each PDU; None where there is none, or where it was not written.

    `within`: seconds until its worker stops waiting.
    """

    slug: str
    attempt: str
    reference: str
    pdus: Sequence[bytes] = field(repr=False)
    within: float
    answers: list[Pdu | None] = field(init=False, repr=False)
    is_reported: bool = False

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.pdus)

    @property
    def is_accepted(self) -> bool:
        """The carrier has accepted all parts."""
        return all(answer is not None and answer.status == CommandStatus.ROK for answer in self.answers)

    def ids(self) -> list[str]:
        return [read_message_id(answer.body) for answer in self.answers if answer is not None]

    def as_json(self) -> list[dict[str, Any] | None]:
        return [
            None if answer is None else {"status": answer.status, "id": read_message_id(answer.body)}
            for answer in self.answers
        ]


class PartOf(NamedTuple):
    """What a session keeps with the request of one part."""

    submission: Submission
    position: int


class Submitter:
    """Submits through the links of one account, of those with room the least used one."""

    def __init__(self, links: Callable[[], Sequence[Link]], *, response_seconds: float) -> None:
        self._links = links
        self._response_seconds = response_seconds
        self._turn = itertools.count()

    async def submit(self, submission: Submission, *, before_write: Callable[[], Awaitable[None]]) -> None:
        """Write the PDUs and collect the answers. `before_write` is awaited immediately before the first one is written.

        The first part goes alone: if the carrier refuses it, the text is provably not accepted. Raises `NotSubmitted`.
        """
        deadline = asyncio.get_running_loop().time() + submission.within
        session = self._session()
        wait = min(WINDOW_SECONDS, max(0.0, submission.within - self._response_seconds))
        try:
            await self._part(session, submission, 0, deadline, wait=wait, before_write=before_write)
        except NotWritten as error:
            code = "window_full" if session.is_open else "no_bind"
            raise NotSubmitted(code, str(error)) from None
        first = submission.answers[0]
        if len(submission.pdus) > 1 and first is not None and first.status == CommandStatus.ROK:
            rest = range(1, len(submission.pdus))
            await asyncio.gather(*(self._later_part(session, submission, index, deadline) for index in rest))

    def _session(self) -> Session:
        links = list(self._links())
        sessions = [link.session for link in links if link.can_submit and link.session is not None]
        if not sessions:
            senders = [link for link in links if link.sends]
            error = next((link.error for link in senders if link.error), "no bind is up")
            is_refused = any(link.state == link.state.REFUSED for link in senders)
            raise NotSubmitted("credentials" if is_refused else "no_bind", error)
        turn = next(self._turn) % len(sessions)  # the first one of several that are equally busy
        return min(sessions[turn:] + sessions[:turn], key=lambda session: (not session.has_room, session.in_flight))

    async def _part(
        self,
        session: Session,
        submission: Submission,
        index: int,
        deadline: float,
        *,
        wait: float,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Raises `NotWritten`."""
        loop = asyncio.get_running_loop()
        try:
            submission.answers[index] = await session.request(
                CommandId.SUBMIT_SM,
                submission.pdus[index],
                timeout=max(0.1, min(self._response_seconds, deadline - loop.time())),
                wait=wait,
                context=PartOf(submission, index),
                before_write=before_write,
            )
        except NoResponse:
            submission.answers[index] = None

    async def _later_part(self, session: Session, submission: Submission, index: int, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while (left := deadline - loop.time()) > THROTTLE_PAUSE:
            try:
                await self._part(session, submission, index, deadline, wait=left / 2)
            except NotWritten:
                return
            answer = submission.answers[index]
            if answer is None or answer.status not in THROTTLED:
                return
            await asyncio.sleep(THROTTLE_PAUSE)
