"""Where providers call us. Each request proves itself; what it says is kept before anything is made of it."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.request_bodies import read_bounded
from messaging.services import receipts
from providers import callback_tokens, registry
from providers.base import CallbackRequest
from providers.errors import MalformedCallback
from providers.models import ProviderAccount

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024


class _AnyAccept(BaseContentNegotiation):
    """Carriers send all kinds of Accept headers and read none of the answer."""

    def select_parser(self, request: Request, parsers: list) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: list, format_suffix: str | None = None) -> tuple:
        return renderers[0], renderers[0].media_type


class StatusCallbackView(APIView):
    """Delivery receipts."""

    authentication_classes: list = []
    permission_classes: list = []
    throttle_classes: list = []
    content_negotiation_class = _AnyAccept

    @extend_schema(
        operation_id="webhooks_status",
        summary="A provider's delivery receipt",
        tags=["provider callbacks"],
        auth=[],
        request={
            "application/json": OpenApiTypes.OBJECT,
            "application/x-www-form-urlencoded": OpenApiTypes.OBJECT,
        },
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, slug: str) -> Response:
        account = ProviderAccount.objects.filter(pk=slug).first()
        if account is None:
            raise Http404
        callback = callback_of(request)
        backend = registry.backend_for(account)
        backend.verify(callback)
        attempt_id = attempt_of(callback.token, account)
        now = timezone.now()
        try:
            report = backend.parse_status(callback)
        except MalformedCallback:
            receipts.record(account=account, body=callback.body, report=None, attempt_id=attempt_id, now=now)
            raise
        kept = receipts.record(account=account, body=callback.body, report=report, attempt_id=attempt_id, now=now)
        matched = receipts.apply(kept.pk, now=now)
        return Response({"result": "applied" if matched else "kept"}, status=200 if matched else 202)


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
