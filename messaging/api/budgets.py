"""REST views of budgets: how much an owner may send, and how much of it is used."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging.api.access import user_of
from messaging.api.fields import StrictStringField
from messaging.api.known_names import StrictSerializer
from messaging.console import audit
from messaging.models import Budget
from messaging.policy.budgets import BudgetPeriod, start_of
from messaging.services.access import sees_all
from messaging.services.costs import budget_changes, budgets
from messaging.services.errors import InvalidField
from messaging.services.representation import isoformat_utc

VIEW = "messaging.view_budget"


class LimitField(serializers.DecimalField):
    """An amount as a text, such as "12.50": a JSON number may be rounded on its way."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=19, decimal_places=6, min_value=Decimal(0), max_value=budget_changes.MAX_LIMIT, **kwargs
        )

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not data.isascii() or len(data) > 20:  # noqa: PLR2004
            raise serializers.ValidationError('Write the amount as a text, such as "5000" or "12.50".', code="invalid")
        return super().to_internal_value(data)


class NewBudgetSerializer(StrictSerializer):
    owner = StrictStringField(max_length=150, help_text="The user name of the owner.")
    country = StrictStringField(
        required=False, allow_null=True, max_length=2, help_text="Two letters, such as DE. Null: all countries."
    )
    period = serializers.ChoiceField([period.value for period in BudgetPeriod], help_text="Of UTC.")
    limit = LimitField(help_text='Segments or, with a currency, an amount of money, such as "12.50".')
    currency = StrictStringField(
        required=False, allow_null=True, max_length=3, help_text="Of ISO 4217, such as EUR. Null: segments."
    )


class ChangedBudgetSerializer(StrictSerializer):
    limit = LimitField(help_text="The new limit; it holds at once.")


class BudgetSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    owner = serializers.CharField()
    country = serializers.CharField(allow_null=True, help_text="Null: all countries.")
    period = serializers.ChoiceField([period.value for period in BudgetPeriod])
    limit = serializers.CharField()
    currency = serializers.CharField(allow_null=True, help_text="Null: segments.")
    used = serializers.CharField(help_text="In the present period; messages that ended unsent have been given back.")
    period_ends_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def serialize_budgets(rows: Sequence[Budget]) -> list[dict[str, Any]]:
    """With the use of all of them, by one query."""
    now = timezone.now()
    used = budgets.used_now(rows, now=now)
    return [
        {
            **budgets.describe(row, used=used[row.pk], start=start_of(row.period, now)),
            "owner": row.owner.get_username(),
            "created_at": isoformat_utc(row.created_at),
            "updated_at": isoformat_utc(row.updated_at),
        }
        for row in rows
    ]


class BudgetViewSet(viewsets.GenericViewSet):
    """Users read their own budgets. Staff see all, and set them: nobody changes a budget by owning it."""

    queryset = Budget.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = BudgetSerializer
    filter_backends = []
    lookup_value_converter = "uuid"
    action_permissions = {
        "list": VIEW,
        "retrieve": VIEW,
        "create": "messaging.add_budget",
        "partial_update": "messaging.change_budget",
        "destroy": "messaging.delete_budget",
    }

    def get_queryset(self) -> QuerySet[Budget]:
        rows = Budget.objects.select_related("owner").order_by("-pk")
        user = user_of(self.request)
        return rows if sees_all(user, VIEW) else rows.filter(owner=user)

    @extend_schema(responses=BudgetSerializer(many=True))
    def list(self, request: Request) -> Response:
        rows = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(serialize_budgets(rows))

    def retrieve(self, request: Request, pk: str) -> Response:
        return _response(self.get_object())

    @extend_schema(request=NewBudgetSerializer, responses={201: BudgetSerializer})
    def create(self, request: Request) -> Response:
        user = self._staff()
        serializer = NewBudgetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        owner = get_user_model().objects.filter(username=data["owner"]).first()
        if owner is None:
            raise InvalidField("owner", "unknown_user", "There is no user of this name.")
        row = budget_changes.create(
            owner=owner,
            country=data.get("country") or "",
            period=data["period"],
            limit=data["limit"],
            currency=data.get("currency") or "",
            now=timezone.now(),
        )
        audit.record(user, [row], "Set by the API", flag=ADDITION)
        response = _response(row, status=201)
        response.headers["Location"] = reverse("budgets-detail", args=[row.pk], request=request)
        return response

    @extend_schema(request=ChangedBudgetSerializer, responses=BudgetSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        user = self._staff()
        serializer = ChangedBudgetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = budget_changes.change_limit(
            budget_id=self.get_object().pk, limit=serializer.validated_data["limit"], now=timezone.now()
        )
        audit.record(user, [row], f"Limit changed to {row} by the API")
        return _response(row)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        user, row = self._staff(), self.get_object()
        audit.record(user, [row], "Removed by the API", flag=DELETION)
        budget_changes.remove(budget_id=row.pk)
        return Response(status=204)

    def _staff(self) -> Any:  # Any: the user, which the audit log takes
        user = user_of(self.request)
        if not user.is_staff:
            raise PermissionDenied("Only staff can change budgets.")
        return user


def _response(row: Budget, *, status: int = 200) -> Response:
    return Response(serialize_budgets([row])[0], status=status)
