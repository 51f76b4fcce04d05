"""Recipients as a CSV file, read as a stream: memory does not grow with the file.

UTF-8, with or without a byte order mark, or UTF-16 with one. The delimiter is the one that the header uses, comma, semicolon or
tab, or the one of a first line `sep=;`. Quoted fields may contain delimiters, line ends and doubled quotes. Which columns are
used is told in `scheduling.csv_columns`, which numbers are read in `scheduling.recipient_numbers`. A row may be shorter than
the header, and longer by empty cells.

Rows are numbered as in a spreadsheet: the header is row 1 (later if other lines precede it), blank lines count, and a quoted
record that spans several lines is one row.
"""

import codecs
import csv
import re
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from typing import BinaryIO, Final, NamedTuple

from messaging.e164 import InvalidNumber
from messaging.text_templates import MAX_VALUE
from scheduling import csv_columns, recipient_numbers
from scheduling.csv_columns import BadHeader, ChosenColumns, Columns

MAX_RECORD = 1_048_576
# A file with so many more refused rows than good ones is no list: 50 MB of them would take minutes.
MAX_BAD_ROWS = 10_000
MAX_BLANK_ROWS = 1_048_576  # the rows of a sheet, which some programs write to its end
# Of the names of columns that are not used.
MAX_SHOWN, MAX_SHOWN_NAME = 20, 60
_DELIMITERS = ",;\t"
_NAMED_DELIMITER = re.compile(r'"?sep=(["\t;,|]|\\t)"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_UNDECODED: Final = {"utf-8-sig": re.compile("[\udc80-\udcff]"), "utf-16": re.compile("\ufffd")}
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Zip archives (.xlsx, .ods, .numbers), and Excel's older files.
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_END_OF_FILE = "\x1a"  # some old programs write it behind the last line

# This limit is global to the process and only ever raised, so no other reader starts to fail. MAX_RECORD is the real limit.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))


class InvalidCsv(ValueError):
    """The file cannot be read from `row` on; earlier rows may have been returned. The text never quotes the file.

    `code` is one of `workbook`, `empty`, `not_utf8`, `nul`, `too_long`, `unclosed_quote`, `bad_column_name`,
    `too_many_blank_rows`, `too_many_bad_rows` (of `read_rows` only), and those of `BadHeader`.
    """

    def __init__(self, detail: str, *, code: str, row: int) -> None:
        super().__init__(detail)
        self.code = code
        self.row = row


@dataclass(frozen=True, slots=True)
class ListFormat:
    """How a list is written: the header of the column with the numbers ("": it is found), the country of numbers without a
    plus (two capital letters; "": none), the variables that the text uses, and columns that were chosen by hand.
    """

    to_column: str = ""
    country: str = ""
    used: Collection[str] = ()
    chosen: ChosenColumns = csv_columns.FOUND


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


class RowNote(NamedTuple):
    """What was decided for the user in a row that is taken, or about the columns."""

    row: int
    field: str
    code: str
    detail: str


Read = Row | RowError | RowNote


def several_numbers(row: int, of: int) -> RowNote:
    detail = f"There are {of} numbers; the first mobile one is taken, or else the first."
    return RowNote(row, "to", "several_numbers", detail)


def read_rows(stream: BinaryIO, form: ListFormat = ListFormat()) -> Generator[Read, None, None]:
    """Yield rows, errors and notes in file order, without blank rows; a note follows its row.

    Raises `InvalidCsv`, possibly after some rows.
    """
    with _reader(stream, form) as reader:
        yield from reader.rows()


def read_cells(stream: BinaryIO, rows: int) -> list[list[str]]:
    """Return the header and the cells of the first `rows` other rows, as many as can be read. Raises `InvalidCsv` for none."""
    with _reader(stream, ListFormat()) as reader:
        return reader.cells(rows)


def columns_of(stream: BinaryIO, form: ListFormat) -> Columns:
    """Return the columns of the file. Raises `InvalidCsv`."""
    with _reader(stream, form) as reader:
        return reader.columns()


def refuse_without_good_row(stream: BinaryIO, form: ListFormat) -> None:
    """Read to the first good row. Raises `InvalidCsv` for a file whose first rows are all bad."""
    with closing(read_rows(stream, form)) as rows:
        next((each for each in rows if isinstance(each, Row)), None)


def check_readable(stream: BinaryIO, form: ListFormat = ListFormat()) -> None:
    """Read to the end without validating rows. Raises `InvalidCsv` where `read_rows` would raise it."""
    with _reader(stream, form) as reader:
        reader.read_to_end()


def is_utf_16(stream: BinaryIO) -> bool:
    """Whether a byte order mark says so."""
    return _begin(stream).startswith(_UTF_16)


def _begin(stream: BinaryIO) -> bytes:
    start = stream.tell()
    begin = stream.read(4)
    stream.seek(start)
    return begin


@contextmanager
def _reader(stream: BinaryIO, form: ListFormat) -> Iterator["_Reader"]:
    begin = _begin(stream)
    if begin.startswith(_WORKBOOKS):
        detail = "This is a workbook, not a CSV file; save it as CSV UTF-8 in Excel (or Numbers, or Calc)."
        raise InvalidCsv(detail, code="workbook", row=1)
    # A byte that is not UTF-8 becomes a lone surrogate, which valid UTF-8 never contains: `_lines` then knows its row.
    encoding, errors = ("utf-16", "replace") if begin.startswith(_UTF_16) else ("utf-8-sig", "surrogateescape")
    text = TextIOWrapper(stream, encoding=encoding, errors=errors, newline="")
    try:
        yield _Reader(text, form)
    finally:
        with suppress(ValueError):  # the caller has closed the stream
            text.detach()


class _Reader:
    """`_row` is the number of the current record, `_size` its characters so far."""

    def __init__(self, text: TextIOWrapper, form: ListFormat) -> None:
        self._text = text
        self._undecoded = _UNDECODED[text.encoding]
        self._form = form
        self._row = 0
        self._size = 0
        self._ended = False

    def read_to_end(self) -> None:
        records = self._records()
        self._columns(next(records))
        for _ in records:
            pass

    def columns(self) -> Columns:
        return self._columns(next(self._records()))

    def cells(self, rows: int) -> list[list[str]]:
        records = self._records()
        header = next(records)
        if isinstance(header, RowError):
            raise self._invalid("bad_column_name", "The quotes in the header do not match.")
        found = [header]
        with suppress(InvalidCsv):
            found += islice((each for each in records if isinstance(each, list) and not _is_blank(each)), rows)
        return found

    def rows(self) -> Iterator[Read]:
        records = self._records()
        columns = self._columns(next(records))
        if columns.ignored:
            detail = f"Not used: {_names(columns.ignored)}."
            yield RowNote(self._row, "", "columns_ignored", detail)
        excess = 0  # of refused rows over good ones
        for record in records:
            if not any(record):
                continue
            for read in self._read(record, columns):
                excess += isinstance(read, RowError) - isinstance(read, Row)
                if excess > MAX_BAD_ROWS:
                    detail = f"Up to here, {MAX_BAD_ROWS:,} more rows are refused than good; the rest is not read."
                    raise self._invalid("too_many_bad_rows", detail)
                yield read

    def _read(self, record: list[str] | RowError, columns: Columns) -> Iterable[Read]:
        if isinstance(record, RowError):
            return (record,)
        if len(record) > columns.width and not _is_blank(record[columns.width :]):
            detail = f"This row has {len(record)} fields, the header has {columns.width}."
            return (RowError(self._row, "", "wrong_number_of_fields", detail),)
        return self._row_of(record, columns)

    def _row_of(self, record: list[str], columns: Columns) -> Iterable[Read]:
        raw = record[columns.to] if columns.to < len(record) else ""
        try:
            number, of = recipient_numbers.read(raw, self._form.country)
        except InvalidNumber as error:
            is_blank = not raw.strip() and _is_blank(record)
            return () if is_blank else (RowError(self._row, "to", error.code, str(error)),)
        if len(record) < columns.width:
            record += [""] * (columns.width - len(record))
        values = {name: record[position] for position, name in columns.variables.items()}
        if values and max(map(len, values.values())) > MAX_VALUE:
            long = [name for name, value in values.items() if len(value) > MAX_VALUE]
            if needed := [name for name in long if name in self._form.used]:
                detail = f"A value has at most {MAX_VALUE} characters."
                return (RowError(self._row, needed[0], "too_long", detail),)
            for name in long:
                del values[name]
        row = Row(self._row, number, values)
        return (row,) if of == 1 else (row, several_numbers(self._row, of))

    def _records(self) -> Iterator[list[str] | RowError]:
        lines = self._lines()
        header = self._header(lines)
        if (named := _NAMED_DELIMITER.fullmatch(header)) is not None:
            delimiter = named[1].replace("\\t", "\t")
            header = self._header(lines)
        else:
            delimiter = max(_DELIMITERS, key=_QUOTED.sub("", header).count)
        self._header_is_quoted = '"' in header
        blank = 0
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
            if not isinstance(record, RowError) and not any(record):
                blank += 1
                if blank > MAX_BLANK_ROWS:
                    raise self._invalid("too_many_blank_rows", f"There are more than {MAX_BLANK_ROWS:,} blank rows.")
            yield record
            self._row, self._size = self._row + 1, 0

    def _header(self, lines: Iterator[str]) -> str:
        """The next line that is not blank."""
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
            if not line.isascii() and self._undecoded.search(line):
                raise self._invalid("not_utf8", "The file is not UTF-8 throughout; save it as CSV UTF-8.")
            if "\0" in line:
                raise self._invalid("nul", "The file has NUL bytes; save it as UTF-8.")
            if line.endswith(_END_OF_FILE):
                line = line.rstrip(_END_OF_FILE)
            yield line
        self._ended = True

    def _columns(self, header: list[str] | RowError) -> Columns:
        """Choose the columns. Errors never quote the header: it may be a row of numbers."""
        if isinstance(header, RowError):
            raise self._invalid("bad_column_name", "The quotes in the header do not match.")
        if not self._header_is_quoted and any(set(name) & set(_DELIMITERS) for name in header):
            detail = "The header contains more than one of comma, semicolon and tab; use one delimiter throughout."
            raise self._invalid("bad_column_name", detail)
        form = self._form
        try:
            return csv_columns.choose(header, to_column=form.to_column, used=form.used, chosen=form.chosen)
        except BadHeader as error:
            raise self._invalid(error.code, str(error)) from None

    def _invalid(self, code: str, detail: str) -> InvalidCsv:
        return InvalidCsv(f"Row {max(self._row, 1)}: {detail}", code=code, row=max(self._row, 1))


def _is_blank(record: list[str]) -> bool:
    return not any(value.strip() for value in record)


def _names(columns: tuple[str, ...]) -> str:
    shown = [name[:MAX_SHOWN_NAME] for name in columns[:MAX_SHOWN]]
    return ", ".join(shown) if len(columns) <= MAX_SHOWN else f"{', '.join(shown)} and {len(columns) - MAX_SHOWN} more"
