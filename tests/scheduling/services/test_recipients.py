"""Adding recipients: valid rows are stored in order, each number once; invalid ones are reported."""

import io
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.services.errors import InvalidField
from messaging.states import Source
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.recipients_csv import ListFormat, RowError
from scheduling.services import recipients, schedules
from scheduling.services.errors import ScheduleEnded
from scheduling.services.recipients import ImportReport
from tests.messaging.parallel import at_once
from tests.scheduling.making import DUE, A, B, C, create, due_run, expand_all, numbers, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
LATER = DUE - timedelta(minutes=30)


@pytest.fixture
def schedule(owner) -> Schedule:
    """A schedule without recipients, with a text that uses `name`."""
    return create(owner, 0, text="Hi {name}")


@pytest.fixture
def plain(owner) -> Schedule:
    """A schedule without recipients, with a text without variables."""
    return create(owner, 0)


@pytest.fixture
def chunk(monkeypatch):
    def make(size: int) -> None:
        monkeypatch.setattr(recipients, "CHUNK", size)

    return make


def add(schedule: Schedule, rows) -> ImportReport:
    return recipients.add(schedule_id=schedule.pk, rows=rows, now=LATER)


def add_csv(schedule: Schedule, content: bytes | str) -> ImportReport:
    data = content.encode() if isinstance(content, str) else content
    return recipients.add_csv(schedule_id=schedule.pk, stream=io.BytesIO(data), now=LATER, form=ListFormat())


def counts(report: ImportReport) -> tuple[int, int, int]:
    return report.added, report.duplicates, report.rejected


def listed(schedule: Schedule) -> list[tuple[str, dict]]:
    return list(schedule.recipients.order_by("pk").values_list("number", "variables"))


def assert_no_recipients(schedule: Schedule) -> None:
    assert not ScheduleRecipient.objects.exists()
    row = Schedule.objects.get(pk=schedule.pk)
    assert (row.recipient_count, row.updated_at) == (0, schedule.updated_at)


