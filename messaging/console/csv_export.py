"""CSV export of lists, streamed row by row. Cells that a spreadsheet would read as formulas are escaped."""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import StreamingHttpResponse

CHUNK = 2_000
ModelT = TypeVar("ModelT", bound=Model)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    """A file object for `csv.writer` that returns each line instead of storing it."""

    def write(self, line: str) -> str:
        return line


def escaped(value: Any) -> str:
    """Return the text of a cell, with a leading apostrophe if a spreadsheet would evaluate it as a formula.

    E.164 numbers are not escaped: evaluated as a formula they give the same number.
    """
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA_STARTS) and not (text[0] == "+" and text[1:].isascii() and text[1:].isdigit()):
        return f"'{text}"
    return text


def newest_first(queryset: QuerySet[ModelT]) -> Iterator[ModelT]:
    """Yield all rows by descending key, one query per chunk: a slow download keeps no database cursor open."""
    last: Any = None
    while True:
        rows = queryset.order_by("-pk") if last is None else queryset.order_by("-pk").filter(pk__lt=last)
        chunk = list(rows[:CHUNK])
        yield from chunk
        if len(chunk) < CHUNK:
            return
        last = chunk[-1].pk


def stream(rows: Iterable[Any], columns: dict[str, Callable[[Any], Any]], *, filename: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        _lines(rows, columns),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"},
    )


def _lines(rows: Iterable[Any], columns: dict[str, Callable[[Any], Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(columns)
    for row in rows:
        yield writer.writerow([escaped(value(row)) for value in columns.values()])
