"""Recipients as CSV files."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling import recipients_csv
from scheduling.csv_columns import ChosenColumns
from scheduling.recipients_csv import (
    MAX_RECORD,
    InvalidCsv,
    ListFormat,
    Read,
    Row,
    RowError,
    RowNote,
    columns_of,
    read_cells,
    read_rows,
)

ADA, BOB = "+14155550101", "+14155550102"


def rows_of(content: str | bytes, **form: Any) -> list[Read]:
    octets = content if isinstance(content, bytes) else content.encode()
    return list(read_rows(io.BytesIO(octets), ListFormat(**form)))


def refusal_of(content: str | bytes) -> tuple[str, int]:
    with pytest.raises(InvalidCsv) as refusal:
        rows_of(content)
    return refusal.value.code, refusal.value.row


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_delimiters_and_line_ends_make_no_difference(mark: bytes, delimiter: str, end: str) -> None:
    lines = ["name,to,time", f"Zo\u00eb \u20ac,{ADA},10:00", f",{BOB},"]

    found = rows_of(mark + end.join(lines).replace(",", delimiter).encode())

    assert found == [
        Row(2, ADA, {"name": "Zo\u00eb \u20ac", "time": "10:00"}),
        Row(3, BOB, {"name": "", "time": ""}),
    ]


def test_a_list_of_numbers_alone_needs_no_delimiter() -> None:
    assert rows_of(f"to\n{ADA}\n{BOB}") == [Row(2, ADA, {}), Row(3, BOB, {})]


@pytest.mark.parametrize("to", ["TO", " To ", '"to"', '" tO"'])
def test_the_number_s_column_is_found_in_any_case(to: str) -> None:
    assert rows_of(f"{to},Name\n{ADA},Ada\n") == [Row(2, ADA, {"Name": "Ada"})]


def test_numbers_are_normalised_and_values_left_as_they_are() -> None:
    assert rows_of("to,name\n +1 (415) 555-0101 , Ada \n") == [Row(2, ADA, {"name": " Ada "})]


@pytest.mark.parametrize(
    "written", ["'+14155550101", "\u202a+14155550101\u202c", "(+1) 415\u00a0555 0101", "\u200b+1\u20144155550101"]
)
def test_what_a_number_was_copied_with_is_removed(written: str) -> None:
    assert rows_of(f"to,name\n{written},Ada\n") == [Row(2, ADA, {"name": "Ada"})]


def test_quotes_hold_delimiters_doubled_quotes_and_line_ends_in_one_row() -> None:
    found = rows_of(f'to;name\n{ADA};"a;b ""c""\r\nd\n"\n{BOB};e\n')

    assert found == [Row(2, ADA, {"name": 'a;b "c"\r\nd\n'}), Row(3, BOB, {"name": "e"})]


def test_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    found = rows_of(f'to,name\n\n{ADA},"two\nlines"\n  \n,\n , \nnobody,x\n{BOB},y\n\n')

    assert [(type(row), row.row) for row in found] == [(Row, 3), (RowError, 7), (Row, 8)]


def test_blank_lines_before_the_header_count() -> None:
    assert rows_of(f"\n \nto\n{ADA}\n") == [Row(4, ADA, {})]


def test_invalid_rows_are_reported_and_valid_ones_returned() -> None:
    content = "\n".join(
        [
            "to,name",
            f"{ADA},Ada",
            "4155550101,x",
            "+1415555,x",
            ",x",
            f"x,{ADA}",
            f"{ADA},x,y",
            f'{ADA},"x"y',
            f"{ADA},{'x' * 501}",
            f"{BOB},Bob",
        ]
    )

    found = rows_of(content, used={"name"})

    assert [row for row in found if isinstance(row, Row)] == [
        Row(2, ADA, {"name": "Ada"}),
        Row(10, BOB, {"name": "Bob"}),
    ]
    assert [row[:3] for row in found if isinstance(row, RowError)] == [
        (3, "to", "country_missing"),
        (4, "to", "impossible_number"),
        (5, "to", "invalid_number"),
        (6, "to", "invalid_number"),
        (7, "", "wrong_number_of_fields"),
        (8, "", "bad_quotes"),
        (9, "name", "too_long"),
    ]
    assert found[5].detail == "This row has 3 fields, the header has 2."


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        ("", "empty", 1),
        ("\ufeff", "empty", 1),
        ("\n \r\n", "empty", 1),
        ("name,time\nx,y", "missing_to", 1),
        ("\nname,time\nx,y", "missing_to", 2),
        (f"{ADA},Ada\n{BOB},Bob", "no_header", 1),
        ("14155550101\n", "no_header", 1),
        ("to,name;time\n", "bad_column_name", 1),
        ('to,"na"me\n', "bad_column_name", 1),
        ("to,TO\n", "duplicate_column", 1),
        ("to," + ",".join(f"v{number}" for number in range(1_000)), "too_many_columns", 1),
        (f"to,name\n{ADA},Ada\n{BOB},B\0b\n", "nul", 3),
        (f"to,name\n{ADA},Ada\n{BOB},Zo\u00eb\n".encode("latin-1"), "not_utf8", 3),
        (f"to,name\n{ADA},Ada\n".encode("utf-16") + b"\x00\xd8", "not_utf8", 3),
        (b"PK\x03\x04\x14\x00\x06\x00", "workbook", 1),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook", 1),
        (f"to,name\n{ADA},Ada\n".encode("utf-16-le"), "nul", 1),
        (b"to,name\n+14155550101,\xed\xa0\x80\n", "not_utf8", 2),
        (b"to,name\n+14155550101,\xc3", "not_utf8", 2),
        (f'to,name\n{ADA},"Ada\n{BOB},Bob\n', "unclosed_quote", 2),
        (f"to,name\n{ADA},{'x' * MAX_RECORD}\n", "too_long", 2),
        (f'to,name\n{ADA},Ada\n{BOB},"' + "x\n" * (MAX_RECORD // 2), "too_long", 3),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_row(content: str | bytes, code: str, row: int) -> None:
    assert refusal_of(content) == (code, row)


@pytest.mark.parametrize(
    ("header", "variable"),
    [
        ("First Name", "First_Name"),
        ("1st", "_1st"),
        ("n\u00e4me", "name"),
        ("Gr\u00f6\u00dfe (cm)", "Grosse_cm"),
        ("E-mail 1 - Value", "E_mail_1_Value"),
        ("n" * 41, "n" * 40),
    ],
)
def test_the_name_of_a_column_becomes_a_variable_s(header: str, variable: str) -> None:
    assert rows_of(f"to,{header},time\n{ADA},Ada,10:00\n") == [Row(2, ADA, {variable: "Ada", "time": "10:00"})]


@pytest.mark.parametrize("header", ["\u540d\u524d", "---"])
def test_a_column_without_a_name_that_a_text_can_use_is_passed_over_and_named(header: str) -> None:
    note, row = rows_of(f"to,{header},time\n{ADA},Ada,10:00\n")

    assert note == RowNote(1, "", "columns_ignored", f"Not used: {header}.")
    assert row == Row(2, ADA, {"time": "10:00"})


def test_the_blank_column_after_a_trailing_delimiter_is_ignored() -> None:
    assert rows_of(f"to;time;;\n{ADA};10:00;;\n") == [Row(2, ADA, {"time": "10:00"})]


class TestManyColumns:
    NAMES = tuple(f"v{number}" for number in range(91))

    def test_the_first_fifty_are_variables_and_the_others_are_named(self) -> None:
        note, row = rows_of(f"to,{','.join(self.NAMES)}\n{ADA}{',x' * 91}\n")

        assert row == Row(2, ADA, dict.fromkeys(self.NAMES[:50], "x"))
        assert (note.code, note.detail) == ("columns_ignored", f"Not used: {', '.join(self.NAMES[50:70])} and 21 more.")

    def test_those_that_the_text_uses_come_first(self) -> None:
        _, row = rows_of(f"to,{','.join(self.NAMES)}\n{ADA}{',x' * 91}\n", used={"v90"})

        assert row.variables == dict.fromkeys((*self.NAMES[:49], "v90"), "x")

    def test_a_long_value_that_the_text_does_not_use_is_left_out(self) -> None:
        content = f"to,name,notes\n{ADA},Ada,{'x' * 501}\n"

        assert rows_of(content, used={"name"}) == [Row(2, ADA, {"name": "Ada"})]
        [error] = rows_of(content, used={"notes"})
        assert error[:3] == (2, "notes", "too_long")


class TestTwoColumnsOfOneName:
    CONTENT = f"to,Name,name,name\n{ADA},1,2,3\n"

    def test_they_are_passed_over_and_named(self) -> None:
        note, row = rows_of(self.CONTENT)

        assert (note.detail, row) == ("Not used: name, name.", Row(2, ADA, {"Name": "1"}))

    def test_they_are_refused_if_the_text_uses_the_name(self) -> None:
        with pytest.raises(InvalidCsv, match=r"two columns for \{name\}") as refusal:
            rows_of(self.CONTENT, used={"name"})

        assert refusal.value.code == "duplicate_column"

    def test_the_one_that_is_written_just_so_is_the_variable(self) -> None:
        note, row = rows_of(f"to,First Name,First_Name\n{ADA},1,2\n", used={"First_Name"})

        assert (note.detail, row) == ("Not used: First Name.", Row(2, ADA, {"First_Name": "2"}))


class TestTheColumnOfNumbers:
    @pytest.mark.parametrize(
        "header",
        [
            *("Phone 1 - Value", "Mobile Phone", "Phone Number", "phone", "MOBILE", "Cell", "Tel.", "Telefon", "Handy"),
            *("T\u00e9l\u00e9phone portable", "M\u00f3vil", "Rufnummer", "msisdn", "Recipient", "number", "Home Phone"),
        ],
    )
    def test_it_is_known_by_the_names_that_programs_give_it(self, header: str) -> None:
        assert rows_of(f"Name,{header}\nAda,{ADA}\n") == [Row(2, ADA, {"Name": "Ada"})]

    @pytest.mark.parametrize(
        "header", ["Business Phone,Mobile Phone", "Phone,Mobile", "Number,Phone", "Mobile,to", "Phone 2 - Value,Phone"]
    )
    def test_of_several_the_surest_is_taken(self, header: str) -> None:
        [row] = rows_of(f"{header}\n{BOB},{ADA}\n")

        assert row.number == ADA

    @pytest.mark.parametrize("header", ["Number,Telefon privat", "Nummer,Handy der Mutter", "Numero,Emergency phone"])
    def test_a_number_of_anything_is_not_taken_where_another_column_may_have_them(self, header: str) -> None:
        with pytest.raises(InvalidCsv) as refusal:
            rows_of(f"{header}\n{ADA},{BOB}\n")

        assert refusal.value.code == "missing_to"

    @pytest.mark.parametrize("other", ["Titel", "Hotel", "Canceled", "Parcel"])
    def test_but_it_is_beside_what_only_sounds_so(self, other: str) -> None:
        assert rows_of(f"{other},Number\nx,{ADA}\n")[0].number == ADA

    def test_of_two_columns_with_the_given_name_the_one_that_is_written_so_is_taken(self) -> None:
        assert rows_of(f"mobile,Mobile\n{BOB},{ADA}\n", to_column="Mobile")[0].number == ADA
        for header, name in (("Mobile,Mobile", "Mobile"), ("mobile,Mobile", "MOBILE")):
            with pytest.raises(InvalidCsv) as refusal:
                rows_of(f"{header}\n{BOB},{ADA}\n", to_column=name)
            assert refusal.value.code == "duplicate_column"

    def test_it_can_be_named(self) -> None:
        assert rows_of(f"to,Private\n{BOB},{ADA}\n", to_column=" private ") == [Row(2, ADA, {"to": BOB})]
        with pytest.raises(InvalidCsv) as refusal:
            rows_of(f"to\n{ADA}\n", to_column="Private")
        assert refusal.value.code == "missing_to"


class TestRowsAsTheyAre:
    def test_missing_cells_are_empty(self) -> None:
        assert rows_of(f"to,name,time\n{ADA}\n{BOB},Bob\n") == [
            Row(2, ADA, {"name": "", "time": ""}),
            Row(3, BOB, {"name": "Bob", "time": ""}),
        ]

    def test_empty_cells_too_many_are_dropped(self) -> None:
        assert rows_of(f"to,name\n{ADA},Ada,, ,\n") == [Row(2, ADA, {"name": "Ada"})]

    @pytest.mark.parametrize(
        ("line", "delimiter"), [("sep=;", ";"), ("SEP=,", ","), ('"sep=|"', "|"), ("sep=\t", "\t"), ("sep=\\t", "\t")]
    )
    def test_the_first_line_may_name_the_delimiter(self, line: str, delimiter: str) -> None:
        content = "\n".join([line, delimiter.join(["to", "name"]), delimiter.join([ADA, "Ada"])])

        assert rows_of(content) == [Row(3, ADA, {"name": "Ada"})]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be-bom"])
    def test_utf_16_is_read_by_its_mark(self, encoding: str) -> None:
        content = f"to\tname\r\n{ADA}\tZo\u00eb \U0001f642\r\n"
        octets = content.encode("utf-16") if encoding == "utf-16" else b"\xfe\xff" + content.encode("utf-16-be")

        assert rows_of(octets) == [Row(2, ADA, {"name": "Zo\u00eb \U0001f642"})]

    @pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a", "\x1a\x1a"])
    def test_a_control_z_at_the_end_is_ignored(self, end: str) -> None:
        assert rows_of(f"to\n{ADA}{end}") == [Row(2, ADA, {})]

    def test_a_quoted_header_may_hold_the_other_delimiters(self) -> None:
        assert rows_of(f'to,"Last; First","a, b"\n{ADA},Ada,1\n') == [Row(2, ADA, {"Last_First": "Ada", "a_b": "1"})]


def test_rows_before_the_fault_are_returned() -> None:
    found = read_rows(io.BytesIO(f"to\n{ADA}\n\xff".encode("latin-1")))

    assert next(found) == Row(2, ADA, {})
    with pytest.raises(InvalidCsv, match=r"^Row 3: The file is not UTF-8"):
        next(found)


@pytest.mark.parametrize(
    "content",
    [
        "to,secret;words\n",
        "secret,time\n",
        "+19995550199,secret\n",
        'to,name\n+19995550199,"secret',
        b"to,name\n+19995550199,secret\xff",
        "to,name\n+19995550199,secret\0",
    ],
)
def test_errors_do_not_quote_the_file(content: str | bytes) -> None:
    with pytest.raises(InvalidCsv) as refusal:
        rows_of(content)

    assert "secret" not in str(refusal.value)
    assert "9995550199" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_the_stream_stays_open_for_its_owner() -> None:
    stream = io.BytesIO(f"to\n{ADA}\n{BOB}\n".encode())

    list(read_rows(stream))
    stream.seek(0)
    begun = read_rows(stream)
    next(begun)
    begun.close()

    assert not stream.closed


def test_a_stream_that_was_closed_meanwhile_is_no_error() -> None:
    stream = io.BytesIO(f"to\n{ADA}\n{BOB}\n".encode())
    begun = read_rows(stream)
    next(begun)

    stream.close()
    begun.close()


@pytest.mark.parametrize("in_memory", [True, False])
def test_django_s_uploads_are_streams(in_memory: bool) -> None:
    content = f"to\n{ADA}\n".encode()
    upload = SimpleUploadedFile("a.csv", content) if in_memory else TemporaryUploadedFile("a.csv", "text/csv", 0, "")
    if not in_memory:
        upload.write(content)
        upload.seek(0)

    with upload:
        assert list(read_rows(upload)) == [Row(2, ADA, {})]
        upload.file.seek(0)
        assert list(read_rows(upload.file)) == [Row(2, ADA, {})]


class Endless(io.RawIOBase):
    """A file larger than memory, generated while it is read."""

    def __init__(self, first: bytes, rest: bytes, size: int) -> None:
        self._parts = self._made(first, rest, size)

    @staticmethod
    def _made(first: bytes, rest: bytes, size: int) -> Iterator[bytes]:
        yield first
        for _ in range(size // len(rest)):
            yield rest

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To where it is: the reader has looked at the beginning, which its buffer still holds."""
        return 0

    def readinto(self, buffer: memoryview) -> int:
        part = next(self._parts, b"")
        buffer[: len(part)] = part
        return len(part)