class TestAdd:
    def test_they_are_stored_in_their_order_and_counted(self, schedule) -> None:
        report = add(schedule, recipient_list((C, {"name": "c"}), (A, {"name": "a", "more": "x"})))

        assert report == ImportReport(added=2, duplicates=0, rejected=0, errors=[])
        assert listed(schedule) == [(C, {"name": "c"}), (A, {"name": "a", "more": "x"})]
        schedule.refresh_from_db()
        assert (schedule.recipient_count, schedule.updated_at) == (2, LATER)

    def test_a_number_that_is_repeated_in_the_list_counts_once_where_it_stood_first(self, schedule) -> None:
        rows = recipient_list((A, {"name": "first"}), (B, {"name": "b"}), (A, {"name": "again"}), (A, {"name": "more"}))

        assert counts(add(schedule, rows)) == (2, 2, 0)

        assert listed(schedule) == [(A, {"name": "first"}), (B, {"name": "b"})]

    def test_a_number_that_is_on_the_list_stays_as_it_is(self, schedule) -> None:
        add(schedule, recipient_list((A, {"name": "old"})))

        assert counts(add(schedule, recipient_list((B, {"name": "b"}), (A, {"name": "new"})))) == (1, 1, 0)

        assert listed(schedule) == [(A, {"name": "old"}), (B, {"name": "b"})]
        assert Schedule.objects.get().recipient_count == 2

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 7])
    def test_every_length_is_stored_whole_at_the_edges_of_chunks(self, plain, chunk, count: int) -> None:
        chunk(3)

        assert counts(add(plain, recipient_list(*numbers(count)))) == (count, 0, 0)

        assert [number for number, _ in listed(plain)] == numbers(count)
        assert Schedule.objects.get().recipient_count == count

    def test_a_number_in_two_chunks_is_kept_once(self, plain, chunk) -> None:
        chunk(2)

        assert counts(add(plain, recipient_list(A, B, C, A, B, A))) == (3, 3, 0)

        assert [number for number, _ in listed(plain)] == [A, B, C]

    def test_invalid_rows_are_reported_by_row_and_valid_ones_stored(self, schedule, chunk) -> None:
        chunk(2)
        rows = [
            *recipient_list((A, {"name": "a"}), (B, {}), (C, {"name": "x" * 1531})),
            RowError(3, "to", "invalid_number", "Not a number."),
        ]

        report = add(schedule, rows)

        assert counts(report) == (1, 0, 3)
        assert [(error.row, error.field, error.code) for error in report.errors] == [
            (1, "name", "missing_variable"),
            (2, "message", "too_long"),
            (3, "to", "invalid_number"),
        ]
        assert listed(schedule) == [(A, {"name": "a"})]
        assert Schedule.objects.get().recipient_count == 1

    def test_a_text_that_is_empty_for_one_recipient_is_reported(self, owner) -> None:
        schedule = create(owner, 0, text="{text}")

        report = add(schedule, recipient_list((A, {"text": "  "}), (B, {"text": "Hello"})))

        assert [(error.row, error.field, error.code) for error in report.errors] == [(0, "message", "blank")]
        assert listed(schedule) == [(B, {"text": "Hello"})]

    def test_the_report_has_a_bounded_number_of_invalid_rows_and_counts_the_rest(
        self, schedule, chunk, monkeypatch
    ) -> None:
        chunk(4)
        monkeypatch.setattr(recipients, "MAX_REPORTED_ERRORS", 5)

        report = add(schedule, recipient_list(*numbers(13)))

        assert counts(report) == (0, 0, 13)
        assert [error.row for error in report.errors] == [0, 1, 2, 3, 4]
        assert not ScheduleRecipient.objects.exists()

    @pytest.mark.parametrize("ending", ["canceled", "completed"])
    def test_an_ended_schedule_accepts_no_recipients(self, owner, ending: str) -> None:
        run = due_run(owner, recipient_list(A))
        if ending == "completed":
            expand_all()
        else:
            schedules.cancel(schedule_id=run.schedule_id, actor=owner, now=DUE, source=Source.API)

        with pytest.raises(ScheduleEnded):
            add(run.schedule, recipient_list(B))

        assert [number for number, _ in listed(run.schedule)] == [A]
        assert Schedule.objects.get().recipient_count == 1

    def test_a_paused_schedule_accepts_more_recipients(self, plain) -> None:
        schedules.pause(schedule_id=plain.pk, now=LATER)

        assert counts(add(plain, recipient_list(A))) == (1, 0, 0)

    def test_the_same_number_may_be_on_several_lists(self, owner, plain) -> None:
        other = create(owner, recipient_list(A))

        assert counts(add(plain, recipient_list(A))) == (1, 0, 0)

        assert (listed(plain), listed(other)) == ([(A, {})], [(A, {})])

    def test_a_chunk_costs_the_same_number_of_queries_for_5_and_for_20(self, owner) -> None:
        costs = []
        for count in (5, 20):
            schedule = create(owner, 0)
            with CaptureQueriesContext(connection) as queries:
                add(schedule, recipient_list(*numbers(count)))
            costs.append(len(queries))

        assert costs[0] == costs[1]

    def test_a_text_that_changes_meanwhile_is_the_one_that_counts(self, owner) -> None:
        schedule = create(owner, 0)

        def rows():
            schedules.change(schedule_id=schedule.pk, owner=owner, changes={"text": "Hi {name}"}, now=LATER)
            yield from recipient_list(A, (B, {"name": "Bob"}))

        report = add(schedule, rows())

        assert [(error.row, error.field, error.code) for error in report.errors] == [(0, "name", "missing_variable")]
        assert listed(schedule) == [(B, {"name": "Bob"})]

    @pytest.mark.django_db(transaction=True)
    def test_two_concurrent_imports_of_one_list_add_each_recipient_once(self, owner, chunk) -> None:
        chunk(7)
        schedule = create(owner, 0)
        everybody = recipient_list(*numbers(50))

        reports = at_once([partial(add, schedule, everybody), partial(add, schedule, everybody[::-1])])

        assert sum(report.added for report in reports) == 50
        assert sum(report.duplicates for report in reports) == 50
        assert sorted(number for number, _ in listed(schedule)) == numbers(50)
        assert Schedule.objects.get().recipient_count == 50


