"""What the view that admits and the server that waits tell each other.

The view runs in a thread, says who may follow what, and is done. The server waits, and calls the view again where the answer
is an ordinary one after all.
"""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse

from messaging.services.webhooks.live_access import Subscriber


class RequestStage(Enum):
    """Where a request stands; one without any is served by a process that cannot wait."""

    ARRIVED = auto()
    WAITED = auto()
    NO_SLOT = auto()


def stage_of(request: HttpRequest) -> RequestStage | None:
    return getattr(request, "live_stage", None)


def set_stage(request: HttpRequest, visit: RequestStage) -> None:
    request.live_stage = visit  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Stream:
    """Events after a number, of one message or of all of the owner's. `resumes`: the client was here before."""

    guest: Subscriber
    owner_id: int | None
    message_id: UUID | None
    after: int
    resumes: bool


@dataclass(frozen=True, slots=True)
class LongPoll:
    """Until the message's status is not `unlike`, for so many seconds at the most."""

    guest: Subscriber
    owner_id: int | None
    message_id: UUID
    unlike: str
    seconds: float


class AcceptedStream(StreamingHttpResponse):
    """Headers without a body: the server puts the stream there, or throws it away after a long poll."""

    def __init__(self, order: Stream | LongPoll, **options: object) -> None:
        super().__init__((), **options)
        self.order = order
