"""Two ways through a list: by limit and offset with a bounded count, or by key at a cost that does not grow."""

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
MAX_OFFSET = 10_000_000
EXACT_COUNT_UP_TO = 10_000


class _LimitOffset(serializers.Serializer):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)


def _page_of(request: Request) -> tuple[int, int]:
    given = {name: request.query_params[name] for name in ("limit", "offset") if name in request.query_params}
    page = _LimitOffset(data=given)
    page.is_valid(raise_exception=True)
    return page.validated_data["limit"], page.validated_data["offset"]


class BoundedLimitOffsetPagination(BasePagination):
    """`count` is exact up to 10,000 and stops there, because counting a large table costs more than reading a page of it."""

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: Any = None) -> list:
        self.request = request
        self.limit, self.offset = _page_of(request)
        counted = queryset.order_by()[: EXACT_COUNT_UP_TO + 1].count()
        self.is_exact = counted <= EXACT_COUNT_UP_TO
        self.count = min(counted, EXACT_COUNT_UP_TO)
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        self.has_more = len(rows) > self.limit
        return rows[: self.limit]

    def get_paginated_response(self, data: list) -> Response:
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

    def get_paginated_response_schema(self, schema: dict) -> dict:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "count": {"type": "integer", "description": "Exact up to 10,000. Missing when paging by `cursor`."},
                "count_exact": {
                    "type": "boolean",
                    "description": "Present, and false, when there are more than `count`.",
                },
                "next": link,
                "previous": link,
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict]:
        return [
            _parameter("limit", "Rows on a page.", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT),
            _parameter("offset", "Rows to pass over.", minimum=0, maximum=MAX_OFFSET, default=0),
        ]


def _parameter(name: str, description: str, **bounds: int) -> dict:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "integer", **bounds},
    }


class KeysetOrOffsetPagination(BoundedLimitOffsetPagination):
    """With `cursor` in the query (empty to start) the page begins after a key; the queryset must be ordered by `pk`."""

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: Any = None) -> list:
        self.by_key = "cursor" in request.query_params
        if not self.by_key:
            return super().paginate_queryset(queryset, request, view)
        return self._page_by_key(queryset, request, view)

    def _page_by_key(self, queryset: QuerySet, request: Request, view: Any) -> list:
        self.request, self.view = request, view
        self.limit, _ = _page_of(request)
        descending = queryset.query.order_by != ("pk",)
        backwards, key = _read_cursor(request.query_params.get("cursor", ""))
        rows = list(self._slice(queryset, key, descending=descending, backwards=backwards))
        more = len(rows) > self.limit
        rows = rows[: self.limit]
        if backwards:
            rows.reverse()
        self.next_key = rows[-1].pk if rows and (more or backwards) else None
        self.previous_key = rows[0].pk if rows and (more if backwards else key is not None) else None
        return rows

    def _slice(self, queryset: QuerySet, key: UUID | None, *, descending: bool, backwards: bool) -> QuerySet:
        downwards = descending != backwards
        if key is not None:
            queryset = queryset.filter(**{"pk__lt" if downwards else "pk__gt": key})
        return queryset.order_by("-pk" if downwards else "pk")[: self.limit + 1]

    def get_paginated_response(self, data: list) -> Response:
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

    def get_schema_operation_parameters(self, view: Any) -> list[dict]:
        cursor = {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "Page by key instead of offset: empty to start, then as given in `next`. There is no count.",
            "schema": {"type": "string", "maxLength": 64},
            "allowEmptyValue": True,
        }
        return [*super().get_schema_operation_parameters(view), cursor]


class ConversationPagination(KeysetOrOffsetPagination):
    """By key alone, over the two `sides` of the view: each side's page is read from its own index, whatever lies between."""

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: Any = None) -> list:
        self.by_key = True
        return self._page_by_key(queryset, request, view)

    def _slice(self, queryset: QuerySet, key: UUID | None, *, descending: bool, backwards: bool) -> QuerySet:
        order = {"descending": descending, "backwards": backwards}
        slices = [
            super(ConversationPagination, self)._slice(queryset.filter(side), key, **order) for side in self.view.sides
        ]
        keys = [pk for rows in slices for pk in rows.values_list("pk", flat=True)]
        return super()._slice(queryset.filter(pk__in=keys), None, **order)

    def get_paginated_response_schema(self, schema: dict) -> dict:
        shape = super().get_paginated_response_schema(schema)
        for name in ("count", "count_exact"):
            del shape["properties"][name]
        return shape

    def get_schema_operation_parameters(self, view: Any) -> list[dict]:
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
