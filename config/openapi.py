"""The OpenAPI document: every operation names the problems it may answer with."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from config.problems import CONTENT_TYPE


class FieldProblemSerializer(serializers.Serializer):
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable, for programs.")
    errors = FieldProblemSerializer(many=True, required=False, help_text="With status 400.")


ALWAYS = {
    "400": "The request is not valid.",
    "401": "No token, or a bad one.",
    "403": "The permission is missing, or the proof is bad.",
    "404": "There is no such thing, or it is not yours.",
    "405": "No such method here.",
    "406": "Only JSON is served.",
    "429": "Too many requests; see Retry-After.",
    "500": "Our own failure.",
    "503": "The database is out of reach.",
}
WITH_BODY = {
    "409": "The state of things does not allow it.",
    "413": "The body is too large.",
    "415": "The body must be JSON.",
    "422": "The Idempotency-Key was used for another request.",
}
NOT_MODIFIED = {"description": "Nothing has changed since the answer whose ETag is in If-None-Match."}


class ProblemAutoSchema(AutoSchema):
    def get_operation(self, *args: Any, **kwargs: Any) -> dict | None:
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
