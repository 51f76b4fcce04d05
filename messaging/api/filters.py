"""Filters of the API's lists. An invalid value is answered with 400, never ignored."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import CharField
from django.utils import timezone
from django_filters.fields import IsoDateTimeField

from messaging import e164, states
from messaging.models import Message, OptOutCase, PhoneNumber, Suppression
from messaging.services.reporting.search import any_of, number_starts_with, starts_with


class _TextField(CharField):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, max_length=128, **kwargs)


class TextFilter(django_filters.CharFilter):
    field_class = _TextField


class _UtcDateTimeFormField(IsoDateTimeField):
    def clean(self, value: str | None) -> datetime | None:
        time = super().clean(value)
        try:
            return time.astimezone(UTC) if time else None
        except OverflowError:
            raise ValidationError("This time is out of range.", code="overflow") from None


class UtcDateTimeFilter(django_filters.IsoDateTimeFilter):
    """An ISO 8601 time. Times outside the range of `datetime` in UTC are refused."""

    field_class = _UtcDateTimeFormField


class NumberFilter(django_filters.CharFilter):
    """A phone number in any notation. The leading `+` is optional, because a URL decodes it as a space."""

    field_class = _TextField

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return super().filter(qs, as_number(value)) if value else qs


def as_number(value: str) -> str:
    """Return the E.164 form, or the trimmed text if it is not a phone number."""
    text = value.strip()
    try:
        return e164.normalise(text if text.startswith("+") else f"+{text}")
    except e164.InvalidNumber:
        return text


class MessageFilter(django_filters.FilterSet):
    """Filters of GET /messages/."""

    base_filters: ClassVar[dict[str, django_filters.Filter]]  # set by django-filter's metaclass

    to = NumberFilter(field_name="to_number", help_text="The full number, in any notation.")
    # By a method, because the filter's own query has DISTINCT, which reads all that match before the first is counted.
    status = django_filters.MultipleChoiceFilter(
        choices=[(s, s) for s in sorted(states.OUTBOUND | states.INBOUND)], method="has_status"
    )
    direction = django_filters.ChoiceFilter(
        choices=[(d.value, d.value) for d in states.Direction], method="has_direction"
    )
    queue = TextFilter(field_name="queue_id", help_text="The name of a queue.")
    provider = TextFilter(field_name="provider_id", help_text="The slug of a provider account.")
    schedule = django_filters.UUIDFilter(field_name="schedule_id", help_text="The id of a schedule.")
    reference = TextFilter(help_text="The full reference, case-sensitive.")
    created_after = UtcDateTimeFilter(
        field_name="created_at", lookup_expr="gte", help_text="At or after this time, ISO 8601."
    )
    created_before = UtcDateTimeFilter(
        field_name="created_at", lookup_expr="lt", help_text="Before this time, ISO 8601."
    )
    search = TextFilter(
        method="starts_with",
        help_text="The start of a number, a reference or a provider's message id, case-sensitive.",
    )
    ordering = django_filters.OrderingFilter(fields=[("pk", "created_at")])

    class Meta:
        model = Message
        fields: list[str] = []

    def has_status(self, queryset: QuerySet[Message], _name: str, value: list[str]) -> QuerySet[Message]:
        return queryset.filter(status__in=value)

    def has_direction(self, queryset: QuerySet[Message], _name: str, value: str) -> QuerySet[Message]:
        """Find inbound messages, which are few, by their statuses: the indexes of the lists have these."""
        inbound = value == states.Direction.INBOUND
        return queryset.filter(status__in=sorted(states.INBOUND)) if inbound else queryset.filter(direction=value)

    def starts_with(self, queryset: QuerySet[Message], _name: str, value: str) -> QuerySet[Message]:
        text = value.strip()
        digits = text.lstrip("+")
        number = f"+{digits}" if digits.isascii() and digits.isdigit() else text
        return any_of(
            queryset,
            (
                starts_with("reference", text),
                starts_with("provider_message_id", text),
                *number_starts_with(number),
            ),
        )


# `from` is a keyword, so it cannot be declared in the class body.
MessageFilter.base_filters["from"] = NumberFilter(
    field_name="from_number", help_text="The full number, in any notation."
)


class PhoneNumberFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(choices=PhoneNumber.Status.choices)

    class Meta:
        model = PhoneNumber
        fields: list[str] = []


class SuppressionFilter(django_filters.FilterSet):
    """Filters of GET /suppressions/."""

    number = NumberFilter(help_text="The suppressed number, in any notation.")
    sender = NumberFilter(help_text="The sender number that the suppression applies to.")

    class Meta:
        model = Suppression
        fields: list[str] = []


class OptOutCaseFilter(django_filters.FilterSet):
    """Filters of GET /opt-out-cases/."""

    status = django_filters.ChoiceFilter(
        choices=[(word, word) for word in ("open", "suppressed", "dismissed")], method="has_status"
    )
    overdue = django_filters.ChoiceFilter(
        choices=[("true", "true")], method="is_overdue", help_text="`true`: open, and the deadline has passed."
    )
    number = NumberFilter(help_text="The person's number, in any notation.")

    class Meta:
        model = OptOutCase
        fields: list[str] = []

    def has_status(self, queryset: QuerySet[OptOutCase], _name: str, value: str) -> QuerySet[OptOutCase]:
        return queryset.filter(decision="" if value == "open" else value)

    def is_overdue(self, queryset: QuerySet[OptOutCase], _name: str, _value: str) -> QuerySet[OptOutCase]:
        return queryset.filter(decision="", due_at__lt=timezone.now())
