"""Records the calls of one send, so that staff see what an account sent, what came back, and which rule decided.

The recorder belongs to the thread's context. Without one, nothing is recorded: a backend and its transport report in any case.
What is recorded has secrets, numbers and texts in clear; only `providers.masking` makes it fit to be shown or stored.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from providers.contract.messages import OutboundMessage


@dataclass(slots=True)
class RecordedCall:
    """One call as it was sent, by HTTP unless `method` says otherwise. `status` is None without a complete response.

    `private` are values of the request that carry the message's text in a form of their own.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    response_body: bytes = field(default=b"", repr=False)
    private: tuple[str, ...] = field(default=(), repr=False)


@dataclass(slots=True)
class Recording:
    """The calls of one send, usually a single one. `rule` says what in the account's configuration decided."""

    message: OutboundMessage | None = field(default=None, repr=False)
    calls: list[RecordedCall] = field(default_factory=list)
    rule: str = field(default="", repr=False)

    @contextmanager
    def of(self, message: OutboundMessage) -> Iterator[None]:
        """Record the calls that this thread makes in the block, to send this message."""
        self.message = message
        token = _recording.set(self)
        try:
            yield
        finally:
            _recording.reset(token)


_recording: ContextVar[Recording | None] = ContextVar("recording", default=None)


def note_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes | str | None, *, private: tuple[str, ...] = ()
) -> None:
    """Called by the client of a provider before each request. The request may still be stopped by the send gate."""
    recording = _recording.get()
    if recording is not None:
        content = body.encode("utf-8", "replace") if isinstance(body, str) else body or b""
        recording.calls.append(RecordedCall(method, url, headers, content, private=private))


def note_response(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Called with the complete response to the latest request."""
    recording = _recording.get()
    if recording is not None and recording.calls:
        call = recording.calls[-1]
        call.status, call.response_headers, call.response_body = status, headers, body


def decided_by(rule: str) -> None:
    """Called by a backend that has read the response, with the rule that decided: `answer[2]: messages.0.status in ["4"]`.

    `rule` is shown to staff in one line. The last call counts.
    """
    recording = _recording.get()
    if recording is not None:
        recording.rule = rule
