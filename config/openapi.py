"""The OpenAPI document: operation texts, problem responses, and closed request bodies."""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, cast

import django_filters
from drf_spectacular.drainage import error
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.viewsets import ViewSetMixin

from config.problems import CONTENT_TYPE
from media_store.api.operation_texts import MEDIA_TEXTS
from messaging.api.known_names import declared_queries
from messaging.api.operation_texts import MESSAGING_TEXTS
from scheduling.api.operation_texts import SCHEDULING_TEXTS

TEXTS = {**MESSAGING_TEXTS, **SCHEDULING_TEXTS, **MEDIA_TEXTS}
TAGS = {
    "messages": "Send and read messages.",
    "schedules": "Send texts to lists of recipients, once or repeatedly.",
    "templates": "Texts with versions, languages and variables.",
    "media": "Images for messages.",
    "verifications": "One-time codes: sent to a number, and checked.",
    "suppressions": "Opt-outs: numbers that get no messages.",
    "opt out cases": "Texts that probably ask for no more messages, for you to decide.",
    "phone numbers": "The numbers of your messages.",
    "client callbacks": "Events posted to your endpoints.",
    "live": "Events as a stream or by long polling.",
    "policy": "Quiet hours and the time zone of your messages.",
    "statistics": "Counts of your messages.",
    "limits": "Prefixes that get texts, and how many texts in a time.",
    "queues": "Named streams of outbound messages with their own pace.",
    "budgets": "How much may be sent in a day or a month, for operators; owners read their own.",
    "providers": "Provider accounts, for operators.",
    "auth": "Tokens.",
    "integrations": "Called by monitoring systems and by Supabase, whose payloads they take.",
    "provider callbacks": "Called by providers. Clients do not need these.",
}
# For operations whose id does not begin with their tag.
TAG_OF = {
    "stats": "statistics",
    "prefix_rules": "limits",
    "velocity_limits": "limits",
    "webhook_endpoints": "client callbacks",
    "webhooks": "provider callbacks",
}
_WRAPPED = re.compile(r"(?<!\n)\n(?!\n)")


class FieldProblemSerializer(serializers.Serializer[Any]):  # Any: describes JSON, serializes no instance
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable, for programs.")
    # A field named `errors` hides the property of the same name, which is not used here.
    errors = FieldProblemSerializer(many=True, required=False, help_text="With status 400.")  # type: ignore[assignment]


ALWAYS = {
    "400": "The request is not valid. `errors` names each invalid or unknown field and query parameter.",
    "401": "The token is missing or not valid.",
    "403": "A permission is missing, or the signature is not valid.",
    "404": "The object does not exist or belongs to another owner.",
    "405": "The method is not supported at this path.",
    "406": "The `Accept` header excludes the media type that is served.",
    "429": "Too many requests. Wait for the seconds in `Retry-After`.",
    "500": "The server failed.",
    "503": "The database is unavailable. Try again in a moment.",
}
WITH_BODY = {
    "409": "The present state of the object does not allow this.",
    "413": "The body is too large.",
    "415": "The media type of the body is not supported.",
    "422": "The `Idempotency-Key` was used for a different request.",
}
NOT_MODIFIED = {"description": "Nothing has changed since the response whose ETag is in `If-None-Match`."}


class ProblemAutoSchema(AutoSchema):
    """Takes summaries and descriptions from `TEXTS` by operation id, not from docstrings."""

    def get_operation_id(self) -> str:
        view = cast("ViewSetMixin", self.view)  # views that are no view sets set the two attributes themselves
        return f"{view.basename}_{view.action}".replace("-", "_")

    def get_tags(self) -> list[str]:
        operation_id = self.get_operation_id()
        names = {tag.replace(" ", "_"): tag for tag in TAGS} | TAG_OF
        return [tag for name, tag in names.items() if operation_id.startswith(f"{name}_")]

    def get_summary(self) -> str:
        summary, _ = self._text()
        return summary

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular defines it
        _, description = self._text()
        return "\n\n".join(part for part in (_WRAPPED.sub(" ", cleandoc(description)), self._permissions()) if part)

    def get_override_parameters(self) -> list[Any]:
        """Document the query parameters that the view validates. Filter backends document filter sets."""
        return [each for each in declared_queries(self.view) if not _is_filterset(each)]

    def _text(self) -> tuple[str, str]:
        operation_id = self.get_operation_id()
        if operation_id not in TEXTS:
            error(f"there is no text for the operation {operation_id}")
        return TEXTS.get(operation_id, ("", ""))

    def _permissions(self) -> str:
        """Document the permissions that the view requires."""
        required = getattr(self.view, "action_permissions", {}).get(getattr(self.view, "action", None), ())
        names = [required] if isinstance(required, str) else list(required)
        if not names:
            return ""
        return f"Required permission{'s' if len(names) > 1 else ''}: {' and '.join(f'`{name}`' for name in names)}."

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self.method == "GET":
            operation["responses"].setdefault("304", NOT_MODIFIED)
        problems = ALWAYS | WITH_BODY if self.method in {"POST", "PUT", "PATCH", "DELETE"} else ALWAYS
        for status, description in problems.items():
            if status not in operation["responses"]:
                response = OpenApiResponse(ProblemSerializer, description=description)
                operation["responses"][status] = self._get_response_for_code(
                    response, status, media_types=[CONTENT_TYPE]
                )
        return operation


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "messaging.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of POST /api/v1/auth/token/ or of the admin.",
        }


class BasicScheme(OpenApiAuthenticationExtension):
    target_class = "messaging.api.auth.CountedBasicAuthentication"
    name = "basic"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "messaging.api.integrations.uptime_kuma.ApiKeyAuthentication"
    name = "api_key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A token, as for `bearer`."}


def _is_filterset(parameters: Any) -> bool:
    return isinstance(parameters, type) and issubclass(parameters, django_filters.FilterSet)


def describe_tags(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: add the tags, in the order of `TAGS`."""
    return {**result, "tags": [{"name": name, "description": text} for name, text in TAGS.items()]}


def close_request_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: forbid additional properties in request bodies, except those of other systems.

    An object without `properties`, such as the variables of a recipient, remains a free map.
    """
    schemas = result["components"]["schemas"]
    for path, methods in result["paths"].items():
        if "/webhooks/" in path or "/integrations/" in path:
            continue
        for operation in methods.values():
            for media_type in operation.get("requestBody", {}).get("content", {}).values():
                for schema in _objects(media_type["schema"], schemas):
                    schema["additionalProperties"] = False
    return result


def _objects(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if "properties" in schema:
        yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("oneOf", []), *schema.get("allOf", [])]
    if "items" in schema:
        inner.append(schema["items"])
    for each in inner:
        yield from _objects(each, schemas)
