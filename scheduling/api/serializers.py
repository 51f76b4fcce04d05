"""Request and response bodies of schedules."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from messaging import e164, text_templates
from messaging.api.fields import (
    BoundedListField,
    CategoryField,
    ParametersField,
    SenderField,
    StrictIntegerField,
    StrictStringField,
    TextField,
    check_has_time,
)
from messaging.api.known_names import NameKind, StrictSerializer, refuse_unknown
from messaging.api.serializers import MASKED, MAX_VALID_FOR, SENDER_HELP, FieldErrorSerializer, MessageSerializer
from messaging.api.template_fields import LanguageField
from messaging.categories import Category
from messaging.models.encrypted import fault_of
from messaging.segments import MAX_OUTBOUND_CHARACTERS
from messaging.services.outbound.submit import DEFAULT_VALID_FOR
from messaging.services.representation import HIDDEN, isoformat_utc, may_read_texts
from scheduling import recipient_numbers, recurrence
from scheduling.holiday_calendar import MAX_CODE
from scheduling.models import Schedule, ScheduleRun
from scheduling.recipient_numbers import ListedNumber
from scheduling.recipients_csv import RowError, several_numbers
from scheduling.recurrence_lines import MAX_TEXT
from scheduling.services import timing
from scheduling.services.outlook import MAX_LEFT_OUT, Outlook
from scheduling.services.recipients import Listed, Recipient
from scheduling.services.schedules import ScheduleInput

MAX_JSON_RECIPIENTS = 100_000
COUNTRY_FIELD = "default_country"
COUNTRY_HELP = "The country of numbers without a plus, as two letters: `0151 …`, `0049151…` and `49151…` for `DE`."


@extend_schema_field({"type": "string", "examples": ["2026-12-01T09:00:00+01:00", "2026-12-01T09:00:00"]})
class RunTimeField(serializers.Field):
    """ISO 8601. The value is aware if an offset was given, else naive: a wall time in the schedule's zone."""

    def to_internal_value(self, data: object) -> datetime:
        if not isinstance(data, str):
            raise serializers.ValidationError("Give the time as ISO 8601 text.", code="invalid")
        try:
            value = parse_datetime(data.strip())
        except (ValueError, OverflowError):
            value = None
        if value is None:
            raise serializers.ValidationError("This is not a time in ISO 8601.", code="invalid")
        check_has_time(data.strip())
        return value


RECIPIENT = {
    "oneOf": [
        {"type": "string", "maxLength": recipient_numbers.MAX_CELL},
        {
            "type": "object",
            "required": ["to"],
            "additionalProperties": False,
            "properties": {
                "to": {"type": "string", "maxLength": recipient_numbers.MAX_CELL},
                "variables": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number"]}},
            },
        },
    ]
}
RECIPIENTS = {"type": "array", "items": RECIPIENT, "minItems": 1, "maxItems": MAX_JSON_RECIPIENTS}
# A list, or an object with the list as `recipients`.
MORE_RECIPIENTS = {
    "oneOf": [
        RECIPIENTS,
        {
            "type": "object",
            "required": ["recipients"],
            "additionalProperties": False,
            "properties": {
                "recipients": RECIPIENTS,
                COUNTRY_FIELD: {"type": "string", "pattern": "^[A-Z]{2}$", "description": COUNTRY_HELP},
            },
        },
    ]
}


@extend_schema_field(RECIPIENT)
class RecipientField(serializers.Field):
    """A number, or `{"to": number, "variables": {…}}`, read as in a CSV file: see `recipient_numbers`.

    The country of numbers without a plus is in the context.
    """

    def to_internal_value(self, data: object) -> tuple[ListedNumber, Mapping[str, str]]:
        if isinstance(data, str):
            data = {"to": data}
        if not isinstance(data, dict):
            raise serializers.ValidationError("Give a number, or an object with to and variables.", code="invalid")
        refuse_unknown(NameKind.FIELD, data, ("to", "variables"))
        number = data.get("to")
        if not isinstance(number, str):
            raise serializers.ValidationError({"to": "A phone number is a string."}, code="invalid")
        try:
            given = data.get("variables")
            variables = text_templates.check_values({} if given is None else given)
            return recipient_numbers.read(number, self.context.get(COUNTRY_FIELD, "")), variables
        except e164.InvalidNumber as error:
            raise serializers.ValidationError({"to": [serializers.ErrorDetail(str(error), error.code)]}) from None
        except text_templates.InvalidValues as error:
            detail = serializers.ErrorDetail(str(error), error.code)
            raise serializers.ValidationError({"variables": [detail]}) from None