def test_memory_does_not_grow_with_the_file() -> None:
    line = f"{ADA},{'x' * 500}\n".encode()
    stream = io.BufferedReader(Endless(b"to,name\n", line, 4_000_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(stream))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 4_000_000 // len(line)
    assert peak < 1_000_000


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20), min_size=2, max_size=2)
    ),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_spreadsheet_writes_is_what_is_read(values: list[list[str]], delimiter: str, end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "to", "b"], *([first, ADA, second] for first, second in values)])

    found = rows_of(text.getvalue())

    assert found == [Row(row, ADA, {"a": a, "b": b}) for row, (a, b) in enumerate(values, start=2)]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='to,;\t"\r\n+1a\0\ufeff', max_size=60).map(str.encode)))
def test_any_bytes_are_rows_or_one_kind_of_error(content: bytes) -> None:
    for begin in (b"", b"to,a\n"):
        found = []
        with suppress(InvalidCsv):
            found.extend(read_rows(io.BytesIO(begin + content)))

        assert all(isinstance(row, Row | RowError | RowNote) for row in found)
        assert [row.row for row in found] == sorted({row.row for row in found})


def test_a_file_on_disk_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"to\n{ADA}\n")

    with path.open("rb") as stream:
        assert list(read_rows(stream)) == [Row(2, ADA, {})]


