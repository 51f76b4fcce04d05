"""REST views of message templates."""

from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging import segments, text_templates
from messaging.api.access import user_of
from messaging.api.fields import (
    BoundedListField,
    CategoryField,
    ParametersField,
    StrictBooleanField,
    StrictIntegerField,
    StrictStringField,
    TextField,
)
from messaging.api.known_names import StrictSerializer
from messaging.api.template_fields import LanguageField, TextsField, VariablesField
from messaging.categories import Category
from messaging.models import TemplateVersion
from messaging.policy import template_content
from messaging.policy.template_content import DEFAULT_MAX_LENGTH, TemplateVariable
from messaging.segments import Encoding
from messaging.services.access import sees_all
from messaging.services.representation import isoformat_utc
from messaging.services.templates import saving
from messaging.services.templates.rendering import render
from messaging.services.templates.saving import TemplateInput

VIEW, CHANGE = "messaging.view_messagetemplate", "messaging.change_messagetemplate"
MAX_NUMBER = 2**31 - 1


class TemplateVariableSerializer(StrictSerializer):
    name = serializers.RegexField(text_templates.IDENTIFIER.pattern.join(("^", r"\Z")), max_length=40)
    sample = TextField(max_length=text_templates.MAX_VALUE, help_text="A typical value.")
    max_length = StrictIntegerField(
        required=False,
        min_value=1,
        max_value=text_templates.MAX_VALUE,
        default=DEFAULT_MAX_LENGTH,
        help_text="A message with a longer value is refused.",
    )


class TemplateContentSerializer(StrictSerializer):
    name = StrictStringField(max_length=100)
    category = CategoryField(required=False)
    parameters = ParametersField(required=False)
    smart_encoding = StrictBooleanField(
        required=False, help_text="Replace typographic characters if the text then fits GSM-7 and becomes no longer."
    )
    texts = TextsField(help_text="By BCP 47 language tag, with variables such as `{name}`.")
    default_language = LanguageField(help_text="Used where there is no text in the wanted language.")
    variables = BoundedListField(
        child=TemplateVariableSerializer(), required=False, max_length=text_templates.MAX_VARIABLES
    )

    def content(self, newest: TemplateVersion | None = None) -> TemplateInput:
        """Return the validated request, completed by the newest version. Requires `is_valid()`."""
        data = self.validated_data
        given = {name: data[name] for name in ("category", "parameters", "smart_encoding", "texts") if name in data}
        if "default_language" in data:
            given["default_language"] = data["default_language"]
        if "variables" in data:
            given["variables"] = [TemplateVariable(**each) for each in data["variables"]]
        if newest is not None:
            kept = ("category", "parameters", "smart_encoding", "texts", "default_language")
            given = {**{name: getattr(newest, name) for name in kept}, "variables": newest.variable_list(), **given}
        return TemplateInput(**given)


class NewTemplateSerializer(TemplateContentSerializer):
    shared = StrictBooleanField(required=False, default=False, help_text="For everybody. Only staff can set it.")