@extend_schema_field(RECIPIENT)
class OneRecipientField(RecipientField):
    """Refuses several numbers in one entry: the response could not say which one was taken."""

    def to_internal_value(self, data: object) -> tuple[ListedNumber, Mapping[str, str]]:
        listed, variables = super().to_internal_value(data)
        if listed.of > 1:
            detail = serializers.ErrorDetail("Give one number for each recipient.", "several_numbers")
            raise serializers.ValidationError({"to": [detail]})
        return listed, variables


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{2}$"})
class CountryField(serializers.CharField):
    """Read before the others, by `recipient_lists.country_of`: the recipients of the same request need it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(help_text=COUNTRY_HELP, **options)


class NewScheduleSerializer(StrictSerializer):
    name = StrictStringField(max_length=100)
    message = TextField(
        max_length=MAX_OUTBOUND_CHARACTERS,
        required=False,
        help_text="May have variables such as `{name}`. Required unless there is a `template`.",
    )
    template = StrictStringField(
        max_length=100,
        required=False,
        allow_null=True,
        help_text="Instead of `message`: the name or id of a template. Each run has the text, category and parameters of its "
        "newest version; the recipients' variables fill it.",
    )
    language = LanguageField(
        required=False,
        allow_null=True,
        help_text="Of the template's text: this one, else its base language, else the default.",
    )
    run_at = RunTimeField(help_text="ISO 8601; without an offset it is wall time in `time_zone`.")
    time_zone = StrictStringField(
        max_length=64, required=False, default="UTC", help_text="IANA name, or one of Windows."
    )
    recurrence = StrictStringField(
        max_length=MAX_TEXT,
        required=False,
        allow_null=True,
        help_text="RFC 5545: an RRULE, EXDATE and RDATE, each on a line; null is one run.",
    )
    holidays = StrictStringField(
        max_length=MAX_CODE,
        required=False,
        allow_null=True,
        help_text="A country, or one of its regions (`DE`, `DE-BY`, `US-CA`), on whose public holidays nothing is sent.",
    )
    missed = serializers.ChoiceField(
        Schedule.Missed.values,
        required=False,
        default=Schedule.Missed.LATEST,
        help_text="Which runs are made up for that came due in an outage or a pause of at most `SCHEDULE_MAX_LATENESS`.",
    )
    queue = StrictStringField(max_length=40, required=False, allow_null=True)
    valid_for = StrictIntegerField(min_value=1, max_value=MAX_VALID_FOR, required=False, default=DEFAULT_VALID_FOR)

    category = CategoryField(required=False, default=Category.TRANSACTIONAL)
    parameters = ParametersField(required=False, allow_null=True, default=None)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # `from` is a keyword, so it cannot be declared in the class body.
        fields["from"] = SenderField(required=False, allow_null=True, help_text=SENDER_HELP)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require exactly one of `message` and `template`, in a change at most one."""
        text, template = attrs.get("message"), attrs.get("template")
        if text is not None and template:
            _refuse("template", "message_and_template", "Give either a message or a template.")
        if not self.partial and text is None and not template:
            _refuse("message", "required", "Give a message or a template.")
        if not self.partial and not template and attrs.get("language"):
            _refuse("language", "without_template", "Only a template has this.")
        decided = [name for name in ("category", "parameters") if template and name in self.initial_data]
        if decided:
            _refuse(decided[0], "of_the_template", "The template has its own.")
        return attrs

    def draft(self) -> ScheduleInput:
        data = self.validated_data
        return ScheduleInput(
            name=data["name"],
            text=data.get("message", ""),
            template=data.get("template"),
            language=data.get("language") or "",
            run_at=data["run_at"],
            time_zone=data["time_zone"],
            recurrence=data.get("recurrence"),
            queue=data.get("queue"),
            sender=data.get("from"),
            valid_for=data["valid_for"],
            missed=data["missed"],
            category=data["category"],
            parameters=data["parameters"] or {},
            holidays=data.get("holidays"),
        )


def _refuse(field: str, code: str, detail: str) -> NoReturn:
    raise serializers.ValidationError({field: [serializers.ErrorDetail(detail, code)]})


class RecipientListSerializer(StrictSerializer):
    recipients = BoundedListField(
        child=OneRecipientField(), min_length=1, max_length=MAX_JSON_RECIPIENTS, required=False
    )
    default_country = CountryField(required=False)

    def recipient_list(self) -> list[Recipient]:
        rows = self.validated_data.get("recipients", [])
        return [Recipient(position, listed.number, variables) for position, (listed, variables) in enumerate(rows)]


