"""REST views of the live API. They authorize the request; the live server then holds the connection."""

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

MAX_SEQUENCE = 2**63 - 1
MAX_WAIT_SECONDS = 60
DEFAULT_WAIT_SECONDS = 30
RETRY_AFTER_SECONDS = 5
RESUME, RESUME_QUERY = "Last-Event-ID", "lastEventId"
EVENT_ID = {"type": "string", "pattern": "^[0-9]{1,19}$"}
RESUME_HEADER = OpenApiParameter(
    RESUME,
    EVENT_ID,
    OpenApiParameter.HEADER,
    description="The last `id` you received. Later events are sent first. `0` starts at the oldest event kept (7 days).",
)
# A browser's EventSource cannot set headers on its first request, and some polyfills never set them.
RESUME_PARAMETER = OpenApiParameter(
    RESUME_QUERY,
    EVENT_ID,
    description=f"The same as the header `{RESUME}`, for clients that cannot set it. The header wins if both are given.",
)
MESSAGE_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description=(
        "Endless stream of server-sent events: `id` is the event's `sequence`, `event` its type, `data` the JSON body of the "
        "corresponding client callback. A comment line is sent at least every 15 seconds."
    ),
    examples=examples.STREAM,
)


AFTER = OpenApiParameter(
    "after",
    {"type": "string", "enum": STATUS_CHOICES},
    description="The last status you know. Without it the response comes at once.",
)
TIMEOUT = OpenApiParameter(
    "timeout",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": DEFAULT_WAIT_SECONDS},
    description="Seconds to wait. After that the message is returned as it is.",
)


class ServedElsewhere(exceptions.APIException):
    status_code = 503
    default_detail = (
        "This process cannot serve live requests. Route /api/v1/live/ to the `live` process (docs/live.md)."
    )
    default_code = "served_by_live_process"


class TooManyStreams(exceptions.Throttled):
    default_detail = "This user has the maximum number of streams and long polls open."
    default_code = "too_many_streams"


class EventStreamRenderer(JSONRenderer):
    """For content negotiation and problem responses. The stream itself is not rendered."""

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
        if stage_of(request._request) is None:  # noqa: SLF001 (the live server passes its state on Django's request)
            raise ServedElsewhere
        super().initial(request, *args, **kwargs)
        if stage_of(request._request) is RequestStage.NO_SLOT:  # noqa: SLF001
            raise TooManyStreams(wait=RETRY_AFTER_SECONDS)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        if stage_of(request._request) is None:  # noqa: SLF001
            # Unauthenticated clients can cause this 503: Django would log an error for each request.
            final._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  # private to Django
        return final


class LiveStreamViewSet(LiveViewSet):
    renderer_classes = [EventStreamRenderer]
    action_permissions = {"events": PERMISSION, "message": PERMISSION}
    action_queries = {"events": (RESUME_PARAMETER,), "message": (RESUME_PARAMETER,)}

    @extend_schema(parameters=[RESUME_HEADER], responses={(200, EventStreamRenderer.media_type): STREAM})
    def events(self, request: Request) -> HttpResponseBase:
        after = _last_event_id(request)
        return _stream(
            request,
            Stream(
                subscriber=_subscriber(request),
                owner_id=user_of(request).pk,
                message_id=None,
                after=live_events.last_sequence() if after is None else after,
                resumes=after is not None,
            ),
        )

    @extend_schema(parameters=[MESSAGE_ID, RESUME_HEADER], responses={(200, EventStreamRenderer.media_type): STREAM})
    def message(self, request: Request, pk: UUID) -> HttpResponseBase:
        after = _last_event_id(request)
        message = get_object_or_404(messages_of(user_of(request)), pk=pk)
        return _stream(
            request,
            Stream(
                subscriber=_subscriber(request, message),
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
        may_wait = stage_of(request._request) is RequestStage.ARRIVED and request.method == "GET"  # noqa: SLF001
        if message.status == unlike and seconds and may_wait:
            return AcceptedStream(
                LongPoll(
                    subscriber=_subscriber(request, message),
                    owner_id=message.owner_id,
                    message_id=message.pk,
                    unlike=states.Status(message.status),
                    seconds=seconds,
                )
            )
        body = serialize_for(user_of(request), message, now=timezone.now())
        return Response(body, headers={"Cache-Control": "no-store"})


def _last_event_id(request: Request) -> int | None:
    """Return the last id the client received, or None. Raises `ValidationError` for an id that was never issued."""
    name = RESUME if request.headers.get(RESUME, "").strip() else RESUME_QUERY
    text = (request.headers if name == RESUME else request.query_params).get(name, "").strip()
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SEQUENCE)) else -1
    if not 0 <= number <= max(live_events.last_sequence(), 0):
        raise serializers.ValidationError({name: ["This is not the id of an event."]}, code="invalid")
    return number


def _subscriber(request: Request, message: Message | None = None) -> Subscriber:
    user = user_of(request)
    return Subscriber(
        user_id=user.pk,
        token=request.auth.digest if isinstance(request.auth, ApiToken) else "",
        session=_session_key(request),
        as_staff=message is not None and message.owner_id != user.pk,
        reads_texts=message is None or may_read_texts(user, message.owner_id),
    )


def _stream(request: Request, order: Stream) -> HttpResponseBase:
    # Tells nginx to pass on each event at once.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    options = {"content_type": EventStreamRenderer.media_type, "headers": headers}
    return HttpResponse(**options) if request.method == "HEAD" else AcceptedStream(order, **options)


def _session_key(request: Request) -> str:
    """The key of the browser session; empty for a request with a token, which has none."""
    session = getattr(request._request, "session", None)  # noqa: SLF001
    return getattr(session, "session_key", None) or ""
