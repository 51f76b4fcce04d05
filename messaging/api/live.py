"""Following live over REST: these views say who may follow what; the server that waits does the rest."""

import math
from typing import Any
from uuid import UUID

from django.http.response import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers, viewsets
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import states
from messaging.api import examples
from messaging.api.access import messages_of, user_of
from messaging.api.serializers import STATUS_CHOICES, MessageSerializer
from messaging.live.admission import AcceptedStream, LongPoll, RequestStage, Stream, stage_of
from messaging.models import ApiToken, Message
from messaging.services.outbound.waiting import serialize_for
from messaging.services.representation import may_read_texts
from messaging.services.webhooks import live_events
from messaging.services.webhooks.live_access import PERMISSION, Subscriber

LARGEST_NUMBER = 2**63 - 1
MAX_WAIT_SECONDS = 60
DEFAULT_WAIT_SECONDS = 30
COME_BACK_SECONDS = 5
RESUME, RESUME_QUERY = "Last-Event-ID", "lastEventId"
EVENT_ID = {"type": "string", "pattern": "^[0-9]{1,19}$"}
RESUME_HEADER = OpenApiParameter(
    RESUME,
    EVENT_ID,
    OpenApiParameter.HEADER,
    description="The last `id` you received. Later events are sent first. `0` starts at the oldest event kept (7 days).",
)
# A browser's EventSource cannot set a header on its first request, and some replacements for it never do.
RESUME_PARAMETER = OpenApiParameter(
    RESUME_QUERY,
    EVENT_ID,
    description=f"The same as the header `{RESUME}`, for clients that cannot set it. The header wins if both are given.",
)
MESSAGE_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description=(
        "Server-sent events without an end: `id` is the event's `sequence`, `event` its type, `data` the JSON body of the "
        "corresponding client callback. A comment line is sent at least every 15 seconds."
    ),
    examples=examples.STREAM,
)


AFTER = OpenApiParameter(
    "after",
    {"type": "string", "enum": STATUS_CHOICES},
    description="The status that you know. Without it the answer comes at once.",
)
TIMEOUT = OpenApiParameter(
    "timeout",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": DEFAULT_WAIT_SECONDS},
    description="How many seconds to wait. After that the message is returned as it is.",
)


class ServedElsewhere(exceptions.APIException):
    status_code = 503
    default_detail = "This process cannot wait: send /api/v1/live/ to the process `live` (docs/live.md)."
    default_code = "served_by_live_process"


class TooManyStreams(exceptions.Throttled):
    default_detail = "As many streams and long polls are open for this user as may be."
    default_code = "too_many_streams"


class EventStreamRenderer(JSONRenderer):
    """For the negotiation, and for problems; a stream itself is not rendered."""

    media_type = "text/event-stream"
    format = "event-stream"


class WaitSerializer(serializers.Serializer):
    after = serializers.ChoiceField(STATUS_CHOICES, required=False)
    timeout = serializers.FloatField(min_value=0, max_value=MAX_WAIT_SECONDS, default=DEFAULT_WAIT_SECONDS)

    def validate_timeout(self, seconds: float) -> float:
        if not math.isfinite(seconds):
            raise serializers.ValidationError("A valid number is required.", code="invalid")
        return seconds


class LiveViewSet(viewsets.ViewSet):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if stage_of(request._request) is None:  # noqa: SLF001 (the server talks to the view through Django's request)
            raise ServedElsewhere
        super().initial(request, *args, **kwargs)
        if stage_of(request._request) is RequestStage.NO_SLOT:  # noqa: SLF001
            raise TooManyStreams(wait=COME_BACK_SECONDS)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if stage_of(request._request) is None:  # noqa: SLF001
            # Anybody can ask here without a token: Django would write an error into the log each time.
            answer._has_been_logged = True  # noqa: SLF001
        return answer


class LiveStreamViewSet(LiveViewSet):
    renderer_classes = [EventStreamRenderer]
    action_permissions = {"events": PERMISSION, "message": PERMISSION}
    action_queries = {"events": (RESUME_PARAMETER,), "message": (RESUME_PARAMETER,)}

    @extend_schema(parameters=[RESUME_HEADER], responses={(200, EventStreamRenderer.media_type): STREAM})
    def events(self, request: Request) -> HttpResponseBase:
        after = _resumed_at(request)
        return _stream(
            request,
            Stream(
                subscriber=_guest(request),
                owner_id=user_of(request).pk,
                message_id=None,
                after=live_events.last_sequence() if after is None else after,
                resumes=after is not None,
            ),
        )

    @extend_schema(parameters=[MESSAGE_ID, RESUME_HEADER], responses={(200, EventStreamRenderer.media_type): STREAM})
    def message(self, request: Request, pk: UUID) -> HttpResponseBase:
        after = _resumed_at(request)
        message = get_object_or_404(messages_of(user_of(request)), pk=pk)
        return _stream(
            request,
            Stream(
                subscriber=_guest(request, message),
                owner_id=message.owner_id,
                message_id=message.pk,
                after=after or 0,
                resumes=after is not None,
            ),
        )


class LiveWaitViewSet(LiveViewSet):
    action_permissions = {"wait": PERMISSION}
    action_queries = {"wait": (AFTER, TIMEOUT)}

    @extend_schema(parameters=[MESSAGE_ID], responses=MessageSerializer)
    def wait(self, request: Request, pk: UUID) -> HttpResponseBase:
        query = WaitSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        message = get_object_or_404(messages_of(user_of(request)).prefetch_related("attachments"), pk=pk)
        unlike, seconds = query.validated_data.get("after"), query.validated_data["timeout"]
        is_to_wait = stage_of(request._request) is RequestStage.ARRIVED and request.method == "GET"  # noqa: SLF001
        if message.status == unlike and seconds and is_to_wait:
            return AcceptedStream(
                LongPoll(
                    subscriber=_guest(request, message),
                    owner_id=message.owner_id,
                    message_id=message.pk,
                    unlike=states.Status(message.status),
                    seconds=seconds,
                )
            )
        body = serialize_for(user_of(request), message, now=timezone.now())
        return Response(body, headers={"Cache-Control": "no-store"})


def _resumed_at(request: Request) -> int | None:
    """The number that the client has got to; None when it begins. Raises `ValidationError` for one that was never given."""
    name = RESUME if request.headers.get(RESUME, "").strip() else RESUME_QUERY
    given = (request.headers if name == RESUME else request.query_params).get(name, "").strip()
    if not given:
        return None
    number = int(given) if given.isascii() and given.isdigit() and len(given) <= len(str(LARGEST_NUMBER)) else -1
    if not 0 <= number <= max(live_events.last_sequence(), 0):
        raise serializers.ValidationError({name: ["This is not an id of an event."]}, code="invalid")
    return number


def _guest(request: Request, message: Message | None = None) -> Subscriber:
    user = user_of(request)
    return Subscriber(
        user_id=user.pk,
        token=request.auth.digest if isinstance(request.auth, ApiToken) else "",
        session=getattr(request._request.session, "session_key", None) or "",  # noqa: SLF001
        as_staff=message is not None and message.owner_id != user.pk,
        reads_texts=message is None or may_read_texts(user, message.owner_id),
    )


def _stream(request: Request, order: Stream) -> HttpResponseBase:
    # nginx, too, is to pass on each event at once.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    options = {"content_type": EventStreamRenderer.media_type, "headers": headers}
    return HttpResponse(**options) if request.method == "HEAD" else AcceptedStream(order, **options)
