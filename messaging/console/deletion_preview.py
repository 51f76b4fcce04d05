"""What a deletion removes and what prevents it, as counts.

Django's own preview loads every dependent row to list it. For a user or a queue that can be 10 million messages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import CASCADE, PROTECT, RESTRICT, ForeignObjectRel, Model
from django.utils.text import capfirst

COUNT_UP_TO = 10_000
NAMED = 20


@dataclass
class DeletionPreview:
    """`deleted` has a count, as text, for each kind of row; `models` are those kinds; `protected` names what prevents it."""

    names: list[str]
    deleted: dict[str, str]
    models: list[type[Model]] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)


def deletion_preview(rows: Sequence[Model]) -> DeletionPreview:
    options = rows[0]._meta  # noqa: SLF001 (public in all but its name)
    names = [capfirst(str(row)) for row in rows[:NAMED]]
    more = [f"and {len(rows) - NAMED} more"] if len(rows) > NAMED else []
    found = DeletionPreview([*names, *more], {str(options.verbose_name_plural): _count_text(len(rows))})
    for relation in _relations(options):
        model = relation.related_model
        dependent = model._base_manager.filter(**{f"{relation.field.name}__in": rows})  # noqa: SLF001
        count = dependent.order_by()[: COUNT_UP_TO + 1].count()
        name = str(model._meta.verbose_name_plural)  # noqa: SLF001
        if count and relation.on_delete is CASCADE:
            found.deleted[name] = _count_text(count)
            found.models.append(model)
        elif count:
            found.protected.append(f"{_count_text(count)} {name}")
    return found


def _relations(options: Any) -> Iterator[ForeignObjectRel]:
    """Yield the relations that a deletion follows, including those without a reverse name."""
    for relation in options.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and relation.on_delete in {CASCADE, PROTECT, RESTRICT}:
            yield relation


def _count_text(count: int) -> str:
    return f"{count:,}" if count <= COUNT_UP_TO else f"more than {COUNT_UP_TO:,}"
