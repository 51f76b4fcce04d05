"""HTTP endpoints for providers' callbacks: read, verify, parse, ingest, respond. Nothing is stored before `verify`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from messaging import notifier
from messaging.inbound_limits import inbound_limits
from messaging.models import ProviderCallback
from messaging.request_bodies import read_bounded
from messaging.services.inbound import receive
from messaging.services.outbound import receipts
from providers import account_cache, callback_tokens, registry
from providers.contract.callbacks import (
    CallbackParser,
    CallbackRequest,
    CallbackResponse,
    StatusReport,
    callback_parser,
)
from providers.errors import MalformedCallback
from providers.models import ProviderAccount

Kind, State = ProviderCallback.Kind, ProviderCallback.State

MAX_BODY_BYTES = 64 * 1024
# The response to well-formed receipts: the first of these states that one of them has.
RESULTS: dict[ProviderCallback.State, CallbackResponse] = {
    State.UNMATCHED: CallbackResponse("application/json", '{"result":"kept"}', 202),
    State.APPLIED: CallbackResponse("application/json", '{"result":"applied"}'),
    State.IGNORED: CallbackResponse("application/json", '{"result":"ignored"}'),
}
BODIES = {"application/json": OpenApiTypes.OBJECT, "application/x-www-form-urlencoded": OpenApiTypes.OBJECT}
STATUS_RESPONSES = {200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT}


class _AnyAccept(BaseContentNegotiation):
    """Ignores `Accept`: carriers send all kinds of values and do not read the response."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class _CallbackView(APIView):
    """The backend authenticates the request itself, by a signature or the token in the URL."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    content_negotiation_class = _AnyAccept
    http_method_names = ("get", "post")  # not HEAD, which must not change anything

    @contextmanager
    def authenticated(
        self, request: Request, slug: str
    ) -> Iterator[tuple[ProviderAccount, CallbackParser, CallbackRequest]]:
        """The account, the parser of its callbacks, and the authenticated callback.

        Raises `Http404` for an unknown account and for one without callbacks, and `InvalidSignature`.
        """
        account = account_cache.get(slug)
        if account is None:
            raise Http404
        callback = _callback_request(request)
        with registry.backend_for(account) as backend:
            parser = callback_parser(backend)
            if parser is None:
                raise Http404
            parser.verify(callback)
            yield account, parser, callback


class StatusCallbackView(_CallbackView):
    """Delivery receipts."""

    @extend_schema(operation_id="webhooks_status_get", auth=[], responses=STATUS_RESPONSES)
    def get(self, request: Request, slug: str) -> HttpResponse:
        return self._ingest(request, slug)

    @extend_schema(operation_id="webhooks_status", auth=[], request=BODIES, responses=STATUS_RESPONSES)
    def post(self, request: Request, slug: str) -> HttpResponse:
        return self._ingest(request, slug)

    def _ingest(self, request: Request, slug: str) -> HttpResponse:
        with self.authenticated(request, slug) as (account, parser, callback):
            now = timezone.now()  # after the body was read, however slowly it was sent
            body, attempt_id = _content(callback), _attempt_id(callback.token, account)
            try:
                reports = parser.parse_status(callback)
                _check_all_named(reports, attempt_id)
            except MalformedCallback as fault:
                receipts.record(
                    account=account, body=body, report=None, attempt_id=attempt_id, now=now, note=str(fault)
                )
                raise
        states = receipts.ingest(reports, account=account, body=body, attempt_id=attempt_id, now=now)
        if State.APPLIED in states:
            notifier.notify_webhooks()
        result = next((state for state in RESULTS if state in states), State.IGNORED)
        return _response(parser.status_response or RESULTS[result])


class InboundCallbackView(_CallbackView):
    """Inbound texts."""

    @extend_schema(operation_id="webhooks_inbound_get", auth=[], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, slug: str) -> HttpResponse:
        return self._ingest(request, slug)

    @extend_schema(operation_id="webhooks_inbound", auth=[], request=BODIES, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str) -> HttpResponse:
        return self._ingest(request, slug)

    def _ingest(self, request: Request, slug: str) -> HttpResponse:
        with self.authenticated(request, slug) as (account, parser, callback):
            now = timezone.now()  # after the body was read, however slowly it was sent
            try:
                texts = parser.parse_inbound(callback)
                receive.ingest_all(texts, account=account, limits=inbound_limits(), now=now)
            except MalformedCallback as fault:
                body = _content(callback)
                receipts.record(
                    account=account,
                    body=body,
                    report=None,
                    attempt_id=None,
                    now=now,
                    kind=Kind.INBOUND,
                    note=str(fault),
                )
                raise
        if texts:
            notifier.notify_inbound()
        if any(text.media_urls for text in texts):
            notifier.notify_inbound_media()
        return _response(parser.inbound_response)


def _response(expected: CallbackResponse) -> HttpResponse:
    return HttpResponse(expected.body, content_type=expected.content_type, status=expected.status)


def _check_all_named(reports: Sequence[StatusReport], attempt_id: UUID | None) -> None:
    if attempt_id is None and not all(report.provider_message_id or report.reference for report in reports):
        raise MalformedCallback("a receipt names no message")


def _content(callback: CallbackRequest) -> bytes:
    """What the provider has sent: the values in the query, octet by octet and without our token, and the body."""
    sent = parse_qsl(urlsplit(callback.url).query, keep_blank_values=True, errors="surrogateescape")
    query = urlencode([pair for pair in sent if pair[0] != "token"], errors="surrogateescape")
    return b"\n".join(part for part in (query.encode(), callback.body) if part)


def _callback_request(request: Request) -> CallbackRequest:
    """The request as backends take it. The URL is the public one, because that is what the provider signed."""
    # From the socket: DRF would parse the body, and a signature covers the raw bytes.
    body = read_bounded(request._request, MAX_BODY_BYTES)  # noqa: SLF001
    query = request.META.get("QUERY_STRING", "")
    path = getattr(request, "path_as_sent", request.path)
    return CallbackRequest(
        url=f"{settings.PUBLIC_URL}{path}{'?' if query else ''}{query}",
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        token=request.query_params.get("token", ""),
        method=request.method or "POST",
    )


def _attempt_id(token: str, account: ProviderAccount) -> UUID | None:
    """The attempt named by our own token; None without a token, or when the token is for the account as a whole."""
    named = callback_tokens.read(token, slug=account.slug, keys=registry.callback_keys()) if token else None
    try:
        return UUID(named) if named else None
    except ValueError:
        return None
