"""Pagination by limit and offset with a bounded count, or by key at a cost that does not depend on the depth."""

import base64
import binascii
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
EXACT_COUNT_UP_TO = 10_000
# Of lists that cannot be paged by key: numbers, suppressions, schedules.
MAX_OFFSET = 10_000_000
# Of lists that can: the database reads and drops all the rows before a page.
MAX_OFFSET_BESIDE_CURSOR = 10_000
BEYOND_MAX_OFFSET = (
    f"The maximum is {MAX_OFFSET_BESIDE_CURSOR:,}. Page by `cursor` instead: its pages cost the same at any depth."
)


class _LimitOffset(serializers.Serializer):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)


class _LimitOffsetBesideCursor(_LimitOffset):
    offset = serializers.IntegerField(
        min_value=0, max_value=MAX_OFFSET_BESIDE_CURSOR, default=0, error_messages={"max_value": BEYOND_MAX_OFFSET}
    )


class BoundedLimitOffsetPagination(BasePagination):
    """Limit and offset. `count` stops at 10,000, because counting a large table costs more than reading a page of it."""

    query_serializer: type[serializers.Serializer] = _LimitOffset
    max_offset = MAX_OFFSET

    def paginate_queryset(  # type: ignore[override]  # narrower than DRF's: every list here is a queryset
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        self.request, self.view = request, view
        return self._page(queryset)

    def _page(self, queryset: QuerySet[Any]) -> list[Any]:
        self.limit, self.offset = self._read_page()
        counted = queryset.order_by()[: EXACT_COUNT_UP_TO + 1].count()
        self.is_exact = counted <= EXACT_COUNT_UP_TO
        self.count = min(counted, EXACT_COUNT_UP_TO)
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        self.has_more = len(rows) > self.limit
        return rows[: self.limit]

    def _read_page(self) -> tuple[int, int]:
        """Return limit and offset. Raises `ValidationError`."""
        given = {name: value for name, value in self.request.query_params.items() if name in {"limit", "offset"}}
        page = self.query_serializer(data=given)
        page.is_valid(raise_exception=True)
        return page.validated_data["limit"], page.validated_data["offset"]

    def get_paginated_response(self, data: list[Any]) -> Response:
        body = {"count": self.count, "next": self._next(), "previous": self._previous(), "results": data}
        if not self.is_exact:
            body["count_exact"] = False
        return Response(body)

    def _next(self) -> str | None:
        if not self.has_more:
            return None
        url = replace_query_param(self.request.build_absolute_uri(), "limit", self.limit)
        return replace_query_param(url, "offset", self.offset + self.limit)

    def _previous(self) -> str | None:
        if self.offset == 0:
            return None
        url = replace_query_param(self.request.build_absolute_uri(), "limit", self.limit)
        if self.offset <= self.limit:
            return remove_query_param(url, "offset")
        return replace_query_param(url, "offset", self.offset - self.limit)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "count": {"type": "integer", "description": "Exact up to 10,000. Absent when paging by `cursor`."},
                "count_exact": {
                    "type": "boolean",
                    "description": "Present, and false, if there are more rows than `count`.",
                },
                "next": link,
                "previous": link,
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("limit", "Rows on a page.", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT),
            _parameter("offset", "Rows to skip.", minimum=0, maximum=self.max_offset, default=0),
        ]


def _parameter(name: str, description: str, **bounds: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "integer", **bounds},
    }


class KeysetOrOffsetPagination(BoundedLimitOffsetPagination):
    """Page by key if the query has a `cursor` (empty for the first page), otherwise by offset. Requires ordering by `pk`.

    After `max_offset` rows, `next` goes on by key.
    """

    query_serializer: type[serializers.Serializer] = _LimitOffsetBesideCursor
    max_offset = MAX_OFFSET_BESIDE_CURSOR

    def _page(self, queryset: QuerySet[Any]) -> list[Any]:
        self.by_key = "cursor" in self.request.query_params
        if self.by_key:  # which ignores the offset
            self.query_serializer = _LimitOffset
        return self._page_by_key(queryset) if self.by_key else self._page_by_offset(queryset)

    def _page_by_offset(self, queryset: QuerySet[Any]) -> list[Any]:
        rows = super()._page(queryset)
        self.next_key = rows[-1].pk if rows else None
        return rows

    def _next(self) -> str | None:
        if not self.has_more or self.offset + self.limit <= self.max_offset:
            return super()._next()
        return remove_query_param(self._link("n", self.next_key) or "", "offset")

    def _page_by_key(self, queryset: QuerySet[Any]) -> list[Any]:
        self.limit, _ = self._read_page()
        descending = queryset.query.order_by != ("pk",)
        backwards, key = _read_cursor(self.request.query_params.get("cursor", ""))
        rows = list(self._slice(queryset, key, descending=descending, backwards=backwards))
        more = len(rows) > self.limit
        rows = rows[: self.limit]
        if backwards:
            rows.reverse()
        self.next_key = rows[-1].pk if rows and (more or backwards) else None
        self.previous_key = rows[0].pk if rows and (more if backwards else key is not None) else None
        return rows

    def _slice(self, queryset: QuerySet[Any], key: UUID | None, *, descending: bool, backwards: bool) -> QuerySet[Any]:
        downwards = descending != backwards
        if key is not None:
            queryset = queryset.filter(**{"pk__lt" if downwards else "pk__gt": key})
        return queryset.order_by("-pk" if downwards else "pk")[: self.limit + 1]

    def get_paginated_response(self, data: list[Any]) -> Response:
        if not self.by_key:
            return super().get_paginated_response(data)
        return Response(
            {"next": self._link("n", self.next_key), "previous": self._link("p", self.previous_key), "results": data}
        )

    def _link(self, direction: str, key: UUID | None) -> str | None:
        if key is None:
            return None
        cursor = base64.urlsafe_b64encode(direction.encode() + key.bytes).decode().rstrip("=")
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "Page by key instead of offset. Empty: first page; then as given in `next`. There is no `count`.",
            "schema": {"type": "string", "maxLength": 64},
            "allowEmptyValue": True,
        }
        return [*super().get_schema_operation_parameters(view), cursor]


class ConversationPagination(KeysetOrOffsetPagination):
    """Page by key over the two `sides` of the view. Each side is read from its own index, however far apart its rows are."""

    def _page(self, queryset: QuerySet[Any]) -> list[Any]:
        self.by_key = True
        return self._page_by_key(queryset)

    def _slice(self, queryset: QuerySet[Any], key: UUID | None, *, descending: bool, backwards: bool) -> QuerySet[Any]:
        order = {"descending": descending, "backwards": backwards}
        slices = [
            super(ConversationPagination, self)._slice(queryset.filter(side), key, **order) for side in self.view.sides
        ]
        keys = [pk for rows in slices for pk in rows.values_list("pk", flat=True)]
        return super()._slice(queryset.filter(pk__in=keys), None, **order)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        shape = super().get_paginated_response_schema(schema)
        for name in ("count", "count_exact"):
            del shape["properties"][name]
        return shape

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [each for each in super().get_schema_operation_parameters(view) if each["name"] != "offset"]


def _read_cursor(cursor: str) -> tuple[bool, UUID | None]:
    """Whether to go backwards, and the key to start after."""
    if not cursor:
        return False, None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return {b"n": False, b"p": True}[raw[:1]], UUID(bytes=raw[1:])
    except (binascii.Error, ValueError, KeyError):
        raise ValidationError({"cursor": "This is not a cursor of ours."}) from None
