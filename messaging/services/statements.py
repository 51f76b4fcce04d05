"""SQL statements that write many rows, and several of them in one round trip.

Each status change passes here. `bulk_create` and `bulk_update` build their SQL anew each time, which costs several times as
much as what the database does for the rows.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

if TYPE_CHECKING:
    Field = models.Field[Any, Any]


class Statement(NamedTuple):
    """One INSERT or UPDATE. Any: each value has the type of its column."""

    sql: str
    values: list[Any]


def update(rows: Sequence[models.Model], fields: Iterable[str]) -> Statement:
    """Save the fields of all rows with one UPDATE.

    Columns in which the rows agree get a plain value. Two statements, one for these and one for the others, would violate
    constraints that involve several columns.
    """
    model, names = type(rows[0]), tuple(sorted(fields))
    values = _values(model, names, [[getattr(row, each.attname) for row in rows] for each in _fields(model, names)])
    keys = _prepared(_primary_key(model), [row.pk for row in rows])
    if connection.vendor == "postgresql":
        sql = _update_sql(model, names, values.varying, is_one=len(rows) == 1)
        return Statement(sql, [*values.plain, *values.different, *(keys if len(rows) == 1 else [keys])])
    sql = _case_sql(model, names, values.varying, len(rows))
    cases = [part for column in values.different for pair in zip(keys, column, strict=True) for part in pair]
    return Statement(sql, [*values.plain, *cases, *keys])


def insert(model: type[models.Model], names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Statement:
    """Insert rows that have their values in the order of `names`. The model's defaults do not apply.

    The rows differ in one column at least.
    """
    if connection.vendor == "postgresql" and len(rows) > 1:
        values = _values(model, names, list(zip(*rows, strict=True)))
        return Statement(_insert_select_sql(model, names, values.varying), [*values.plain, *values.different])
    columns = [
        _prepared(field, column) for field, column in zip(_fields(model, names), zip(*rows, strict=True), strict=True)
    ]
    return Statement(
        _insert_sql(model, names, len(rows)), [value for row in zip(*columns, strict=True) for value in row]
    )


def execute(statements: Sequence[Statement]) -> None:
    """Execute the statements: on PostgreSQL as one, so they must not depend on each other's rows."""
    if not statements:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and len(statements) > 1:
            *first, last = statements
            parts = ", ".join(f"part{number} AS ({each.sql})" for number, each in enumerate(first))
            cursor.execute(f"WITH {parts} {last.sql}", [value for each in statements for value in each.values])
        else:  # SQLite has no INSERT or UPDATE in WITH
            for each in statements:
                cursor.execute(each.sql, each.values)


class _Values(NamedTuple):
    """The values of several columns, converted: one of each column in which the rows agree, a list of each other column."""

    varying: tuple[bool, ...]
    plain: list[Any]
    different: list[list[Any]]


def _values(model: type[models.Model], names: tuple[str, ...], columns: Sequence[Sequence[Any]]) -> _Values:
    varying = tuple(column.count(column[0]) < len(column) for column in columns)
    values = _Values(varying, [], [])
    for field, column, varies in zip(_fields(model, names), columns, varying, strict=True):
        if varies:
            values.different.append(_prepared(field, column))
        else:
            values.plain.extend(_prepared(field, column[:1]))
    return values


@lru_cache(maxsize=256)
def _update_sql(model: type[models.Model], names: tuple[str, ...], varying: tuple[bool, ...], *, is_one: bool) -> str:
    table, key = _quoted(model._meta.db_table), _primary_key(model)  # noqa: SLF001 (public in all but its name)
    fields = _by_variance(model, names, varying)
    plain = [f"{_column(field)} = %s" for field in fields[False]]
    if is_one:
        return f"UPDATE {table} SET {', '.join(plain)} WHERE {_column(key)} = %s"  # noqa: S608 (names of columns)
    taken = [f"{_column(field)} = given.{_column(field)}" for field in fields[True]]
    arrays = ", ".join(f"%s::{_type(field)}[]" for field in [*fields[True], key])
    names_given = ", ".join([*map(_column, fields[True]), "given_key"])
    return (
        f"UPDATE {table} SET {', '.join([*plain, *taken])} "  # noqa: S608 (names of columns)
        f"FROM unnest({arrays}) AS given ({names_given}) WHERE {table}.{_column(key)} = given_key"
    )


