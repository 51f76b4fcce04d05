"""What lists can be filtered by; a value that makes no sense is 400, never ignored."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import CharField
from django_filters.fields import IsoDateTimeField

from messaging import e164, states
from messaging.models import Message, PhoneNumber, Suppression
from messaging.services.reporting.search import any_of, number_starts_with, starts_with


class _TextField(CharField):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, max_length=128, **kwargs)


class TextFilter(django_filters.CharFilter):
    field_class = _TextField


class _MomentField(IsoDateTimeField):
    def clean(self, value: str | None) -> datetime | None:
        moment = super().clean(value)
        try:
            return moment.astimezone(UTC) if moment else None
        except OverflowError:
            raise ValidationError("This time is out of range.", code="overflow") from None


class MomentFilter(django_filters.IsoDateTimeFilter):
    """ISO 8601; a moment that UTC cannot express is refused."""

    field_class = _MomentField


class NumberFilter(django_filters.CharFilter):
    """A number in any notation; a `+` that the address turned into a space is forgiven."""

    field_class = _TextField

    def filter(self, qs: QuerySet, value: str) -> QuerySet:
        return super().filter(qs, as_number(value)) if value else qs


def as_number(value: str) -> str:
    text = value.strip()
    try:
        return e164.normalise(text if text.startswith("+") else f"+{text}")
    except e164.InvalidNumber:
        return text


class MessageFilter(django_filters.FilterSet):
    """Filters of GET /messages/."""

    to = NumberFilter(field_name="to_number", help_text="The whole number, in any notation.")
    status = django_filters.MultipleChoiceFilter(choices=[(s, s) for s in sorted(states.OUTBOUND | states.INBOUND)])
    direction = django_filters.ChoiceFilter(choices=[(d.value, d.value) for d in states.Direction])
    queue = TextFilter(field_name="queue_id", help_text="The name of a queue.")
    provider = TextFilter(field_name="provider_id", help_text="The slug of a provider account.")
    schedule = django_filters.UUIDFilter(field_name="schedule_id", help_text="The id of a schedule.")
    reference = TextFilter(help_text="The whole reference, in the same case.")
    created_after = MomentFilter(
        field_name="created_at", lookup_expr="gte", help_text="At or after this time, ISO 8601."
    )
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before this time, ISO 8601.")
    search = TextFilter(
        method="starts_with",
        help_text="The start of a number, a reference or a provider's message id, in the same case.",
    )
    ordering = django_filters.OrderingFilter(fields=[("pk", "created_at")])

    class Meta:
        model = Message
        fields: list[str] = []

    def starts_with(self, queryset: QuerySet, _name: str, value: str) -> QuerySet:
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
    field_name="from_number", help_text="The whole number, in any notation."
)


class PhoneNumberFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(choices=PhoneNumber.Status.choices)

    class Meta:
        model = PhoneNumber
        fields: list[str] = []


class SuppressionFilter(django_filters.FilterSet):
    """Filters of GET /suppressions/."""

    number = NumberFilter(help_text="The suppressed number, in any notation.")
    sender = NumberFilter(help_text="The sender number that it is suppressed for.")

    class Meta:
        model = Suppression
        fields: list[str] = []