class TemplateChangeSerializer(TemplateContentSerializer):
    version = StrictIntegerField(
        min_value=1, max_value=MAX_NUMBER, help_text="The number of the version that the change is based on."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for name in fields.keys() - {"version"}:
            fields[name].required = False
        return fields


class TemplateWarningSerializer(serializers.Serializer):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class TemplateSizeSerializer(serializers.Serializer):
    language = serializers.CharField()
    encoding = serializers.ChoiceField([each.value for each in Encoding])
    segments = serializers.IntegerField(help_text="With the samples.")
    segments_at_most = serializers.IntegerField(help_text="With values of the maximum length.")
    not_gsm7 = serializers.CharField(allow_blank=True, help_text="The characters that make it `ucs2`.")


class TemplateVersionSerializer(serializers.Serializer):
    version = serializers.IntegerField()
    category = serializers.ChoiceField([each.value for each in Category])
    parameters = serializers.DictField(child=serializers.CharField())
    smart_encoding = serializers.BooleanField()
    default_language = serializers.CharField()
    texts = serializers.DictField(child=serializers.CharField())
    variables = TemplateVariableSerializer(many=True)
    sizes = TemplateSizeSerializer(many=True)
    warnings = TemplateWarningSerializer(many=True)
    saved_by = serializers.CharField(allow_null=True, help_text="The user who saved this version.")
    saved_at = serializers.DateTimeField()

    def to_representation(self, instance: TemplateVersion) -> dict[str, Any]:
        warnings = saving.warnings(instance)
        return {
            "version": instance.number,
            "category": instance.category,
            "parameters": instance.parameters,
            "smart_encoding": instance.smart_encoding,
            "default_language": instance.default_language,
            "texts": instance.texts,
            "variables": instance.variables,
            "sizes": [_size(instance, language) for language in instance.texts],
            "warnings": [{"field": each.field, "code": each.code, "detail": each.detail} for each in warnings],
            "saved_by": instance.created_by.get_username() if instance.created_by else None,
            "saved_at": isoformat_utc(instance.created_at),
        }


def _size(version: TemplateVersion, language: str) -> dict[str, Any]:
    size = template_content.measured(version.texts[language], version.variable_list(), smart=version.smart_encoding)
    return {
        "language": language,
        "encoding": str(size.at_samples.encoding),
        "segments": size.at_samples.segments,
        "segments_at_most": size.at_most.segments,
        "not_gsm7": size.not_gsm7,
    }


class TemplateSerializer(TemplateVersionSerializer):
    """A template with its newest version."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    shared = serializers.BooleanField(help_text="For everybody.")
    archived_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: TemplateVersion) -> dict[str, Any]:
        template = instance.template
        return {
            "id": str(template.pk),
            "name": template.name,
            "shared": template.owner_id is None,
            "archived_at": isoformat_utc(template.archived_at),
            "created_at": isoformat_utc(template.created_at),
            **super().to_representation(instance),
        }


class TemplatePreviewRequestSerializer(StrictSerializer):
    variables = VariablesField(required=False)
    language = LanguageField(required=False)


class TemplatePreviewSerializer(serializers.Serializer):
    text = serializers.CharField()
    language = serializers.CharField()
    encoding = serializers.ChoiceField([each.value for each in Encoding])
    units = serializers.IntegerField(help_text="Septets of `gsm7`, or UTF-16 units of `ucs2`.")
    segments = serializers.IntegerField()


class TemplateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Templates of the user and those for everybody. Staff see all."""

    queryset = TemplateVersion.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = TemplateSerializer
    filterset_class: Any = None
    lookup_field = "template_id"
    lookup_url_kwarg = "pk"
    lookup_value_converter = "uuid"
    action_permissions = {
        "list": VIEW,
        "retrieve": VIEW,
        "versions": VIEW,
        "preview": VIEW,
        "create": "messaging.add_messagetemplate",
        "partial_update": CHANGE,
        "destroy": "messaging.delete_messagetemplate",
    }

    def get_queryset(self) -> QuerySet[TemplateVersion]:
        user = user_of(self.request)
        usable = Q() if sees_all(user, VIEW) else Q(template__owner=user) | Q(template__owner__isnull=True)
        newest = TemplateVersion.objects.filter(usable, number=F("template__newest"))
        if self.action == "list":
            newest = newest.filter(template__archived_at__isnull=True)
        return newest.select_related("template", "created_by").order_by("-template_id")

    @extend_schema(request=NewTemplateSerializer, responses={201: TemplateSerializer})
    def create(self, request: Request) -> Response:
        serializer = NewTemplateSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = user_of(request)
        is_shared = serializer.validated_data["shared"]
        if is_shared and not user.is_staff:
            raise PermissionDenied("Only staff can make templates for everybody.")
        version = saving.create(
            owner=None if is_shared else user,
            name=serializer.validated_data["name"],
            content=serializer.content(),
            actor=user,
            now=timezone.now(),
        )
        location = reverse("templates-detail", args=[version.template_id], request=request)
        return Response(TemplateSerializer(version).data, status=201, headers={"Location": location})

    @extend_schema(request=TemplateChangeSerializer, responses=TemplateSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        serializer = TemplateChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        newest = self._changeable()
        data = serializer.validated_data
        version = saving.save(
            newest=newest,
            based_on=data["version"],
            name=data.get("name", newest.template.name),
            content=serializer.content(newest),
            actor=user_of(request),
            now=timezone.now(),
        )
        return Response(TemplateSerializer(version).data)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        saving.archive(template=self._changeable().template, now=timezone.now())
        return Response(status=204)

    @extend_schema(responses=TemplateVersionSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def versions(self, request: Request, pk: str) -> Response:
        rows = self.get_object().template.versions.select_related("created_by")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(TemplateVersionSerializer(page, many=True).data)

    @extend_schema(request=TemplatePreviewRequestSerializer, responses=TemplatePreviewSerializer)
    @action(detail=True, methods=["post"], filterset_class=None)
    def preview(self, request: Request, pk: str) -> Response:
        serializer = TemplatePreviewRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        version = self.get_object()
        samples = {each.name: each.sample for each in version.variable_list()}
        values = {**samples, **serializer.validated_data.get("variables", {})}
        rendered = render(version, serializer.validated_data.get("language", ""), values)
        size = segments.measure(rendered.text)
        return Response(
            {
                "text": rendered.text,
                "language": rendered.language,
                "encoding": str(size.encoding),
                "units": size.units,
                "segments": size.segments,
            }
        )

    def _changeable(self) -> TemplateVersion:
        version: TemplateVersion = self.get_object()
        if version.template.owner_id is None and not user_of(self.request).is_staff:
            raise PermissionDenied("Only staff can change templates for everybody.")
        return version
