"""Where providers call us. Each request proves itself; what it says is kept before anything is made of it."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import e164, notifier
from messaging.inbound_limits import inbound_limits
from messaging.models import ProviderCallback
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.request_bodies import read_bounded
from messaging.services.inbound import receive
from messaging.services.inbound.receive import IncomingMessage
from messaging.services.outbound import receipts
from providers import callback_tokens, registry
from providers.contract.callbacks import CallbackRequest
from providers.contract.messages import InboundMessage
from providers.contract.sender import Backend
from providers.errors import MalformedCallback
from providers.models import ProviderAccount

logger = logging.getLogger(__name__)

Kind, State = ProviderCallback.Kind, ProviderCallback.State

MAX_BODY_BYTES = 64 * 1024
MAX_ADDRESS = 2000
# What the caller is told of a receipt that made sense.
RESULTS: dict[ProviderCallback.State, tuple[str, int]] = {
    State.APPLIED: ("applied", 200),
    State.IGNORED: ("ignored", 200),
    State.UNMATCHED: ("kept", 202),
}
# A shorter one is a short code, whatever its digits.
MIN_NUMBER, MAX_PARTY = 8, 16


class _AnyAccept(BaseContentNegotiation):
    """Carriers send all kinds of Accept headers and read none of the answer."""

    def select_parser(self, request: Request, parsers: list) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: list, format_suffix: str | None = None) -> tuple:
        return renderers[0], renderers[0].media_type


class _CallbackView(APIView):
    """Who calls proves it by the request itself."""

    authentication_classes: list = []
    permission_classes: list = []
    throttle_classes: list = []
    content_negotiation_class = _AnyAccept

    def proven(self, request: Request, slug: str) -> tuple[ProviderAccount, Backend, CallbackRequest]:
        account = ProviderAccount.objects.filter(pk=slug).first()
        if account is None:
            raise Http404
        callback = callback_of(request)
        backend = registry.backend_for(account)
        backend.verify(callback)
        return account, backend, callback


class StatusCallbackView(_CallbackView):
    """Delivery receipts."""

    @extend_schema(
        operation_id="webhooks_status",
        auth=[],
        request={
            "application/json": OpenApiTypes.OBJECT,
            "application/x-www-form-urlencoded": OpenApiTypes.OBJECT,
        },
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, slug: str) -> Response:
        account, backend, callback = self.proven(request, slug)
        attempt_id = attempt_of(callback.token, account)
        now = timezone.now()
        try:
            report = backend.parse_status(callback)
        except MalformedCallback:
            receipts.record(account=account, body=callback.body, report=None, attempt_id=attempt_id, now=now)
            raise
        state = receipts.ingest(report, account=account, body=callback.body, attempt_id=attempt_id, now=now)
        if state == State.APPLIED:
            notifier.notify_webhooks()
        result, status = RESULTS[state]
        return Response({"result": result}, status=status)


class InboundCallbackView(_CallbackView):
    """Texts that people write to one of our numbers."""

    @extend_schema(
        operation_id="webhooks_inbound",
        auth=[],
        request={
            "application/json": OpenApiTypes.OBJECT,
            "application/x-www-form-urlencoded": OpenApiTypes.OBJECT,
        },
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        account, backend, callback = self.proven(request, slug)
        now = timezone.now()
        try:
            incoming = incoming_of(backend.parse_inbound(callback))
        except MalformedCallback:
            receipts.record(
                account=account, body=callback.body, report=None, attempt_id=None, now=now, kind=Kind.INBOUND
            )
            raise
        receive.receive_from_provider(incoming=incoming, account=account, limits=inbound_limits(), now=now)
        notifier.notify_inbound()
        if incoming.addresses:
            notifier.notify_inbound_media()
        return HttpResponse(backend.inbound_answer.body, content_type=backend.inbound_answer.content_type)


def incoming_of(text: InboundMessage) -> IncomingMessage:
    """What a provider brings, in our words. Raises `MalformedCallback` for what no row can hold."""
    if len(text.text) > MAX_INBOUND_CHARACTERS:
        raise MalformedCallback(f"the text is longer than {MAX_INBOUND_CHARACTERS} characters")
    if len(text.media_urls) > MAX_ATTACHMENTS or any(len(url) > MAX_ADDRESS for url in text.media_urls):
        raise MalformedCallback("the text has too many media, or the address of one is too long")
    return IncomingMessage(
        sender=_party(text.sender),
        recipient=_party(text.recipient),
        text=text.text,
        addresses=tuple(dict.fromkeys(text.media_urls)),
        provider_message_id=text.provider_message_id,
        provider_keyword=text.keyword,
    )


def _party(given: str) -> str:
    """E.164 where it is a number; carriers drop the plus. A short code or a name stays as it is."""
    digits = given.removeprefix("+")
    is_international = given.startswith("+") or (digits.isascii() and digits.isdigit() and len(digits) >= MIN_NUMBER)
    if is_international:
        try:
            return e164.normalise(f"+{digits}")
        except e164.InvalidNumber:
            pass
    if len(given) > MAX_PARTY:
        raise MalformedCallback("the text's sender or recipient is no number, short code or name")
    return given


def callback_of(request: Request) -> CallbackRequest:
    """The request in the words of the backends. The address is the public one: it is what the provider has signed."""
    # Straight from the socket: DRF would parse the body, and a proof is over the raw bytes.
    body = read_bounded(request._request, MAX_BODY_BYTES)  # noqa: SLF001
    query = request.META.get("QUERY_STRING", "")
    path = getattr(request, "path_as_sent", request.path)
    return CallbackRequest(
        url=f"{settings.PUBLIC_URL}{path}{'?' if query else ''}{query}",
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        token=request.query_params.get("token", ""),
    )


def attempt_of(token: str, account: ProviderAccount) -> UUID | None:
    """The attempt that our own token names; None for a token of the account as such, or none at all."""
    named = callback_tokens.read(token, slug=account.slug, keys=registry.callback_keys()) if token else None
    try:
        return UUID(named) if named else None
    except ValueError:
        return None
