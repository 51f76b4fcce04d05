"""What goes with a row, and what keeps it, without loading it.

Django would load every row that hangs on it, for a page that nobody reads to its end: of a user or a queue that may be ten
million messages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import CASCADE, PROTECT, RESTRICT, ForeignObjectRel, Model
from django.utils.text import capfirst

COUNT_UP_TO = 10_000
NAMED = 20


@dataclass
class Consequences:
    """`going` counts by kind what is deleted with the rows, `models` are those kinds; `keeping` says what forbids it."""

    names: list[str]
    going: dict[str, str]
    models: list[type[Model]] = field(default_factory=list)
    keeping: list[str] = field(default_factory=list)


def deletion_preview(rows: Sequence[Model]) -> Consequences:
    options = rows[0]._meta  # noqa: SLF001 (public in all but its name)
    names = [capfirst(str(row)) for row in rows[:NAMED]]
    more = [f"and {len(rows) - NAMED} more"] if len(rows) > NAMED else []
    found = Consequences([*names, *more], {str(options.verbose_name_plural): _words(len(rows))})
    for relation in _relations(options):
        model = relation.related_model
        hanging = model._base_manager.filter(**{f"{relation.field.name}__in": rows})  # noqa: SLF001
        count = hanging.order_by()[: COUNT_UP_TO + 1].count()
        name = str(model._meta.verbose_name_plural)  # noqa: SLF001
        if count and relation.on_delete is CASCADE:
            found.going[name] = _words(count)
            found.models.append(model)
        elif count:
            found.keeping.append(f"{_words(count)} {name}")
    return found


def _relations(options: Any) -> Iterator[ForeignObjectRel]:
    """Also those without a name for the way back."""
    for relation in options.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and relation.on_delete in {CASCADE, PROTECT, RESTRICT}:
            yield relation


def _words(count: int) -> str:
    return f"{count:,}" if count <= COUNT_UP_TO else f"more than {COUNT_UP_TO:,}"
