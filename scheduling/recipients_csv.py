"""Recipients as a CSV file, read as a stream: memory does not grow with the file.

UTF-8, with or without a byte order mark. The delimiter is the one that the header uses: comma, semicolon or tab. Quoted fields
may contain delimiters, line ends and doubled quotes. The column `to` (in any case) has the numbers, every other column is a
variable. A column whose name cannot be a variable's (`first name`, or an empty name after a trailing delimiter) is ignored.

Rows are numbered as in a spreadsheet: the header is row 1 (later if blank lines precede it), blank lines count, and a quoted
record that spans several lines is one row.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import chain
from typing import BinaryIO, NamedTuple

from messaging.e164 import InvalidNumber, normalise
from scheduling.templates import IDENTIFIER, MAX_VALUE

MAX_COLUMNS = 50
MAX_RECORD = 1_048_576
_DELIMITERS = ",;\t"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

# This limit is global to the process and only ever raised, so no other reader starts to fail. MAX_RECORD is the real limit.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))


class InvalidCsv(ValueError):
    """The file cannot be read from `row` on; earlier rows may have been returned. The text never quotes the file.

    `code` is one of `empty`, `not_utf8`, `nul`, `too_long`, `unclosed_quote`, `no_header`, `missing_to`, `bad_column_name`,
    `duplicate_column`, `too_many_columns`.
    """

    def __init__(self, detail: str, *, code: str, row: int) -> None:
        super().__init__(detail)
        self.code = code
        self.row = row


class Row(NamedTuple):
    """`number` is in E.164; `variables` has the other columns, unchanged."""

    row: int
    number: str
    variables: dict[str, str]


class RowError(NamedTuple):
    """`field` is the column, or empty for a fault of the whole row."""

    row: int
    field: str
    code: str
    detail: str


def read_rows(stream: BinaryIO) -> Iterator[Row | RowError]:
    """Yield valid and invalid rows in file order, without blank rows. Raises `InvalidCsv`, possibly after some rows."""
    with _reader(stream) as reader:
        yield from reader.rows()


def check_readable(stream: BinaryIO) -> None:
    """Read to the end without validating rows. Raises `InvalidCsv` where `read_rows` would raise it."""
    with _reader(stream) as reader:
        reader.read_to_end()


@contextmanager
def _reader(stream: BinaryIO) -> Iterator["_Reader"]:
    # A byte that is not UTF-8 becomes a lone surrogate, which valid UTF-8 never contains: `_lines` then knows its row.
    text = TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield _Reader(text)
    finally:
        with suppress(ValueError):  # the caller has closed the stream
            text.detach()


class _Reader:
    """`_row` is the number of the current record, `_size` its characters so far."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._row = 0
        self._size = 0
        self._ended = False
        self._ignored: list[str] = []

    def read_to_end(self) -> None:
        records = self._records()
        self._columns(next(records))
        for _ in records:
            pass

    def rows(self) -> Iterator[Row | RowError]:
        records = self._records()
        names = self._columns(next(records))
        to, width = names.index("to"), len(names)
        variables = names[:to] + names[to + 1 :]
        self._ignored = [name for name in variables if not IDENTIFIER.fullmatch(name)]
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
            number = normalise(raw)
        except InvalidNumber as error:
            if not raw.strip() and _is_blank(record):
                return None
            return RowError(self._row, "to", error.code, str(error))
        if record and max(map(len, record)) > MAX_VALUE:
            name = next(name for name, value in zip(variables, record, strict=True) if len(value) > MAX_VALUE)
            return RowError(self._row, name, "too_long", f"A value has at most {MAX_VALUE} characters.")
        values = dict(zip(variables, record, strict=True))
        for name in self._ignored:
            values.pop(name, None)
        return Row(self._row, number, values)

    def _records(self) -> Iterator[list[str] | RowError]:
        lines = self._lines()
        header = self._header(lines)
        delimiter = max(_DELIMITERS, key=header.count)
        reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
        while True:
            record: list[str] | RowError | None
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
        """Return the column names, with `to` in lower case. Errors never quote the header: it may be a row of numbers."""
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
        for index, name in enumerate(names):
            if set(name) & set(_DELIMITERS):
                detail = (
                    f"The name of column {index + 1} contains a comma, semicolon or tab; use one delimiter throughout."
                )
                raise self._invalid("bad_column_name", detail)
            if name in names[:index] and IDENTIFIER.fullmatch(name):
                raise self._invalid("duplicate_column", f"There are two columns named {name}.")
        return names

    def _invalid(self, code: str, detail: str) -> InvalidCsv:
        return InvalidCsv(f"Row {max(self._row, 1)}: {detail}", code=code, row=max(self._row, 1))


def _is_blank(record: list[str]) -> bool:
    return not any(value.strip() for value in record)