class MoreRecipientsSerializer(StrictSerializer):
    """The body of POST /schedules/{id}/recipients/. Each entry is validated alone: an invalid one does not fail the others."""

    recipients = BoundedListField(
        child=serializers.JSONField(allow_null=True), min_length=1, max_length=MAX_JSON_RECIPIENTS
    )
    default_country = CountryField(required=False)

    def rows(self) -> Iterator[Listed]:
        """Yield each entry with its position in the list, or its error, and notes. Call after `is_valid()`."""
        entry = RecipientField()
        entry.parent = self  # for its context
        for position, given in enumerate(self.validated_data["recipients"]):
            try:
                listed, variables = entry.run_validation(given)
            except serializers.ValidationError as error:
                yield _row_error(position, error.detail)
            else:
                yield Recipient(position, listed.number, variables)
                if listed.of > 1:
                    yield several_numbers(position, listed.of)


def _row_error(row: int, details: Any) -> RowError:
    """Return the first error of an entry: of one of its fields, or of the whole entry."""
    field, details = next(iter(details.items())) if isinstance(details, dict) else ("", details)
    detail = details[0] if isinstance(details, list) else details
    return RowError(row, field, detail.code, str(detail))


class ScheduleRequestSerializer(NewScheduleSerializer, RecipientListSerializer):
    """The body of POST /schedules/. `recipients` may be missing and added later, for example from a CSV file."""


class ScheduleSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    message = serializers.CharField(help_text=f"The text; `{HIDDEN}` where {MASKED}.")
    template = serializers.UUIDField(allow_null=True)
    language = serializers.CharField(allow_null=True)
    run_at = serializers.DateTimeField(help_text="The first time asked for.")
    time_zone = serializers.CharField()
    recurrence = serializers.CharField(
        allow_null=True, help_text="The rule and, on further lines, EXDATE and RDATE; a PATCH takes it as it is."
    )
    holidays = serializers.CharField(allow_null=True)
    missed = serializers.ChoiceField(Schedule.Missed.values)
    category = serializers.ChoiceField([each.value for each in Category])
    parameters = serializers.DictField(child=serializers.CharField(), allow_null=True)
    queue = serializers.CharField()
    valid_for = serializers.IntegerField()
    status = serializers.ChoiceField(Schedule.Status.values)
    next_run_at = serializers.DateTimeField(allow_null=True)
    recipient_count = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Messages by status.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    messages = MessageSerializer(
        many=True, required=False, help_text="With `include=messages`: the first ten of the list, newest first."
    )
    messages_url = serializers.URLField(required=False, help_text="With `include=messages`: the rest.")
    canceled = serializers.IntegerField(required=False, help_text="After a cancel: how many messages were canceled.")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.CharField(allow_null=True)
        return fields


def _text(schedule: Schedule, reader: User) -> str:
    if not may_read_texts(reader, schedule.owner_id):
        return HIDDEN
    return "" if fault_of(schedule, "text") else schedule.text


def serialize_schedule(schedule: Schedule, counts: Mapping[str, int], *, reader: User) -> dict[str, Any]:
    """Return the schedule as `reader` may see it: the text may be hidden, and is empty if it cannot be opened."""
    zone = recurrence.zone(schedule.time_zone)
    start = schedule.start_moment or recurrence.to_utc(datetime.fromisoformat(schedule.start_wall), zone)
    return {
        "id": str(schedule.pk),
        "name": schedule.name,
        "message": _text(schedule, reader),
        "template": str(schedule.template_id) if schedule.template_id else None,
        "language": schedule.language or None,
        "run_at": isoformat_utc(start),
        "time_zone": schedule.time_zone,
        "recurrence": timing.recurrence_text(schedule) or None,
        "holidays": schedule.holidays or None,
        "missed": str(schedule.missed),
        "category": str(schedule.category),
        "parameters": schedule.parameters,
        "queue": schedule.queue_id,
        "from": schedule.from_number or None,
        "valid_for": schedule.valid_for,
        "status": str(schedule.status),
        "next_run_at": isoformat_utc(schedule.next_run_at),
        "recipient_count": schedule.recipient_count,
        "counts": dict(counts),
        "created_at": isoformat_utc(schedule.created_at),
        "updated_at": isoformat_utc(schedule.updated_at),
    }


