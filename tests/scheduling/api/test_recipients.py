"""POST /schedules/{id}/recipients/: a list as JSON, or a CSV file as a form."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.test.utils import CaptureQueriesContext

from messaging.services import installation
from scheduling import recipients_csv
from scheduling.api import uploads
from scheduling.api.serializers import RecipientsReportSerializer, RowErrorSerializer
from scheduling.models import Schedule, ScheduleRecipient
from tests.messaging.api.conftest import Api, assert_problem, errors_of
from tests.scheduling import making
from tests.scheduling.making import numbers

A, B, C = "+14155550101", "+14155550102", "+14155550103"


@pytest.fixture
def schedule(mine) -> Schedule:
    return mine(0, text="Hi {name}")


def path(schedule: Schedule) -> str:
    return f"schedules/{schedule.pk}/recipients/"


def upload(api: Api, schedule: Schedule, content: str | bytes, *, query: str = "", field: str = "file"):
    data = content.encode() if isinstance(content, str) else content
    form = encode_multipart(BOUNDARY, {field: SimpleUploadedFile("people.csv", data, "text/csv")})
    return api("POST", path(schedule) + query, data=form, content_type=MULTIPART_CONTENT)


def listed() -> list[tuple[str, dict]]:
    return list(ScheduleRecipient.objects.order_by("pk").values_list("number", "variables"))


def assert_no_recipients(schedule: Schedule) -> None:
    assert not ScheduleRecipient.objects.exists()
    assert Schedule.objects.values_list("recipient_count", "updated_at").get() == (0, schedule.updated_at)


class TestJson:
    def test_valid_entries_are_added_and_invalid_ones_reported_by_position(self, api, schedule) -> None:
        people = [{"to": A, "variables": {"name": "Ada"}}, B, {"to": A, "variables": {"name": "again"}}]

        response = api.post(path(schedule), {"recipients": people})

        assert response.status_code == 200
        assert response.json() == {
            "added": 1,
            "duplicates": 1,
            "rejected": 1,
            "errors": [
                {
                    "row": 1,
                    "field": "name",
                    "code": "missing_variable",
                    "detail": "The text needs a value for name.",
                }
            ],
            "notes": [],
        }
        assert listed() == [(A, {"name": "Ada"})]
        assert api.get(f"schedules/{schedule.pk}/").json()["recipient_count"] == 1

    @pytest.mark.parametrize("is_list", [True, False], ids=["list", "object"])
    def test_an_invalid_entry_does_not_stop_valid_ones(self, api, schedule, is_list: bool) -> None:
        people = [
            {"to": A, "variables": {"name": "Ada"}},
            "nobody",
            {"to": 1},
            None,
            7,
            ["+14155550104"],
            {"to": B, "variables": {"name": None}},
            {"to": B, "name": "Bob"},
            {"to": C, "variables": {"name": "Cy"}},
        ]

        response = api.post(path(schedule), people if is_list else {"recipients": people})

        assert response.status_code == 200
        body = response.json()
        assert (body["added"], body["duplicates"], body["rejected"]) == (2, 0, 7)
        assert [(error["row"], error["field"], error["code"]) for error in body["errors"]] == [
            (1, "to", "invalid_number"),
            (2, "to", "invalid"),
            (3, "", "null"),
            (4, "", "invalid"),
            (5, "", "invalid"),
            (6, "variables", "invalid_value"),
            (7, "name", "unknown_field"),
        ]
        assert all(error["detail"] for error in body["errors"])
        assert listed() == [(A, {"name": "Ada"}), (C, {"name": "Cy"})]

    def test_a_list_of_numbers_is_enough(self, api, mine) -> None:
        plain = mine(0)

        assert api.post(path(plain), [A, B, A]).json() == {
            "added": 2,
            "duplicates": 1,
            "rejected": 0,
            "errors": [],
            "notes": [],
        }

    def test_an_ended_schedule_refuses_recipients(self, api, schedule) -> None:
        Schedule.objects.update(status="canceled", next_run_at=None, next_wall="")

        assert_problem(api.post(path(schedule), [A]), 409, "schedule_ended")
        assert_no_recipients(schedule)

    @pytest.mark.parametrize("data", [b"7", b'"+14155550101"', b"null", b"[" * 40 + b"]" * 40])
    def test_neither_a_list_nor_an_object_is_400(self, api, schedule, data: bytes) -> None:
        assert_problem(api.post(path(schedule), data=data), 400, "parse_error")

        assert_no_recipients(schedule)

    def test_the_documentation_has_both_forms(self, api) -> None:
        operation = api.get("/api/schema/").json()["paths"]["/api/v1/schedules/{id}/recipients/"]["post"]

        forms = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
        assert [form["type"] for form in forms] == ["array", "object"]
        assert forms[1]["properties"]["recipients"] == forms[0]

    def test_the_response_has_the_documented_keys(self, api, schedule) -> None:
        body = api.post(path(schedule), {"recipients": [A]}).json()

        assert set(body) == set(RecipientsReportSerializer().fields)
        assert set(body["errors"][0]) == set(RowErrorSerializer().fields)

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({}, ("recipients", "required")),
            ({"recipients": []}, ("recipients", "min_length")),
            ({"recipients": None}, ("recipients", "null")),
            ({"recipients": A}, ("recipients", "not_a_list")),
            ([], ("recipients", "min_length")),
        ],
        ids=str,
    )
    def test_invalid_input_is_400_and_nothing_is_stored(self, api, schedule, body, error) -> None:
        assert errors_of(api.post(path(schedule), body)) == {error}

        assert_no_recipients(schedule)

    def test_the_cost_does_not_grow_with_the_list(self, api, mine) -> None:
        costs = []
        for count in (1, 20):
            plain = mine(0)
            with CaptureQueriesContext(connection) as queries:
                assert api.post(path(plain), {"recipients": numbers(count)}).json()["added"] == count
            costs.append(len(queries))

        assert costs[0] == costs[1]


class TestCsv:
    CONTENT = f'to;name\r\n{A};Ada\r\nnobody;Bob\r\n{B};"Bob; ""B"""\r\n{A};again\r\n{C};x;y\r\n'

    def test_valid_rows_are_added_and_invalid_ones_reported_by_row(self, api, schedule) -> None:
        response = upload(api, schedule, self.CONTENT)

        assert response.status_code == 200
        body = response.json()
        assert (body["added"], body["duplicates"], body["rejected"]) == (2, 1, 2)
        assert [(error["row"], error["field"], error["code"]) for error in body["errors"]] == [
            (3, "to", "invalid_number"),
            (6, "", "wrong_number_of_fields"),
        ]
        assert listed() == [(A, {"name": "Ada"}), (B, {"name": 'Bob; "B"'})]

    def test_a_list_of_another_program_is_read_as_it_is(self, api, schedule) -> None:
        rows = ["Ada;030 123456;0151 12345678 / 0151 12345679;;", "Bob;;49151 12345670"]
        content = "\r\n".join(["Name;Business Phone;Mobile;Fax;Fax", *rows])
        Schedule.objects.update(text="Hi {Name}")

        body = upload(api, schedule, content, query="?default_country=DE").json()

        assert listed() == [
            ("+4915112345678", {"Name": "Ada", "Business_Phone": "030 123456"}),
            ("+4915112345670", {"Name": "Bob", "Business_Phone": ""}),
        ]
        assert [(note["row"], note["field"], note["code"]) for note in body["notes"]] == [
            (1, "", "columns_ignored"),
            (2, "to", "several_numbers"),
        ]

    def test_the_column_of_the_numbers_can_be_named(self, api, schedule) -> None:
        content = f"phone,name,Private\n{B},Ada,{A}\n"

        assert upload(api, schedule, content, query="?to_column=private").json()["added"] == 1

        assert listed() == [(A, {"name": "Ada", "phone": B})]

    def test_without_a_country_a_national_number_is_not_guessed(self, api, schedule) -> None:
        [error] = upload(api, schedule, "to,name\n0151 12345678,Ada\n").json()["errors"]

        assert (error["field"], error["code"]) == ("to", "country_missing")

    @pytest.mark.parametrize("country", ["de", "Germany", "XX"])
    def test_a_country_is_two_letters(self, api, schedule, country: str) -> None:
        response = upload(api, schedule, f"to,name\n{A},Ada\n", query=f"?default_country={country}")

        assert errors_of(response) == {("default_country", "invalid")}
        assert_no_recipients(schedule)

    def test_a_json_list_has_no_columns(self, api, schedule) -> None:
        response = api.post(f"{path(schedule)}?to_column=phone", [A])

        assert errors_of(response) == {("to_column", "only_with_a_file")}

    def test_too_many_bad_rows_end_the_reading(self, api, schedule, monkeypatch) -> None:
        monkeypatch.setattr(recipients_csv, "MAX_BAD_ROWS", 3)
        content = f"to,name\n{A},Ada\n" + "x,y\n" * 6 + f"{B},Bob\n"

        body = upload(api, schedule, content).json()

        assert (body["added"], body["rejected"]) == (1, 4)
        assert [(error["row"], error["code"]) for error in body["errors"]] == [
            *((row, "invalid_number") for row in (3, 4, 5, 6)),
            (7, "too_many_bad_rows"),
        ]
        assert listed() == [(A, {"name": "Ada"})]

    def test_a_file_of_bad_rows_is_400(self, api, schedule, monkeypatch) -> None:
        monkeypatch.setattr(recipients_csv, "MAX_BAD_ROWS", 3)

        response = upload(api, schedule, "to,name\n" + "x,y\n" * 4 + f"{A},Ada\n")

        assert errors_of(response) == {("file", "too_many_bad_rows")}
        assert_no_recipients(schedule)

    def test_a_byte_order_mark_is_no_part_of_the_header(self, api, schedule) -> None:
        assert upload(api, schedule, f"\ufeffto,name\n{A},Ada\n").json()["added"] == 1

    def test_the_invalid_rows_as_a_file(self, api, schedule) -> None:
        response = upload(api, schedule, self.CONTENT, query="?report=csv")

        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"] == 'attachment; filename="bad-rows.csv"'
        rows = list(csv.reader(io.StringIO(response.content.decode())))
        assert rows == [
            ["row", "field", "code", "detail"],
            ["3", "to", "invalid_number", rows[1][3]],
            ["6", "", "wrong_number_of_fields", "This row has 3 fields, the header has 2."],
        ]
        assert len(listed()) == 2

    def test_a_report_of_nothing_has_a_header_only(self, api, schedule) -> None:
        response = upload(api, schedule, f"to,name\n{A},Ada\n", query="?report=csv")

        assert response.content == b"row,field,code,detail\r\n"

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (f"{A}\n{B}\n", "no_header"),
            ("fax\n1\n", "missing_to"),
            (b"to,name\n+14155550101,J\xfcrgen\n", "not_utf8"),
            (b"to,name\n\0\n", "nul"),
            ('to,name\n+14155550101,"Ada\n', "unclosed_quote"),
            (b"PK\x03\x04", "workbook"),
            (" \n", "empty"),
        ],
    )
    def test_a_file_that_is_no_such_list_is_400_and_nothing_is_stored(self, api, schedule, content, code: str) -> None:
        assert errors_of(upload(api, schedule, content)) == {("file", code)}

        assert_no_recipients(schedule)

    def test_the_form_needs_its_file(self, api, schedule) -> None:
        assert errors_of(upload(api, schedule, self.CONTENT, field="other")) == {("other", "unknown_field")}
        form = encode_multipart(BOUNDARY, {"file": self.CONTENT})
        response = api("POST", path(schedule), data=form, content_type=MULTIPART_CONTENT)
        assert errors_of(response) == {("file", "required")}

        assert_no_recipients(schedule)

    def test_a_form_that_breaks_off_is_400(self, api, schedule) -> None:
        response = api("POST", path(schedule), data=b"x", content_type="multipart/form-data")

        assert_problem(response, 400, "parse_error")
        assert_no_recipients(schedule)

    @pytest.mark.parametrize("content_type", ["text/csv", "application/x-www-form-urlencoded", "text/plain"])
    def test_any_other_type_is_415(self, api, schedule, content_type: str) -> None:
        response = api("POST", path(schedule), data=self.CONTENT, content_type=content_type)

        assert_problem(response, 415, "unsupported_media_type")
        assert_no_recipients(schedule)