@lru_cache(maxsize=256)
def _case_sql(model: type[models.Model], names: tuple[str, ...], varying: tuple[bool, ...], count: int) -> str:
    """For SQLite, which has UPDATE … FROM only since 3.33."""
    table, key = _quoted(model._meta.db_table), _column(_primary_key(model))  # noqa: SLF001
    fields = _by_variance(model, names, varying)
    plain = [f"{_column(field)} = %s" for field in fields[False]]
    cases = [f"{_column(field)} = CASE {key} {'WHEN %s THEN %s ' * count}END" for field in fields[True]]
    keys = ", ".join(["%s"] * count)
    return f"UPDATE {table} SET {', '.join([*plain, *cases])} WHERE {key} IN ({keys})"  # noqa: S608 (names of columns)


@lru_cache(maxsize=256)
def _insert_sql(model: type[models.Model], names: tuple[str, ...], count: int) -> str:
    row = f"({', '.join(['%s'] * len(names))})"
    return f"{_insert_into(model, _fields(model, names))} VALUES {', '.join([row] * count)}"


@lru_cache(maxsize=256)
def _insert_select_sql(model: type[models.Model], names: tuple[str, ...], varying: tuple[bool, ...]) -> str:
    fields = _by_variance(model, names, varying)
    plain = [f"%s::{_type(field)}" for field in fields[False]]
    arrays = ", ".join(f"%s::{_type(field)}[]" for field in fields[True])
    into = _insert_into(model, [*fields[False], *fields[True]])
    return f"{into} SELECT {', '.join([*plain, 'given.*'])} FROM unnest({arrays}) AS given"  # noqa: S608


def _insert_into(model: type[models.Model], fields: "Iterable[Field]") -> str:
    return f"INSERT INTO {_quoted(model._meta.db_table)} ({', '.join(map(_column, fields))})"  # noqa: SLF001


@lru_cache(maxsize=256)
def _fields(model: type[models.Model], names: tuple[str, ...]) -> "tuple[Field, ...]":
    columns = {field.name: field for field in model._meta.concrete_fields}  # noqa: SLF001
    return tuple(columns[name] for name in names)


def _by_variance(
    model: type[models.Model], names: tuple[str, ...], varying: tuple[bool, ...]
) -> "dict[bool, list[Field]]":
    found: dict[bool, list[Field]] = {False: [], True: []}
    for field, varies in zip(_fields(model, names), varying, strict=True):
        found[varies].append(field)
    return found


def _prepared(field: "Field", column: Iterable[Any]) -> list[Any]:
    """Convert the values for the database, encrypted where the field is."""
    database = connections[DEFAULT_DB_ALIAS]  # the connection itself: `connection` looks it up at each access
    values = [field.get_db_prep_save(value, database) for value in column]
    # The driver takes the type of an array from its members, and each enumeration is a type of its own.
    return [value.value if isinstance(value, Enum) else value for value in values]


def _primary_key(model: type[models.Model]) -> "Field":
    if model._meta.pk is None:  # noqa: SLF001
        raise TypeError(f"{model.__name__} has no primary key")
    return model._meta.pk  # noqa: SLF001


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _column(field: "Field") -> str:
    if field.column is None:
        raise TypeError(f"{field.name} has no column")
    return _quoted(field.column)


def _type(field: "Field") -> str:
    """The column's type without its length: a cast to `varchar(12)` would cut a longer text, where storing it fails."""
    return re.sub(r"\(.*?\)", "", field.db_type(connection) or "")
