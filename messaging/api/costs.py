"""REST view of costs, as JSON or CSV."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.services.access import sees_all
from messaging.services.costs import cost_totals
from messaging.services.costs.cost_totals import GROUPS, CostSum

DEFAULT_DAYS = 30
# A spreadsheet reads a cell that begins so as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CostsQuerySerializer(serializers.Serializer):
    since = serializers.DateField(required=False, help_text="The first day, of UTC. Default: 30 days before `until`.")
    until = serializers.DateField(required=False, help_text="The last day. Default: today.")
    group_by = serializers.CharField(
        required=False, max_length=60, help_text=f"One or several of {', '.join(GROUPS)}, separated by commas."
    )
    report = serializers.ChoiceField(["csv"], required=False, help_text="`csv` returns the same as a CSV file.")

    def validate_group_by(self, value: str) -> list[str]:
        names = value.split(",")
        if not set(names) <= set(GROUPS) or len(set(names)) < len(names):
            raise serializers.ValidationError(f"Each must be one of {', '.join(GROUPS)}, once.", code="invalid_choice")
        return names


class CostSerializer(serializers.Serializer):
    owner = serializers.CharField(required=False)
    account = serializers.CharField(required=False)
    country = serializers.CharField(required=False, help_text="Two letters; empty if the number belongs to none.")
    category = serializers.CharField(required=False)
    template = serializers.CharField(required=False, help_text="Its id; empty for texts without one.")
    day = serializers.DateField(required=False)
    currency = serializers.CharField(allow_null=True, help_text="Null: the accounts' configuration names none.")
    amount = serializers.CharField()
    segments = serializers.IntegerField()
    attempts = serializers.IntegerField(help_text="Attempts that a carrier accepted at a known price.")


class CostsSerializer(serializers.Serializer):
    since = serializers.DateField()
    until = serializers.DateField()
    costs = CostSerializer(many=True)


class CostsViewSet(viewsets.ViewSet):
    action_permissions = {"retrieve": "messaging.view_message"}
    action_queries = {"retrieve": (CostsQuerySerializer,)}

    @extend_schema(responses={(200, "application/json"): CostsSerializer, (200, "text/csv"): OpenApiTypes.STR})
    def retrieve(self, request: Request) -> Response | HttpResponse:
        query = CostsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wish = query.validated_data
        until = wish.get("until") or timezone.now().astimezone(UTC).date()
        since = wish.get("since") or max(until, until.min + timedelta(days=DEFAULT_DAYS)) - timedelta(days=DEFAULT_DAYS)
        group_by = wish.get("group_by") or []
        user = user_of(request)
        owner_id = None if sees_all(user, "messaging.view_message") else user.pk
        found = cost_totals.sums(owner_id=owner_id, since=since, until=until, group_by=group_by)
        if wish.get("report"):
            return _csv(found, group_by)
        return Response({"since": since, "until": until, "costs": [_serialize(each) for each in found]})


def _serialize(found: CostSum) -> dict[str, Any]:
    return {
        **found.group,
        "currency": found.currency or None,
        "amount": f"{found.amount.normalize():f}",
        "segments": found.segments,
        "attempts": found.attempts,
    }


def _csv(found: Sequence[CostSum], group_by: Sequence[str]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*group_by, "currency", "amount", "segments", "attempts"])
    for each in found:
        values = [*each.group.values(), each.currency]
        cells = [f"'{value}" if value.startswith(FORMULA) else value for value in values]
        writer.writerow([*cells, f"{each.amount.normalize():f}", each.segments, each.attempts])
    headers = {"Content-Disposition": 'attachment; filename="costs.csv"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)
