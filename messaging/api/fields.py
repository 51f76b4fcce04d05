"""Fields that the serializers share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from rest_framework import serializers

from messaging import e164
from providers.http.public_addresses import AddressRefused, Guard


class NumberField(serializers.CharField):
    """A phone number in any common notation with +; the value is E.164 text."""

    default_error_messages = {"invalid_number": "Not a phone number.", "impossible_number": "This number cannot exist."}

    def __init__(self, **kwargs) -> None:
        super().__init__(max_length=e164.MAX_INPUT, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A phone number is a string.", code="invalid")
        try:
            return e164.normalise(super().to_internal_value(data))
        except e164.InvalidNumber as error:
            raise serializers.ValidationError(str(error), code=error.code) from None


class TextField(serializers.CharField):
    """Text for people: kept as it is, never trimmed, but not only blanks. Numbers are not turned into text."""

    def __init__(self, **kwargs) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Not a valid string.", code="invalid")
        text = super().to_internal_value(data)
        if text and not text.strip():
            raise serializers.ValidationError("The text is blank.", code="blank")
        return text


class StrictStringField(serializers.CharField):
    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Not a valid string.", code="invalid")
        return super().to_internal_value(data)


class BoundedListField(serializers.ListField):
    """A list that is measured before its entries are read, and read no further than its faults are reported."""

    MAX_FAULTS = 1_000

    def run_child_validation(self, data: Sequence[Any]) -> list[Any]:
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        values: list[Any] = []
        faults: dict[int, Any] = {}
        for position, item in enumerate(data):
            try:
                values.append(self.child.run_validation(item))
            except serializers.ValidationError as fault:
                faults[position] = fault.detail
                if len(faults) == self.MAX_FAULTS:
                    break
        if faults:
            raise serializers.ValidationError(faults)
        return values


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer; neither text nor true and false."""

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("A valid integer is required.", code="invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """true or false, and nothing that only looks like it."""

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.", code="invalid")
        return data


class UtcDateTimeField(serializers.DateTimeField):
    """ISO 8601 text; a moment that UTC cannot express is refused."""

    def to_internal_value(self, value: object) -> datetime:
        if not isinstance(value, str):
            raise serializers.ValidationError("Give the time as ISO 8601 text.", code="invalid")
        try:
            return super().to_internal_value(value).astimezone(UTC)
        except (OverflowError, ValueError):
            raise serializers.ValidationError("This time is out of range.", code="invalid") from None


class CallbackUrlField(StrictStringField):
    """An absolute http(s) address without credentials in it, on the public internet or in an allowed network."""

    def __init__(self, **kwargs) -> None:
        super().__init__(max_length=500, **kwargs)

    def to_internal_value(self, data: object) -> str:
        text = super().to_internal_value(data)
        try:
            parts = urlsplit(text)
            valid = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and not parts.password
            _ = parts.port
        except ValueError:
            valid = False
        if not valid or not text.isascii() or any(character <= " " for character in text):
            raise serializers.ValidationError("Give an absolute http or https address.", code="invalid_url")
        try:
            Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS).check_url(text)
        except AddressRefused as error:
            raise serializers.ValidationError(f"This address is not called: {error}.", code="address_refused") from None
        return text
