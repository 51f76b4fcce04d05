"""Refuse unknown fields and query parameters, and suggest the closest known name. Nothing is ignored.

`StrictSerializer` checks the fields of a body. `KnownNames` runs on every view through DEFAULT_PERMISSION_CLASSES and checks
the query parameters, and that actions without a body get none. The accepted names come from the view's filter set, paginator
and `action_queries`, which the API documentation uses as well.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

# Names come from the client: a response quotes at most this many characters of one, and at most this many names.
MAX_NAME = 64
MAX_REPORTED = 10
CSRF_FIELD = "csrfmiddlewaretoken"  # sent along with forms in a browser session
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

QueryParameters = OpenApiParameter | type[serializers.Serializer] | type[django_filters.FilterSet]


class NameKind(Enum):
    FIELD = ("unknown_field", "field")
    QUERY = ("unknown_filter", "query parameter")


def unknown(kind: NameKind, given: Iterable[str], known: Collection[str]) -> dict[str, list[ErrorDetail]]:
    """Return an error for each unknown name, at most `MAX_REPORTED`. Empty if all names are known."""
    code, noun = kind.value
    errors: dict[str, list[ErrorDetail]] = {}
    for name in given:
        if name in known:
            continue
        if len(errors) == MAX_REPORTED:
            break
        shown, near = printable(name), nearest(name, known)
        hint = f" Did you mean '{near}'?" if near else ""
        errors[shown] = [ErrorDetail(f"There is no {noun} '{shown}'.{hint}", code)]
    return errors


def refuse_unknown(kind: NameKind, given: Iterable[str], known: Collection[str]) -> None:
    errors = unknown(kind, given, known)
    if errors:
        raise ValidationError(errors)


def refuse_unknown_form_fields(form: Iterable[str], known: Collection[str]) -> None:
    refuse_unknown(NameKind.FIELD, (name for name in form if name != CSRF_FIELD), known)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, ignoring case and word separators, or None if none is close."""
    by_comparable = {_comparable(each): each for each in sorted(known)}
    found = get_close_matches(_comparable(name[:MAX_NAME]), by_comparable, n=1)
    return by_comparable[found[0]] if found else None


def _comparable(name: str) -> str:
    return _CAMEL_HUMP.sub("_", name).replace("-", "_").replace(" ", "_").lower()


def printable(name: str) -> str:
    """Return `name`, truncated, with control characters, direction marks and lone surrogates escaped."""
    text = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class StrictSerializer(serializers.Serializer):
    """Base of every serializer that reads a body. Unknown fields are refused with `unknown_field`.

    Fields that cannot be set (read-only ones, and the names in `fixed`, which only responses have) are refused with
    `read_only`, because ignoring them would look like success.
    """

    fixed: frozenset[str] = frozenset()

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        refused = self._refused(data) if isinstance(data, Mapping) else {}
        try:
            value: dict[str, Any] = super().to_internal_value(data)
        except ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            raise ValidationError({**refused, **error.detail}) from None
        if refused:
            raise ValidationError(refused)
        return value

    def _refused(self, data: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
        fields = self.fields
        extra = [name for name in data if name not in fields or fields[name].read_only]
        if not extra:
            return {}
        fixed = self.fixed | {name for name, field in fields.items() if field.read_only}
        refused = {name: [ErrorDetail("This cannot be set here.", "read_only")] for name in extra if name in fixed}
        strange = [name for name in extra if name not in fixed]
        return refused | unknown(NameKind.FIELD, strange, fields.keys() - fixed)


class KnownNames(BasePermission):
    """Check names after the permissions and before the action. A view with its own `permission_classes` must include it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(view, "action", None) in {None, "metadata"}:  # no such method here: the view answers 405
            return True
        refuse_unknown(NameKind.QUERY, request.query_params, query_names(view))
        if request.method == "DELETE" or view.action in getattr(view, "without_body", ()):
            refuse_unknown(NameKind.FIELD, request.data, ())
        return True


def query_names(view: Any) -> set[str]:
    """Return the query parameters that the current action of this view reads."""
    names: set[str] = set()
    if view.request.method in {"GET", "HEAD"} and view.action != "retrieve":
        filterset, paginator = getattr(view, "filterset_class", None), getattr(view, "paginator", None)
        names |= set(filterset.base_filters) if filterset else set()
        names |= {each["name"] for each in paginator.get_schema_operation_parameters(view)} if paginator else set()
    for parameters in declared_queries(view):
        names |= _names_of(parameters)
    return names


def declared_queries(view: Any) -> tuple[QueryParameters, ...]:
    """Return `action_queries` of the current action: query parameters other than filters and pagination."""
    by_action: dict[str | None, tuple[QueryParameters, ...]] = getattr(view, "action_queries", {})
    return by_action.get(getattr(view, "action", None), ())


def _names_of(parameters: QueryParameters) -> set[str]:
    if isinstance(parameters, OpenApiParameter):
        return {parameters.name}
    if issubclass(parameters, django_filters.FilterSet):
        return set(parameters.base_filters)  # type: ignore[attr-defined]  # set by django-filter's metaclass
    return set(parameters().fields)