class TestCountry:
    @pytest.mark.parametrize("form", ["query", "field", "both"])
    def test_a_json_list_may_name_its_country(self, api, mine, form: str) -> None:
        plain = mine(0)
        query = "" if form == "field" else "?default_country=DE"
        people = ["0151 12345678", {"to": "4915112345679"}, "030 123456 ; 0151 12345670"]
        body = people if form == "query" else {"recipients": people, "default_country": "DE"}

        report = api.post(path(plain) + query, body).json()

        assert [number for number, _ in listed()] == ["+4915112345678", "+4915112345679", "+4915112345670"]
        assert [(note["row"], note["field"], note["code"]) for note in report["notes"]] == [
            (2, "to", "several_numbers")
        ]

    def test_without_it_numbers_are_not_guessed(self, api, mine) -> None:
        plain = mine(0)

        body = api.post(path(plain), ["0151 12345678", "4.91512E+12"]).json()

        assert [error["code"] for error in body["errors"]] == ["country_missing", "rounded_number"]
        assert_no_recipients(plain)

    @pytest.mark.parametrize(
        ("query", "field", "code"),
        [("de", "", "invalid"), ("", "Germany", "invalid"), ("", 49, "invalid"), ("DE", "FR", "conflict")],
    )
    def test_a_wrong_one_is_400(self, api, mine, query: str, field, code: str) -> None:
        plain = mine(0)
        body = {"recipients": [A], "default_country": field}

        assert errors_of(api.post(f"{path(plain)}?default_country={query}", body)) == {("default_country", code)}

        assert_no_recipients(plain)


