"""A batch of new messages: validate every item on its own, store the valid ones and report each."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.settings import api_settings

from messaging import e164
from messaging.api.serializers import NewMessageSerializer, message_input_of
from messaging.models import Message
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.submit import MessageInput, submit_many

# Fields with the same value in many items of a batch: each value is validated once.
_SHARED = frozenset({"from", "queue", "send_at", "valid_for", "callback_url", "category"})
_QUICK = _SHARED | {"to", "message", "reference"}
_SCALARS = frozenset({str, int, type(None)})
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def submit_batch(*, owner: User, items: Sequence[Any], now: datetime) -> tuple[list[Message], list[dict[str, Any]]]:
    """Store the valid items; return their messages, and the result of each item as the response shows it."""
    results: list[dict[str, Any]] = [{"index": index} for index in range(len(items))]
    reader, valid, drafts = ItemReader(), [], []
    for result, item in zip(results, items, strict=True):
        try:
            drafts.append(reader.read(item))
        except ValidationError as error:
            result["error"] = _invalid_body(_field_errors(cast("Mapping[str, Any]", error.detail)))  # by field
        else:
            valid.append(result)
    stored = submit_many(owner=owner, drafts=drafts, default_queue=settings.DEFAULT_QUEUE, now=now)
    for result, outcome in zip(valid, stored, strict=True):
        if isinstance(outcome, DomainError):
            result["error"] = _refusal_body(outcome)
        else:
            result["id"] = str(outcome.pk)
    return [outcome for outcome in stored if isinstance(outcome, Message)], results


@cache
def _shared_serializer() -> NewMessageSerializer:
    """One for all requests: its fields keep nothing of what they validate, and copying them takes longer than validating."""
    return NewMessageSerializer()


class ItemReader:
    """Reads the items of one batch as `NewMessageSerializer` does, with one set of fields for all of them.

    Plainly valid items are read here, in a tenth of the time. All others go to the serializer, which alone finds errors.
    """

    def __init__(self) -> None:
        self._serializer = _shared_serializer()
        self._fields = cast("Mapping[str, Any]", self._serializer.fields)
        self._longest_text = self._fields["message"].max_length
        self._longest_reference = self._fields["reference"].max_length
        self._known: dict[tuple[str, type, Any], Any] = {}

    def read(self, item: Any) -> MessageInput:
        """Raises `ValidationError` with the same detail as the serializer of a single message has in `errors`."""
        draft = self._read_quickly(item)
        if draft is not None:
            return draft
        if item is None:
            raise ValidationError({api_settings.NON_FIELD_ERRORS_KEY: [ErrorDetail("No data provided", "null")]})
        return message_input_of(self._serializer.run_validation(item))

    def _read_quickly(self, item: Any) -> MessageInput | None:
        """Return None for an item with media, an error or anything else that is not as most items are."""
        if type(item) is not dict or not item.keys() <= _QUICK:
            return None
        to, text, reference = item.get("to"), item.get("message"), item.get("reference")
        if not (
            type(to) is str
            and e164.is_canonical(to)
            and self._is_plain_text(text)
            and self._is_plain_reference(reference)
        ):
            return None
        try:
            values = {name: self._shared_value(name, item[name]) for name in item.keys() & _SHARED}
        except ValidationError:
            return None
        return message_input_of({"valid_for": None, **values, "to": to, "message": text, "reference": reference})

    def _is_plain_text(self, text: Any) -> bool:
        return (
            type(text) is str
            and 0 < len(text) <= self._longest_text
            and not text.isspace()
            and not _NOT_TEXT.search(text)
        )

    def _is_plain_reference(self, reference: Any) -> bool:
        """Printable text has neither NUL nor surrogates."""
        return reference is None or (
            type(reference) is str
            and len(reference) <= self._longest_reference
            and reference.isprintable()
            and reference == reference.strip()
        )

    def _shared_value(self, name: str, value: Any) -> Any:
        """Return the validated value. The type is part of the key because true equals 1. Raises `ValidationError`."""
        if type(value) not in _SCALARS:
            return self._fields[name].run_validation(value)
        key = (name, type(value), value)
        if key not in self._known:
            self._known[key] = self._fields[name].run_validation(value)
        return self._known[key]


def _field_errors(errors: Mapping[str, Any]) -> list[dict[str, str | None]]:
    found = []
    for name, details in errors.items():
        field = "" if name == api_settings.NON_FIELD_ERRORS_KEY else name
        by_path = {field: details} if isinstance(details, list) else {f"{field}.{at}": d for at, d in details.items()}
        found += [
            {"field": path, "code": detail.code, "detail": str(detail)}
            for path, flat in by_path.items()
            for detail in flat
            if isinstance(detail, ErrorDetail)
        ]
    return found


def _invalid_body(errors: Sequence[Mapping[str, str | None]]) -> dict[str, Any]:
    return {"code": "invalid", "detail": "The message is not valid.", "errors": errors}


def _refusal_body(error: DomainError) -> dict[str, Any]:
    if isinstance(error, InvalidField):
        return _invalid_body([{"field": error.field, "code": error.field_code, "detail": error.detail}])
    return {"code": error.code, "detail": error.detail}