class TestAddCsv:
    @pytest.mark.parametrize(
        "content",
        [
            f"to,name\n{A},Ada\n{B},Bob\n",
            f"to;name\r\n{A};Ada\r\n{B};Bob\r\n",
            f"to\tname\n{A}\tAda\n{B}\tBob",
            f"\ufeffto,name\n{A},Ada\n{B},Bob\n",
            f'"to","name"\n"{A}","Ada"\n"{B}","Bob"\n',
            f"name,To\nAda,{A}\nBob,{B}\n",
            f"to,name\n\n{A},Ada\n,\n{B},Bob\n\n",
            "to,name\n+1 (415) 555-0101,Ada\n+1.415.555.0102,Bob\n",
        ],
        ids=["comma", "semicolon", "tab", "bom", "quoted", "another order", "blank rows", "notations"],
    )
    def test_what_spreadsheets_write_is_read(self, schedule, content: str) -> None:
        assert counts(add_csv(schedule, content)) == (2, 0, 0)

        assert listed(schedule) == [(A, {"name": "Ada"}), (B, {"name": "Bob"})]
        assert Schedule.objects.get().recipient_count == 2

    def test_quoted_fields_may_have_delimiters_quotes_and_line_ends(self, schedule) -> None:
        add_csv(schedule, f'to,name\n{A},"Lovelace, ""Ada""\nCountess"\n{B},Bob\n')

        assert listed(schedule) == [(A, {"name": 'Lovelace, "Ada"\nCountess'}), (B, {"name": "Bob"})]

    def test_invalid_rows_are_reported_by_their_row_and_valid_ones_stored(self, schedule) -> None:
        content = f"to,name\n{A},Ada\nnobody,Bob\n{B},x,y\n+1415555010199,Eve\n{C},{'x' * 501}\n{B},Bob\n{A},Ada\n"

        report = add_csv(schedule, content)

        assert counts(report) == (2, 1, 4)
        assert [(error.row, error.field, error.code) for error in report.errors] == [
            (3, "to", "invalid_number"),
            (4, "", "wrong_number_of_fields"),
            (5, "to", "impossible_number"),
            (6, "name", "too_long"),
        ]
        assert listed(schedule) == [(A, {"name": "Ada"}), (B, {"name": "Bob"})]

    def test_a_column_that_the_text_needs_and_the_file_has_not_is_an_error_of_each_row(self, schedule) -> None:
        report = add_csv(schedule, f"to\n{A}\n{B}\n")

        assert counts(report) == (0, 0, 2)
        assert [(error.row, error.field, error.code) for error in report.errors] == [
            (2, "name", "missing_variable"),
            (3, "name", "missing_variable"),
        ]
        assert not ScheduleRecipient.objects.exists()

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "empty"),
            (f"{A}\n{B}\n".encode(), "no_header"),
            (b"fax,name\nx,y\n", "missing_to"),
            (f"to,name;time\n{A},Ada\n".encode(), "bad_column_name"),
            (f"to,name,name\n{A},a,b\n".encode(), "duplicate_column"),
            (f"to,name\n{A},Ada\n{B},J\xfcrgen\n".encode("latin-1"), "not_utf8"),
            (f"to,name\n{A},Ada\n{B},\0\n".encode(), "nul"),
            (f'to,name\n{A},Ada\n{B},"Bob\n'.encode(), "unclosed_quote"),
            (b"PK\x03\x04", "workbook"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("size", [2000, 1])
    def test_a_file_that_is_no_such_list_is_refused_and_nothing_is_stored(
        self, schedule, chunk, content: bytes, code: str, size: int
    ) -> None:
        chunk(size)

        with pytest.raises(InvalidField) as caught:
            add_csv(schedule, content)

        assert (caught.value.field, caught.value.field_code) == ("file", code)
        assert_no_recipients(schedule)

    def test_a_file_with_only_a_header_adds_no_recipients(self, schedule) -> None:
        assert add_csv(schedule, "to,name\n") == ImportReport()

        assert not ScheduleRecipient.objects.exists()

    def test_a_long_file_is_stored_chunk_by_chunk(self, plain, chunk) -> None:
        chunk(100)
        content = "to\n" + "".join(f"{number}\n" for number in numbers(1050))

        assert counts(add_csv(plain, content)) == (1050, 0, 0)

        assert [number for number, _ in listed(plain)] == numbers(1050)

    def test_the_same_file_again_adds_no_recipients(self, schedule) -> None:
        content = f"to,name\n{A},Ada\n{B},Bob\n"
        add_csv(schedule, content)

        assert counts(add_csv(schedule, content)) == (0, 2, 0)

        assert Schedule.objects.get().recipient_count == 2
