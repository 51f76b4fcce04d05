"""REST views of provider accounts: health, and the operator's actions. Their configuration is not exposed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.api.serializers import OptionalReasonSerializer, ReasonSerializer
from messaging.services.representation import isoformat_utc
from providers import services, smpp_leases
from providers.models import ProviderAccount, SmppBind
from providers.state import account_state, health
from providers.state.account_state import AccountState
from providers.state.circuit_breaker import Circuit
from providers.state.health import CallOutcome, Window

MINUTES = (1, 15)


class CircuitSerializer(serializers.Serializer):
    state = serializers.ChoiceField([c.value for c in Circuit])
    reason = serializers.CharField(allow_null=True)
    held = serializers.BooleanField(help_text="True: the circuit stays open until an operator resets it.")
    until = serializers.DateTimeField(allow_null=True, help_text="When the next probe call may be made.")


class WindowSerializer(serializers.Serializer):
    calls = serializers.IntegerField()
    by_outcome = serializers.DictField(child=serializers.IntegerField())
    error_rate = serializers.FloatField(
        allow_null=True, help_text="Share of calls that failed because of the account, from 0 to 1."
    )
    refusal_rate = serializers.FloatField(
        allow_null=True,
        help_text="Share of calls in which the provider refused the text or its recipient, from 0 to 1. "
        "These are no errors of the account.",
    )
    median_latency_ms = serializers.IntegerField(allow_null=True)
    delivery_rate = serializers.FloatField(
        allow_null=True, help_text="Share of receipts that report delivery, from 0 to 1."
    )


class SmppBindSerializer(serializers.Serializer):
    number = serializers.IntegerField(help_text="From 1 to the account's `binds`.")
    state = serializers.ChoiceField([state.value for state in SmppBind.State])
    since = serializers.DateTimeField(allow_null=True)
    connector = serializers.CharField(allow_null=True, help_text="The process that holds the bind.")
    window = serializers.IntegerField(help_text="How many submissions may be unanswered at a time.")
    in_flight = serializers.IntegerField(help_text="Submissions that are not answered yet, a few seconds ago.")
    error = serializers.CharField(allow_null=True, help_text="Why the bind is down.")


class ProviderSerializer(serializers.Serializer):
    slug = serializers.CharField()
    backend = serializers.CharField()
    enabled = serializers.BooleanField()
    weight = serializers.IntegerField()
    effective_weight = serializers.FloatField(
        help_text="The weight used for routing: `weight`, reduced by recent errors; 0 while disabled."
    )
    circuit = CircuitSerializer()
    refuses_many = serializers.BooleanField(
        help_text="True: within 15 minutes more than nine in ten of at least twenty recipients were refused. "
        "The account is used as before; staff were alerted."
    )
    paused_until = serializers.DateTimeField(
        allow_null=True, help_text="The end of a pause that the provider requested."
    )
    binds = SmppBindSerializer(many=True, help_text="The binds of an SMPP account; empty for all others.")
    last_minute = WindowSerializer()
    last_15_minutes = WindowSerializer()


def serialize_accounts(rows: Sequence[ProviderAccount], *, now: datetime) -> list[dict[str, Any]]:
    slugs = [row.slug for row in rows]
    states = account_state.fetch(slugs, now=now)
    windows = health.windows(slugs, now=now.timestamp(), minutes=MINUTES)
    binds = smpp_leases.binds_of(rows)
    return [
        {
            **_serialize(row, states[row.slug], now=now),
            "binds": [_serialize_bind(bind, now=now) for bind in binds[row.slug]],
            **dict(zip(("last_minute", "last_15_minutes"), map(_serialize_window, windows[row.slug]), strict=True)),
        }
        for row in rows
    ]


def _serialize(row: ProviderAccount, account: AccountState, *, now: datetime) -> dict[str, Any]:
    circuit = account.circuit
    state = circuit.at(now.timestamp())
    until = None if state is Circuit.CLOSED or circuit.is_held else circuit.until
    return {
        "slug": row.slug,
        "backend": row.backend,
        "enabled": row.is_enabled,
        "weight": row.weight,
        "effective_weight": round(row.weight * account.factor, 2) if row.is_enabled else 0.0,
        "circuit": {
            "state": state.value,
            "reason": circuit.reason or None,
            "held": circuit.is_held,
            "until": _isoformat(until),
        },
        "refuses_many": account.refuses_many,
        "paused_until": _isoformat(account.paused_until) if account.paused_until > now.timestamp() else None,
    }


def _serialize_bind(bind: SmppBind, *, now: datetime) -> dict[str, Any]:
    is_live = smpp_leases.is_live(bind, now=now)
    return {
        "number": bind.number,
        "state": smpp_leases.state_of(bind, now=now),
        "since": isoformat_utc(bind.state_since) if bind.state_since else None,
        "connector": bind.holder if is_live else None,
        "window": bind.window,
        "in_flight": bind.in_flight if is_live else 0,
        "error": bind.last_error or None,
    }


def _serialize_window(window: Window) -> dict[str, Any]:
    return {
        "calls": window.calls,
        "by_outcome": {outcome.value: window.by_outcome[outcome] for outcome in CallOutcome},
        "error_rate": _rounded(window.error_rate),
        "refusal_rate": _rounded(window.refusal_rate),
        "median_latency_ms": window.median_latency_ms,
        "delivery_rate": _rounded(window.delivery_rate),
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)


def _isoformat(seconds: float | None) -> str | None:
    return None if seconds is None else isoformat_utc(datetime.fromtimestamp(seconds, tz=UTC))


class ProviderViewSet(viewsets.GenericViewSet):
    """For operators. While Redis is unavailable, circuits show as closed and counts as zero."""

    queryset = ProviderAccount.objects.order_by("slug")
    serializer_class = ProviderSerializer
    filter_backends = []
    lookup_url_kwarg = "slug"
    lookup_value_converter = "slug"
    action_permissions = {
        "list": "providers.view_provideraccount",
        "retrieve": "providers.view_provideraccount",
        "enable": "providers.change_provideraccount",
        "disable": "providers.change_provideraccount",
        "open": "providers.change_provideraccount",
        "reset": "providers.change_provideraccount",
    }

    @extend_schema(responses=ProviderSerializer(many=True))
    def list(self, request: Request) -> Response:
        rows = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(serialize_accounts(rows, now=timezone.now()))

    def retrieve(self, request: Request, slug: str) -> Response:
        return _response(self.get_object())

    @extend_schema(request=OptionalReasonSerializer)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, slug: str) -> Response:
        return _run(request, services.set_enabled, slug=slug, is_enabled=True)

    @extend_schema(request=OptionalReasonSerializer)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, slug: str) -> Response:
        return _run(request, services.set_enabled, slug=slug, is_enabled=False)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def open(self, request: Request, slug: str) -> Response:
        return _run(request, services.hold_open, reason=ReasonSerializer, slug=slug)

    @extend_schema(request=OptionalReasonSerializer)
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, slug: str) -> Response:
        return _run(request, services.reset, slug=slug)


def _run(
    request: Request,
    service: Callable[..., ProviderAccount],
    reason: type[serializers.Serializer] = OptionalReasonSerializer,
    **arguments: Any,
) -> Response:
    serializer = reason(data=request.data)
    serializer.is_valid(raise_exception=True)
    text = serializer.validated_data.get("reason") or ""
    try:
        account = service(reason=text, actor=user_of(request), now=timezone.now(), **arguments)
    except ProviderAccount.DoesNotExist:
        raise Http404 from None
    return _response(account)


def _response(row: ProviderAccount) -> Response:
    return Response(serialize_accounts([row], now=timezone.now())[0])
