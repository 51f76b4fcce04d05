"""Fields and query parameters that do not exist are refused with the nearest name that does; nothing is ignored.

`StrictSerializer` checks the fields of a body. `KnownNames` runs on every view by way of DEFAULT_PERMISSION_CLASSES: it checks
the query parameters, and the bodies of actions that take none. What a view accepts is read from where it is used and
documented: its filter set, its paginator and `action_queries`.
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

# A name comes from outside: an answer quotes so much of one, and so many of them.
MAX_NAME = 64
MAX_REPORTED = 10
CSRF_FIELD = "csrfmiddlewaretoken"  # a form that is sent within a browser's session may carry it
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

QueryParameters = OpenApiParameter | type[serializers.Serializer] | type[django_filters.FilterSet]


class NameKind(Enum):
    FIELD = ("unknown_field", "field")
    QUERY = ("unknown_filter", "query parameter")


def unknown(kind: NameKind, given: Iterable[str], known: Collection[str]) -> dict[str, list[ErrorDetail]]:
    """An error for each of the first unknown names, by name; empty when all are known."""
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
    """The known name that is most alike, regardless of case and of how words are joined; None if none is close."""
    by_folded = {_folded(each): each for each in sorted(known)}
    found = get_close_matches(_folded(name[:MAX_NAME]), by_folded, n=1)
    return by_folded[found[0]] if found else None


def _folded(name: str) -> str:
    return _CAMEL_HUMP.sub("_", name).replace("-", "_").replace(" ", "_").lower()


def printable(name: str) -> str:
    """A bounded form of `name` in which control characters, direction marks and lone surrogates are escaped."""
    text = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class StrictSerializer(serializers.Serializer):
    """The base of every serializer that reads a body: refuses fields that it does not have, and those that cannot be set.

    A field that is only shown (`read_only`, or named in `fixed` where only the answer has it) is refused with a code of its
    own. Ignoring it would look as if it had been set.
    """

    fixed: frozenset[str] = frozenset()

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        refused = self._refused(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
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
    """Checks names after the permission and before the action. A view with other `permission_classes` has to keep it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(view, "action", None) in {None, "metadata"}:  # no such method here: the view answers 405
            return True
        refuse_unknown(NameKind.QUERY, request.query_params, query_names(view))
        if request.method == "DELETE" or view.action in getattr(view, "without_body", ()):
            refuse_unknown(NameKind.FIELD, request.data, ())
        return True


def query_names(view: Any) -> set[str]:
    """The query parameters that the action of this view reads."""
    names: set[str] = set()
    if view.request.method in {"GET", "HEAD"} and view.action != "retrieve":
        filterset, paginator = getattr(view, "filterset_class", None), getattr(view, "paginator", None)
        names |= set(filterset.base_filters) if filterset else set()
        names |= {each["name"] for each in paginator.get_schema_operation_parameters(view)} if paginator else set()
    for parameters in declared_queries(view):
        names |= _names_of(parameters)
    return names


def declared_queries(view: Any) -> tuple[QueryParameters, ...]:
    """`action_queries` of the view: what an action reads from the query besides the filters and pages of a list."""
    return getattr(view, "action_queries", {}).get(getattr(view, "action", None), ())


def _names_of(parameters: QueryParameters) -> set[str]:
    if isinstance(parameters, OpenApiParameter):
        return {parameters.name}
    if issubclass(parameters, django_filters.FilterSet):
        return set(parameters.base_filters)
    return set(parameters().fields)
