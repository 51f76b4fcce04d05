"""A list of recipients as a CSV file, read as a stream: memory does not grow with the file.

UTF-8 with or without a byte order mark; comma, semicolon or tab, whichever the header has; fields in quotes may hold
delimiters, line ends and doubled quotes. The column `to` (in any case) has the numbers, every other column is a variable;
one whose name no variable can have (`first name`, or none, behind a delimiter at the line's end) is passed over.

A row's number is the one that a spreadsheet shows: the header is row 1 (later if blank lines precede it), a blank line counts,
a record in quotes that goes over several lines is one row.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from itertools import chain
from typing import BinaryIO, NamedTuple

from messaging.e164 import InvalidNumber
from scheduling.e164 import normalised
from scheduling.templates import IDENTIFIER, MAX_VALUE

MAX_COLUMNS = 50
MAX_RECORD = 1_048_576
_DELIMITERS = ",;\t"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

# Of the whole process, but raised only: nothing that was read before fails now. The bound that counts is MAX_RECORD.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))


class InvalidCsv(ValueError):
    """The file cannot be read, or not further: rows may have been given before. The text is for people, without content.

    `code` is one of `empty`, `not_utf8`, `nul`, `too_long`, `unclosed_quote`, `no_header`, `missing_to`, `bad_column_name`,
    `duplicate_column`, `too_many_columns`; `row` is where.
    """

    def __init__(self, detail: str, *, code: str, row: int) -> None:
        super().__init__(detail)
        self.code = code
        self.row = row


class Row(NamedTuple):
    """`number` is in E.164; `variables` has every other column, as written."""

    row: int
    number: str
    variables: dict[str, str]


class RowError(NamedTuple):
    """`field` is the column, or empty when the fault is not one column's."""

    row: int
    field: str
    code: str
    detail: str


def read_rows(stream: BinaryIO) -> Iterator[Row | RowError]:
    """The rows in their order, good ones and bad ones; blank rows are left out. Raises `InvalidCsv`, also after some rows."""
    # A byte that is not UTF-8 becomes a lone surrogate, which UTF-8 cannot have: so the fault is found in its own row.
    text = TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _Reader(text).rows()
    finally:
        with suppress(ValueError):  # its owner has closed it meanwhile
            text.detach()


class _Reader:
    """`_row` is the number of the record that is being read, `_size` its characters so far."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._row = 0
        self._size = 0
        self._ended = False
        self._passed_over: list[str] = []

    def rows(self) -> Iterator[Row | RowError]:
        records = self._records()
        names = self._columns(next(records))
        to, width = names.index("to"), len(names)
        variables = names[:to] + names[to + 1 :]
        self._passed_over = [name for name in variables if not IDENTIFIER.fullmatch(name)]
        for record in records:
            if isinstance(record, RowError):
                yield record
            elif len(record) != width:
                if not _is_blank(record):
                    fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
                    detail = f"This row has {fields}, the header has {width}."
                    yield RowError(self._row, "", "wrong_number_of_fields", detail)
            elif (row := self._row_of(record, to, variables)) is not None:
                yield row

    def _row_of(self, record: list[str], to: int, variables: list[str]) -> Row | RowError | None:
        raw = record.pop(to)
        try:
            number = normalised(raw)
        except InvalidNumber as error:
            if not raw.strip() and _is_blank(record):
                return None
            return RowError(self._row, "to", error.code, str(error))
        if record and max(map(len, record)) > MAX_VALUE:
            name = next(name for name, value in zip(variables, record, strict=True) if len(value) > MAX_VALUE)
            return RowError(self._row, name, "too_long", f"A value has at most {MAX_VALUE} characters.")
        values = dict(zip(variables, record, strict=True))
        for name in self._passed_over:
            values.pop(name, None)
        return Row(self._row, number, values)

    def _records(self) -> Iterator[list[str] | RowError]:
        lines = self._lines()
        header = self._header(lines)
        delimiter = max(_DELIMITERS, key=header.count)
        reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
        while True:
            try:
                record = next(reader, None)
            except csv.Error:
                if self._ended:
                    raise self._invalid("unclosed_quote", "A quote is opened in this row and never closed.") from None
                record = RowError(self._row, "", "bad_quotes", "The quotes in this row do not match.")
            if record is None:
                return
            yield record
            self._row, self._size = self._row + 1, 0

    def _header(self, lines: Iterator[str]) -> str:
        for line in lines:
            self._row, self._size = self._row + 1, 0
            if line.strip():
                return line
        raise InvalidCsv("The file is empty.", code="empty", row=1)

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(MAX_RECORD):
            self._size += len(line)
            if self._size >= MAX_RECORD:
                raise self._invalid("too_long", "This row is too long; perhaps a quote is never closed.")
            if not line.isascii() and _NOT_UTF8.search(line):
                raise self._invalid("not_utf8", "The file is not UTF-8; save it as CSV UTF-8.")
            if "\0" in line:
                raise self._invalid("nul", "The file has NUL bytes; save it as UTF-8.")
            yield line
        self._ended = True

    def _columns(self, header: list[str] | RowError) -> list[str]:
        """The variables' names, and `to`. A header that is not one may be a row with numbers: it is never quoted."""
        if isinstance(header, RowError):
            raise self._invalid("bad_column_name", "The quotes in the header do not match.")
        if len(header) > MAX_COLUMNS:
            raise self._invalid("too_many_columns", f"There are more than {MAX_COLUMNS} columns.")
        names = [name.strip() for name in header]
        names = ["to" if name.lower() == "to" else name for name in names]
        if "to" not in names:
            if any(name.startswith("+") or name.isdecimal() for name in names):
                raise self._invalid("no_header", "The first row must name the columns, one of them to.")
            raise self._invalid("missing_to", "There is no column named to.")
        for place, name in enumerate(names):
            if set(name) & set(_DELIMITERS):
                detail = (
                    f"The name of column {place + 1} has a comma, semicolon or tab in it; use one of them throughout."
                )
                raise self._invalid("bad_column_name", detail)
            if name in names[:place] and IDENTIFIER.fullmatch(name):
                raise self._invalid("duplicate_column", f"There are two columns named {name}.")
        return names

    def _invalid(self, code: str, detail: str) -> InvalidCsv:
        return InvalidCsv(f"Row {max(self._row, 1)}: {detail}", code=code, row=max(self._row, 1))


def _is_blank(record: list[str]) -> bool:
    return not any(value.strip() for value in record)