@pytest.mark.parametrize(("bad", "is_given_up"), [(3, False), (4, True)])
def test_a_file_with_many_more_bad_rows_than_good_ones_is_given_up(monkeypatch, bad: int, is_given_up: bool) -> None:
    monkeypatch.setattr(recipients_csv, "MAX_BAD_ROWS", 3)
    content = f"to,name\n{ADA},a\nx,y\n" + ",\n\n" * 9 + "x,y\n" * bad

    if is_given_up:
        assert refusal_of(content) == ("too_many_bad_rows", 25)
    else:
        assert len(rows_of(content)) == 2 + bad


@pytest.mark.parametrize("blank", ["\n", ",\n", ",,\r\n"])
@pytest.mark.parametrize(("count", "is_refused"), [(3, False), (4, True)])
def test_blank_rows_have_a_bound(monkeypatch, blank: str, count: int, is_refused: bool) -> None:
    monkeypatch.setattr(recipients_csv, "MAX_BLANK_ROWS", 3)
    content = f"to,name\n{blank * count}{ADA},a\n"

    if is_refused:
        assert refusal_of(content) == ("too_many_blank_rows", 5)
    else:
        assert rows_of(content) == [Row(5, ADA, {"name": "a"})]


def test_columns_are_chosen_by_their_position() -> None:
    content = f"name,name,{ADA[1:]},Mobile\nAda,L,{ADA},{BOB}\n"

    found = rows_of(content, used={"name"}, chosen=ChosenColumns(2, {"name": 1, "unused": 0}))

    assert [each for each in found if isinstance(each, Row)] == [Row(2, ADA, {"name": "L", "Mobile": BOB})]


