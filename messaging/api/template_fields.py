"""Serializer fields of templates, and of what is made from them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from messaging import text_templates
from messaging.api.fields import StrictStringField, TextField
from messaging.policy.template_content import MAX_LANGUAGES, MAX_TEXT, language_tag

NOT_A_LANGUAGE = "Not a BCP 47 language tag such as en or pt-BR."


class LanguageField(StrictStringField):
    """The validated value is the tag as it is usually written."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=35, **kwargs)

    def to_internal_value(self, data: object) -> str:
        tag = language_tag(super().to_internal_value(data))
        if tag is None:
            raise serializers.ValidationError(NOT_A_LANGUAGE, code="invalid_language")
        return tag


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": text_templates.MAX_VARIABLES,
        "additionalProperties": {
            "oneOf": [{"type": "string", "maxLength": text_templates.MAX_VALUE}, {"type": "number"}]
        },
    }
)
class VariablesField(serializers.Field):
    """Names and values. Numbers become text."""

    def to_internal_value(self, data: object) -> dict[str, str]:
        try:
            return text_templates.check_values(data)
        except text_templates.InvalidValues as error:
            detail = [ErrorDetail(str(error), error.code)]
            raise serializers.ValidationError({error.name: detail} if error.name else detail) from None

    def to_representation(self, value: dict[str, str]) -> dict[str, str]:
        return value


@extend_schema_field(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MAX_LANGUAGES,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    }
)
class TextsField(serializers.Field):
    """An object of language tags and texts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._text = TextField(max_length=MAX_TEXT)

    def to_internal_value(self, data: object) -> dict[str, str]:
        if not isinstance(data, dict) or not data or len(data) > MAX_LANGUAGES:
            detail = f"Give an object of 1 to {MAX_LANGUAGES} language tags and texts."
            raise serializers.ValidationError(detail, code="invalid")
        texts: dict[str, str] = {}
        errors: dict[str, Any] = {}
        for given, text in data.items():
            tag = language_tag(given)
            if tag is None:
                raise serializers.ValidationError(NOT_A_LANGUAGE, code="invalid_language")
            if tag in texts:
                errors[tag] = [ErrorDetail("This language is there twice.", "duplicate")]
                continue
            try:
                texts[tag] = self._text.run_validation(text)
            except serializers.ValidationError as error:
                errors[tag] = error.detail
        if errors:
            raise serializers.ValidationError(errors)
        return texts

    def to_representation(self, value: dict[str, str]) -> dict[str, str]:
        return value
