"""What the live view and the ASGI server pass each other.

The view runs in a thread, decides what the caller may receive, and returns. The server waits, and calls the view again when
the response is an ordinary one after all.
"""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse

from messaging.services.webhooks.live_access import Subscriber


class RequestStage(Enum):
    """How far a live request has come. A request without a stage is in a process that serves no streams."""

    ARRIVED = auto()
    WAITED = auto()
    NO_SLOT = auto()


def stage_of(request: HttpRequest) -> RequestStage | None:
    return getattr(request, "live_stage", None)


def set_stage(request: HttpRequest, stage: RequestStage) -> None:
    request.live_stage = stage  # type: ignore[attr-defined] # the attribute is ours


@dataclass(frozen=True, slots=True)
class Stream:
    """The events after the sequence `after`: of one message, or of all of the owner's. `resumes`: the client reconnects."""

    subscriber: Subscriber
    owner_id: int | None
    message_id: UUID | None
    after: int
    resumes: bool


@dataclass(frozen=True, slots=True)
class LongPoll:
    """Wait until the message's status is not `unlike`, for at most `seconds`."""

    subscriber: Subscriber
    owner_id: int | None
    message_id: UUID
    unlike: str
    seconds: float


class AcceptedStream(StreamingHttpResponse):
    """Headers without a body: the server adds the stream, or discards the response after a long poll."""

    def __init__(self, order: Stream | LongPoll, **options: object) -> None:
        super().__init__((), **options)
        self.order = order