class TestDryRun:
    @pytest.mark.parametrize("kind", ["json", "csv"])
    def test_it_reports_what_would_be_added_and_stores_nothing(self, api, mine, kind: str) -> None:
        plain = mine(making.recipient_list(C))
        people = [B, A, C, B, "nobody"]

        def send(query: str):
            if kind == "json":
                return api.post(path(plain) + query, people)
            return upload(api, plain, "to\n" + "\n".join(people), query=query)

        dry = send("?dry_run=true")

        assert dry.status_code == 200
        assert (dry.json()["added"], dry.json()["duplicates"], dry.json()["rejected"]) == (2, 2, 1)
        assert listed() == [(C, {})]
        assert send("?dry_run=false").json() == dry.json()
        assert [number for number, _ in listed()] == [C, B, A]

    def test_the_report_as_a_file(self, api, schedule) -> None:
        response = upload(api, schedule, TestCsv.CONTENT, query="?dry_run=true&report=csv")

        assert response.content.decode().splitlines()[1].startswith("3,to,invalid_number")
        assert_no_recipients(schedule)

    def test_an_ended_schedule_is_refused_as_it_would_be(self, api, schedule) -> None:
        Schedule.objects.update(status="canceled", next_run_at=None, next_wall="")

        assert_problem(api.post(f"{path(schedule)}?dry_run=true", [A]), 409, "schedule_ended")

    @pytest.mark.parametrize("value", ["1", "yes", "True"])
    def test_another_value_is_400_and_stores_nothing(self, api, schedule, value: str) -> None:
        assert errors_of(api.post(f"{path(schedule)}?dry_run={value}", [A])) == {("dry_run", "invalid_choice")}

        assert_no_recipients(schedule)


