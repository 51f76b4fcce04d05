"""The REST API of schedules."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import django_filters
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, OpenApiTypes, extend_schema, inline_serializer
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging.api.access import user_of
from messaging.api.dry_run import DRY_RUN, is_dry_run
from messaging.api.filters import MessageFilter, UtcDateTimeFilter
from messaging.api.pagination import KeysetOrOffsetPagination
from messaging.api.parsers import StrictJSONParser
from messaging.api.serializers import MessageSerializer
from messaging.models import Message
from messaging.services.access import owned_by
from messaging.services.outbound.waiting import serialize_list_for
from messaging.services.representation import HIDDEN, may_read_texts
from messaging.states import Source
from scheduling.api import recipient_lists
from scheduling.api.dry_run import ScheduleDryRunSerializer, serialize_dry_run
from scheduling.api.recipient_lists import DEFAULT_COUNTRY, TO_COLUMN, country_of
from scheduling.api.serializers import (
    COUNTRY_FIELD,
    MORE_RECIPIENTS,
    PreviewQuerySerializer,
    PreviewSerializer,
    RecipientsReportSerializer,
    RunSerializer,
    ScheduleChangeSerializer,
    ScheduleRequestSerializer,
    ScheduleSerializer,
    serialize_outlook,
    serialize_schedule,
)
from scheduling.api.uploads import CsvUploadParser
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import queries, schedules, texts
from scheduling.services.dry_run import dry_run
from scheduling.services.outlook import look_ahead
from scheduling.services.recipients import ImportReport

INCLUDE = OpenApiParameter(
    "include", str, enum=["messages"], description="`messages` adds the 10 newest messages of each schedule."
)
REPORT = OpenApiParameter("report", str, enum=["csv"], description="`csv` returns the rejected rows as a CSV file.")


class _JSONParser(StrictJSONParser):
    takes_lists = True
    max_values = 600_000  # the largest list, with three variables for each recipient


class ScheduleFilter(django_filters.FilterSet):
    """Filters of GET /schedules/. `run_after` and `run_before` match the next run and past runs."""

    status = django_filters.MultipleChoiceFilter(choices=Schedule.Status.choices)
    run_after = UtcDateTimeFilter(method="unfiltered", help_text="With a run at or after this time, ISO 8601.")
    run_before = UtcDateTimeFilter(method="unfiltered", help_text="With a run before this time, ISO 8601.")
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="istartswith", max_length=100, help_text="The start of the name."
    )

    class Meta:
        model = Schedule
        fields: list[str] = []

    def unfiltered(self, queryset: QuerySet, _name: str, _value: object) -> QuerySet:
        return queryset

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = super().filter_queryset(queryset)
        after, before = (self.form.cleaned_data.get(name) for name in ("run_after", "run_before"))
        if after is None and before is None:
            return queryset
        bounds = {name: time for name, time in (("gte", after), ("lt", before)) if time is not None}
        next_run = Q(**{f"next_run_at__{name}": time for name, time in bounds.items()})
        past_run = ScheduleRun.objects.filter(
            schedule=OuterRef("pk"), **{f"due_at__{name}": time for name, time in bounds.items()}
        )
        return queryset.filter(next_run | Exists(past_run))


class ScheduleViewSet(viewsets.GenericViewSet):
    queryset = Schedule.objects.none()  # for the schema; `get_queryset` filters by user
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    lookup_value_converter = "uuid"
    without_body = frozenset({"pause", "resume", "cancel"})
    action_queries = {
        "list": (INCLUDE,),
        "retrieve": (INCLUDE,),
        "preview": (PreviewQuerySerializer,),
        "create": (DEFAULT_COUNTRY, DRY_RUN),
        "partial_update": (DEFAULT_COUNTRY,),
        "recipients": (REPORT, DRY_RUN, TO_COLUMN, DEFAULT_COUNTRY),
    }
    action_permissions = {
        "create": "scheduling.add_schedule",
        "list": "scheduling.view_schedule",
        "retrieve": "scheduling.view_schedule",
        "partial_update": "scheduling.change_schedule",
        "destroy": "scheduling.delete_schedule",
        "messages": "messaging.view_message",
        "runs": "scheduling.view_schedule",
        "preview": "scheduling.view_schedule",
        "pause": "scheduling.change_schedule",
        "resume": "scheduling.change_schedule",
        "cancel": "scheduling.change_schedule",
        "recipients": "scheduling.change_schedule",
    }

    def get_queryset(self) -> QuerySet:
        """Return what the action lists: the schedule's messages for `messages`, else schedules."""
        if self.action == "messages":
            return (
                Message.objects.filter(schedule_id=self._schedule().pk).order_by("-pk").prefetch_related("attachments")
            )
        return self._schedules()

    def _schedules(self) -> QuerySet[Schedule]:
        visible = owned_by(user_of(self.request), "scheduling.view_schedule")
        return Schedule.objects.filter(visible).order_by("-pk")

    def _schedule(self) -> Schedule:
        """Return the schedule in the path, regardless of the query parameters. 404 if the user may not see it."""
        return get_object_or_404(self._schedules(), pk=self.kwargs["pk"])

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(_serialize_list(page, request))

    @extend_schema(
        request=ScheduleRequestSerializer,
        responses={
            201: ScheduleSerializer,
            200: OpenApiResponse(ScheduleDryRunSerializer, "With `dry_run=true`: what would become of the schedule."),
        },
    )
    def create(self, request: Request) -> Response:
        serializer = ScheduleRequestSerializer(data=request.data, context={COUNTRY_FIELD: country_of(request)})
        serializer.is_valid(raise_exception=True)
        wanted: dict[str, Any] = {
            "owner": user_of(request),
            "draft": serializer.draft(),
            "recipients": serializer.recipient_list(),
            "default_queue": settings.DEFAULT_QUEUE,
            "now": timezone.now(),
        }
        if is_dry_run(request):
            return Response(serialize_dry_run(dry_run(**wanted)))
        schedule = schedules.create(**wanted)
        location = reverse("schedules-detail", args=[schedule.pk], request=request)
        return Response(_serialize(schedule, request), status=201, headers={"Location": location})

    def retrieve(self, request: Request, pk: str) -> Response:
        schedule = self._schedule()
        [body] = _serialize_list([schedule], request)
        if may_read_texts(user_of(request), schedule.owner_id):
            texts.refresh(schedule)
            body["message"] = schedule.text  # raises for a text that cannot be opened; in lists it is empty
        return Response(body)

    @extend_schema(request=ScheduleChangeSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        schedule = self._schedule()
        context = {COUNTRY_FIELD: country_of(request)}
        serializer = ScheduleChangeSerializer(data=request.data, partial=True, context=context)
        serializer.is_valid(raise_exception=True)
        changed = schedules.change(
            schedule_id=schedule.pk,
            owner=schedule.owner,
            changes=serializer.changes(),
            now=timezone.now(),
            actor=user_of(request),
        )
        return Response(_serialize(changed, request))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        schedules.delete(schedule_id=self._schedule().pk)
        return Response(status=204)

    @extend_schema(responses=MessageSerializer(many=True))
    @action(
        detail=True,
        queryset=Message.objects.none(),
        pagination_class=KeysetOrOffsetPagination,
        filterset_class=MessageFilter,
    )
    def messages(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(serialize_list_for(user_of(request), page, now=timezone.now()))

    @extend_schema(responses=RunSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def runs(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(self._schedule().runs.order_by("-due_at"))
        return self.get_paginated_response(RunSerializer(page, many=True).data)

    @extend_schema(responses=PreviewSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def preview(self, request: Request, pk: str) -> Response:
        query = PreviewQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(serialize_preview(self._schedule(), query.validated_data["count"], reader=user_of(request)))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        return Response(_serialize(schedules.pause(schedule_id=self._schedule().pk, now=timezone.now()), request))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return Response(_serialize(schedules.resume(schedule_id=self._schedule().pk, now=timezone.now()), request))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        schedule, canceled = schedules.cancel(
            schedule_id=self._schedule().pk, actor=user_of(request), now=timezone.now(), source=Source.API
        )
        return Response({**_serialize(schedule, request), "canceled": canceled})

    @extend_schema(
        request={
            "application/json": MORE_RECIPIENTS,
            "multipart/form-data": inline_serializer("CsvFile", {"file": serializers.FileField()}),
        },
        responses={(200, "application/json"): RecipientsReportSerializer, (200, "text/csv"): OpenApiTypes.STR},
    )
    @action(detail=True, methods=["post"], parser_classes=[_JSONParser, CsvUploadParser])
    def recipients(self, request: Request, pk: str) -> Response | HttpResponse:
        schedule = self._schedule()
        wants_csv = _choice(request, REPORT) is not None
        report = recipient_lists.add(schedule, request)
        if wants_csv:
            return csv_report(report)
        return Response(serialize_report(report))


def _choice(request: Request, parameter: OpenApiParameter) -> str | None:
    """Return the parameter's value, None if missing or empty. Raises `ValidationError` for a value outside its choices."""
    value = request.query_params.get(parameter.name) or None
    choices = parameter.enum or ()
    if value is not None and value not in choices:
        detail = f"Must be {' or '.join(choices)}."
        raise ValidationError({parameter.name: [detail]}, code="invalid_choice")
    return value


def _serialize(schedule: Schedule, request: Request) -> dict[str, Any]:
    counts = queries.counts_by_status([schedule.pk])[schedule.pk]
    return serialize_schedule(schedule, counts, reader=user_of(request))


def _serialize_list(rows: Sequence[Schedule], request: Request) -> list[dict[str, Any]]:
    ids = [row.pk for row in rows]
    counts, user = queries.counts_by_status(ids), user_of(request)
    bodies = [serialize_schedule(row, counts[row.pk], reader=user) for row in rows]
    if _choice(request, INCLUDE) == "messages":
        newest = queries.newest_messages(ids)
        messages = [message for row in rows for message in newest.get(row.pk, [])]
        serialized = {message["id"]: message for message in serialize_list_for(user, messages, now=timezone.now())}
        for row, body in zip(rows, bodies, strict=True):
            body["messages"] = [serialized[str(message.pk)] for message in newest.get(row.pk, [])]
            body["messages_url"] = reverse("schedules-messages", args=[row.pk], request=request)
    return bodies


def serialize_preview(schedule: Schedule, count: int, *, reader: User) -> dict[str, Any]:
    sample, total = queries.rendered_sample(schedule)
    readable = may_read_texts(reader, schedule.owner_id)
    return {
        **serialize_outlook(schedule, look_ahead(schedule, count=count, now=timezone.now())),
        "messages": [
            {
                "to": rendered.to,
                "message": rendered.text if readable else HIDDEN,
                "encoding": rendered.encoding,
                "segments": rendered.segments,
            }
            for rendered in sample
        ],
        "recipients": schedule.recipient_count,
        "total_segments": total,
    }


def serialize_report(report: ImportReport) -> dict[str, Any]:
    return {
        "added": report.added,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "errors": [
            {"row": error.row, "field": error.field, "code": error.code, "detail": error.detail}
            for error in report.errors
        ],
        "notes": [
            {"row": note.row, "field": note.field, "code": note.code, "detail": note.detail} for note in report.notes
        ],
    }


def csv_report(report: ImportReport) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", "field", "code", "detail"])
    writer.writerows([error.row, error.field, error.code, error.detail] for error in report.errors)
    headers = {"Content-Disposition": 'attachment; filename="bad-rows.csv"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)