class ScheduleChangeSerializer(ScheduleRequestSerializer):
    """The body of PATCH /schedules/{id}/; `recipients` replaces the whole list."""

    fixed = frozenset(ScheduleSerializer().fields) - frozenset(ScheduleRequestSerializer().fields)

    def changes(self) -> dict[str, Any]:
        names = {"message": "text", "from": "sender"}
        given = {name: value for name, value in self.validated_data.items() if name != COUNTRY_FIELD}
        changes = {names.get(name, name): value for name, value in given.items()}
        if "language" in changes:
            changes["language"] = changes["language"] or ""
        return changes | ({"recipients": self.recipient_list()} if "recipients" in changes else {})


class RunSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    due_at = serializers.DateTimeField()
    status = serializers.ChoiceField(ScheduleRun.Status.values)
    detail = serializers.CharField(allow_null=True)
    created_messages = serializers.IntegerField()
    skipped_inactive = serializers.IntegerField()
    skipped_opted_out = serializers.IntegerField()
    skipped_invalid = serializers.IntegerField()
    skipped_over_budget = serializers.IntegerField()
    template_version = serializers.IntegerField(allow_null=True, help_text="Which version of the template it has.")
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: ScheduleRun) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "due_at": isoformat_utc(instance.due_at),
            "status": str(instance.status),
            "detail": instance.detail or None,
            "created_messages": instance.created_messages,
            "skipped_inactive": instance.skipped_inactive,
            "skipped_opted_out": instance.skipped_opted_out,
            "skipped_invalid": instance.skipped_invalid,
            "skipped_over_budget": instance.skipped_over_budget,
            "template_version": instance.template_version,
            "started_at": isoformat_utc(instance.started_at),
            "finished_at": isoformat_utc(instance.finished_at),
        }


class RenderedSerializer(serializers.Serializer):
    to = serializers.CharField()
    message = serializers.CharField(help_text=f"The text; `{HIDDEN}` where {MASKED}.")
    encoding = serializers.CharField()
    segments = serializers.IntegerField()


class FireTimeSerializer(serializers.Serializer):
    at = serializers.DateTimeField(help_text="In the schedule's zone.")
    utc = serializers.DateTimeField()


class PreviewedRunSerializer(FireTimeSerializer):
    added = serializers.BooleanField(help_text="By an RDATE.")


class LeftOutSerializer(FireTimeSerializer):
    reason = serializers.ChoiceField(["exdate", "holiday"])
    name = serializers.CharField(allow_null=True, help_text="Of the holiday, in English.")


class PreviewNoteSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="`matches_no_run` or `unknown_calendar`.")
    detail = serializers.CharField()


class PreviewSerializer(serializers.Serializer):
    time_zone = serializers.CharField()
    runs = PreviewedRunSerializer(many=True)
    left_out = LeftOutSerializer(
        many=True, help_text=f"What does not run between now and the last of `runs`; at most {MAX_LEFT_OUT}."
    )
    notes = PreviewNoteSerializer(many=True)
    messages = RenderedSerializer(many=True, help_text="The first recipients' texts.")
    recipients = serializers.IntegerField()
    total_segments = serializers.IntegerField(help_text="Of one run, for all recipients.")


def serialize_outlook(schedule: Schedule, outlook: Outlook) -> dict[str, Any]:
    """The part of a preview that does not depend on the recipients."""
    zone = recurrence.zone(schedule.time_zone)
    return {
        "time_zone": schedule.time_zone,
        "runs": [
            {"at": run.utc.astimezone(zone).isoformat(), "utc": isoformat_utc(run.utc), "added": run.is_added}
            for run in outlook.runs
        ],
        "left_out": [
            {
                "at": each.utc.astimezone(zone).isoformat(),
                "utc": isoformat_utc(each.utc),
                "reason": each.reason,
                "name": each.name or None,
            }
            for each in outlook.left_out
        ],
        "notes": [{"code": note.code, "detail": note.detail} for note in outlook.notes],
    }


class PreviewQuerySerializer(serializers.Serializer):
    count = serializers.IntegerField(min_value=1, max_value=100, default=5, help_text="How many run times to return.")


class RowErrorSerializer(FieldErrorSerializer):
    row = serializers.IntegerField(help_text="The row of the file; in a list the position, counted from 0.")


class RowNoteSerializer(FieldErrorSerializer):
    row = serializers.IntegerField(help_text="The row of the file; in a list the position, counted from 0.")


class RecipientsReportSerializer(serializers.Serializer):
    added = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField(help_text="Invalid rows; `errors` has the first 10,000 of them.")
    # A field named `errors` hides the property of the same name, which a response serializer does not need.
    errors = RowErrorSerializer(many=True)  # type: ignore[assignment]
    notes = RowNoteSerializer(
        many=True, help_text="What was decided about rows that are taken, and about the columns of a file."
    )