class TestSize:
    def test_the_limit_is_50_megabytes(self) -> None:
        assert uploads.MAX_FILE_BYTES == 50 * 1024 * 1024
        assert uploads.MAX_FORM_BYTES > uploads.MAX_FILE_BYTES

    @pytest.fixture
    def _small(self, monkeypatch) -> None:
        monkeypatch.setattr(uploads, "MAX_FORM_BYTES", 1000)
        monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 800)

    @pytest.mark.usefixtures("_small")
    def test_a_larger_file_is_413_and_nothing_is_stored(self, api, schedule) -> None:
        assert_problem(upload(api, schedule, "to\n" + f"{A}\n" * 100), 413, "body_too_large")

        assert_no_recipients(schedule)

    @pytest.mark.usefixtures("_small")
    def test_one_within_the_limit_is_read(self, api, schedule) -> None:
        assert upload(api, schedule, f"to,name\n{A},{'x' * 400}\n").json()["added"] == 1

    @pytest.mark.usefixtures("_small")
    def test_a_browser_session_has_the_same_limit(self, schedule) -> None:
        """Django's CSRF check reads the form before any parser of ours does."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(installation.service_user("client"))
        client.cookies["csrftoken"] = "x" * 32
        file = SimpleUploadedFile("people.csv", ("to\n" + f"{A}\n" * 100).encode())

        response = client.post(f"/api/v1/{path(schedule)}", {"file": file}, headers={"X-CSRFToken": "x" * 32})

        assert_problem(response, 413, "body_too_large")
        assert_no_recipients(schedule)

    def test_a_file_larger_than_what_json_may_be_is_read(self, api, mine, settings) -> None:
        settings.MAX_BODY_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        plain = mine(0)

        assert upload(api, plain, "to\n" + "".join(f"{number}\n" for number in numbers(500))).json()["added"] == 500