@pytest.mark.parametrize("chosen", [ChosenColumns(2), ChosenColumns(None, {"name": 2})])
def test_a_chosen_column_must_be_there(chosen: ChosenColumns) -> None:
    with pytest.raises(InvalidCsv) as refusal:
        rows_of(f"to,x\n{ADA},Ada\n", used={"name"}, chosen=chosen)

    assert refusal.value.code == "missing_to"


@pytest.mark.parametrize(
    ("header", "is_sure"), [("to,Mobile", True), ("Mobile,Handy", False), ("Mobile,Phone", True), ("Phone,Tel", False)]
)
def test_two_columns_that_could_have_the_numbers_are_not_sure(header: str, is_sure: bool) -> None:
    assert columns_of(io.BytesIO(f"{header}\n".encode()), ListFormat()).is_sure is is_sure


def test_the_cells_of_a_file_are_shown_as_they_are_written() -> None:
    content = 'Name;Fax\n;\nAda;"1;2"\nBob\nEve;3;4\n"'

    assert read_cells(io.BytesIO(content.encode()), 2) == [["Name", "Fax"], ["Ada", "1;2"], ["Bob"]]
    assert read_cells(io.BytesIO(content.encode()), 9) == [["Name", "Fax"], ["Ada", "1;2"], ["Bob"], ["Eve", "3", "4"]]
