"""The first rows of a waiting list, as they would be saved."""

from itertools import islice
from typing import NamedTuple
from uuid import UUID

from messaging import segments
from messaging.services.errors import InvalidField
from messaging.text_templates import MissingVariable, Template
from scheduling.recipients_csv import InvalidCsv, Row, RowError, RowNote, columns_of, read_cells, read_rows
from scheduling.services import list_files, recipients
from scheduling.services.list_imports import ListMapping

ROWS = 5
PIECES = 2  # of the file, which have 2 MiB


class PreviewedRow(NamedTuple):
    """`refusal` is why the row is not taken; then it has no number. `text` is None if a value is missing."""

    row: int
    number: str
    variables: dict[str, str]
    text: str | None
    segments: int
    refusal: str


class ListPreview(NamedTuple):
    """`header` names the columns; `to` is the position of the numbers, None where they were not found.

    `variables` maps the names of variables to positions. `cells` are the first rows as they are written.
    """

    header: list[str]
    cells: list[list[str]]
    to: int | None
    variables: dict[str, int]
    rows: list[PreviewedRow]


def preview(list_id: UUID, *, mapping: ListMapping, text: str) -> ListPreview:
    """Read the begin of the waiting file. Raises `ListUnreadable` and `InvalidField`."""
    form = recipients.for_text(mapping.format(), text)
    with list_files.opened(list_id, pieces=PIECES) as stream:
        try:
            header, *cells = read_cells(stream, ROWS)
        except InvalidCsv as error:
            raise InvalidField("file", error.code, str(error)) from None
        try:
            stream.seek(0)
            columns = columns_of(stream, form)
            stream.seek(0)
            found = [
                _previewed(read, recipients.compiled(text))
                for read in islice((each for each in read_rows(stream, form) if not isinstance(each, RowNote)), ROWS)
            ]
        except InvalidCsv:
            return ListPreview(header, cells, None, {}, [])
    return ListPreview(header, cells, columns.to, {name: place for place, name in columns.variables.items()}, found)


def _previewed(read: Row | RowError, template: Template) -> PreviewedRow:
    if isinstance(read, RowError):
        return PreviewedRow(read.row, "", {}, None, 0, read.detail)
    error = recipients.check(recipients.Recipient(read.row, read.number, read.variables), template)
    try:
        text = template.render(read.variables)
    except MissingVariable:
        text = None
    counted = segments.measure(text).segments if text is not None else 0
    return PreviewedRow(read.row, read.number, read.variables, text, counted, error.detail if error else "")
