"""Serializer fields used by several endpoints."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from messaging import categories, e164
from messaging.models.owner_policy import QuietHours
from providers import senders
from providers.http.public_addresses import AddressRefused, Guard

_WALL_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_TIME_OF_DAY = re.compile(r"[Tt ]\d\d")


class NumberField(serializers.CharField):
    """A phone number with + in any common notation. The validated value is E.164 text."""

    default_error_messages = {"invalid_number": "Not a phone number.", "impossible_number": "This number cannot exist."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=e164.MAX_INPUT, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A phone number is a string.", code="invalid")
        try:
            return e164.normalise(super().to_internal_value(data))
        except e164.InvalidNumber as error:
            raise serializers.ValidationError(str(error), code=error.code) from None


class SenderField(serializers.CharField):
    """A number with + in any common notation, a short code or a name. The validated value is as senders are stored."""

    default_error_messages = {"invalid_sender": "Not a sender.", **NumberField.default_error_messages}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=e164.MAX_INPUT, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A sender is a string.", code="invalid")
        try:
            return senders.normalise(super().to_internal_value(data))
        except senders.InvalidSender as error:
            raise serializers.ValidationError(str(error), code=error.code) from None


class TextField(serializers.CharField):
    """Free text: never trimmed, but not blank. JSON numbers are refused instead of converted."""

    def __init__(self, **kwargs: Any) -> None:
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
    """A list whose length is checked before its items are validated. Validation stops after `MAX_ERRORS` invalid items."""

    MAX_ERRORS = 1_000

    def run_child_validation(self, data: Sequence[Any]) -> list[Any]:
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        values: list[Any] = []
        errors: dict[int, Any] = {}
        for position, item in enumerate(data):
            try:
                values.append(self.child.run_validation(item))
            except serializers.ValidationError as error:
                errors[position] = error.detail
                if len(errors) == self.MAX_ERRORS:
                    break
        if errors:
            raise serializers.ValidationError(errors)  # type: ignore[arg-type]  # keyed by position, as in DRF's ListField
        return values


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer. Strings and booleans are refused."""

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("A valid integer is required.", code="invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean. Strings and numbers are refused."""

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.", code="invalid")
        return data


def check_has_time(text: str) -> None:
    """Refuse a date alone (`2027-01-04`, `2027-W01`), which Python reads as midnight. Raises DRF's `ValidationError`."""
    if not _TIME_OF_DAY.search(text):
        raise serializers.ValidationError("A time is missing, as in 2027-01-04T09:00.", code="time_missing")


class UtcDateTimeField(serializers.DateTimeField):
    """An ISO 8601 time, converted to UTC. Times outside the range of `datetime` are refused.

    With `needs_time_of_day`, so is a date alone, which otherwise is its midnight.
    """

    def __init__(self, *, needs_time_of_day: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._needs_time_of_day = needs_time_of_day

    def to_internal_value(self, value: object) -> datetime:
        if not isinstance(value, str):
            raise serializers.ValidationError("Give the time as ISO 8601 text.", code="invalid")
        try:
            moment = super().to_internal_value(value).astimezone(UTC)
        except (OverflowError, ValueError):
            raise serializers.ValidationError("This time is out of range.", code="invalid") from None
        if self._needs_time_of_day:
            check_has_time(value)
        return moment


class CallbackUrlField(StrictStringField):
    """An absolute http(s) URL without credentials, on the public internet or in `CALLBACK_ALLOWED_NETWORKS`."""

    def __init__(self, **kwargs: Any) -> None:
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


class CategoryField(serializers.ChoiceField):
    """What a message is for. JSON numbers and booleans are refused, not converted."""

    HELP = (
        "Default: `transactional`. `otp` and `emergency` go before all others of their queue, `marketing` keeps the hours that "
        "apply to it. `emergency` needs the permission `messaging.send_emergency`."
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([each.value for each in categories.Category], **{"help_text": self.HELP, **kwargs})

    def to_internal_value(self, data: Any) -> str:  # Any: as the base class declares it
        if not isinstance(data, str):
            raise serializers.ValidationError("Not a valid string.", code="invalid")
        return str(super().to_internal_value(data))


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": categories.MAX_PARAMETERS,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": categories.MAX_PARAMETER},
    }
)
class ParametersField(serializers.Field):
    """What the carrier is told beside the text: an object of texts. An empty one is as none."""

    HELP = "What the carrier is told beside the text, such as `entity_id` and `template_id` for India. Names and texts."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"help_text": self.HELP, **kwargs})

    def to_internal_value(self, data: object) -> dict[str, str]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Give an object of names and texts.", code="invalid")
        try:
            return categories.check_parameters(data)
        except categories.InvalidParameters as error:
            detail = serializers.ErrorDetail(str(error), "invalid_parameters")
            raise serializers.ValidationError({error.name: [detail]} if error.name else [detail]) from None

    def to_representation(self, value: dict[str, str]) -> dict[str, str]:
        return value


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            name: {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"} for name in ("from", "until")
        },
        "required": ["from", "until"],
        "additionalProperties": False,
        "example": {"from": "21:00", "until": "08:00"},
    }
)
class QuietHoursField(serializers.Field):
    """`{"from": "21:00", "until": "08:00"}` or null. The validated value is a pair of wall times, or of None.

    Whether they are quiet hours is checked by the service.
    """

    default_error_messages = {
        "invalid": 'Quiet hours are {{"from": "21:00", "until": "08:00"}}, or null.',
        "invalid_time": "`{name}` is a time of day such as 21:00.",
    }

    def to_internal_value(self, data: object) -> tuple[time, time]:
        if not isinstance(data, dict) or set(data) != {"from", "until"}:
            self.fail("invalid")
        return self._time(data, "from"), self._time(data, "until")

    def _time(self, data: dict[str, Any], name: str) -> time:
        value = data[name]
        if not isinstance(value, str) or not _WALL_TIME.fullmatch(value):
            self.fail("invalid_time", name=name)
        return time.fromisoformat(value)

    def to_representation(self, value: Any) -> Any:
        return value


def quiet_hours_of(row: QuietHours) -> dict[str, str] | None:
    """As `QuietHoursField` takes them."""
    if row.quiet_from is None or row.quiet_until is None:
        return None
    return {"from": f"{row.quiet_from:%H:%M}", "until": f"{row.quiet_until:%H:%M}"}


def as_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values with `quiet_hours` as the two columns of a model."""
    changes = dict(values)
    if "quiet_hours" in changes:
        changes["quiet_from"], changes["quiet_until"] = changes.pop("quiet_hours") or (None, None)
    return changes
