"""POST /schedules/: accepted and refused requests, and the response."""

import pytest

from config.problems import MAX_FIELD_ERRORS
from messaging.models import Message
from scheduling.api.serializers import ScheduleSerializer
from scheduling.models import Schedule, ScheduleRecipient
from tests.factories import SenderFactory, UserFactory
from tests.messaging.api.conftest import assert_problem, errors_of

A, B = "+14155550101", "+14155550102"
BODY = {
    "name": "Reminder",
    "message": "Hi {name}, see you at {time}",
    "run_at": "2026-12-01T09:00:00+01:00",
    "time_zone": "Europe/Berlin",
    "recurrence": "RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=4",
    "queue": "express",
    "recipients": [
        {"to": A, "variables": {"name": "Ada", "time": "10:00"}},
        {"to": B, "variables": {"name": "Bob", "time": 11}},
    ],
}
PLAIN = {"name": "Reminder", "message": "Hello", "run_at": "2026-12-01T09:00:00", "recipients": [A]}


def assert_nothing_stored() -> None:
    assert not Schedule.objects.exists()
    assert not ScheduleRecipient.objects.exists()
    assert not Message.objects.exists()


def listed() -> list[tuple[str, dict]]:
    return list(ScheduleRecipient.objects.order_by("pk").values_list("number", "variables"))


def test_a_schedule_is_created_with_its_list(api) -> None:
    response = api.post("schedules/", BODY)

    schedule = Schedule.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver/api/v1/schedules/{schedule.pk}/"
    assert response.json() == {
        "id": str(schedule.pk),
        "name": "Reminder",
        "message": "Hi {name}, see you at {time}",
        "run_at": "2026-12-01T08:00:00Z",
        "time_zone": "Europe/Berlin",
        "recurrence": "RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=4",
        "holidays": None,
        "language": None,
        "template": None,
        "missed": "latest",
        "category": "transactional",
        "parameters": None,
        "queue": "express",
        "from": None,
        "valid_for": 14_400,
        "status": "active",
        "next_run_at": "2026-12-01T08:00:00Z",
        "recipient_count": 2,
        "counts": {},
        "created_at": "2026-11-22T09:00:00Z",
        "updated_at": "2026-11-22T09:00:00Z",
    }
    assert schedule.owner == api.user
    assert listed() == [(A, {"name": "Ada", "time": "10:00"}), (B, {"name": "Bob", "time": "11"})]


@pytest.mark.parametrize("query", ["", "?default_country=DE"])
def test_a_list_may_name_the_country_of_its_numbers(api, query: str) -> None:
    field = {} if query else {"default_country": "DE"}

    response = api.post(f"schedules/{query}", {**PLAIN, **field, "recipients": ["0151 12345678", A]})
    schedule = response.json()["id"]
    changed = api("PATCH", f"schedules/{schedule}/{query}", {**field, "recipients": ["0151 12345679"]})

    assert (response.status_code, changed.status_code) == (201, 200)
    assert listed() == [("+4915112345679", {})]


@pytest.mark.parametrize(
    ("to", "code"),
    [("0151 12345678", "country_missing"), (f"{A}; {B}", "several_numbers"), ("4.9E+12", "rounded_number")],
)
def test_what_no_report_could_explain_is_refused(api, to: str, code: str) -> None:
    assert errors_of(api.post("schedules/", {**PLAIN, "recipients": [to]})) == {("recipients.0.to", code)}

    assert_nothing_stored()


def test_the_response_has_the_documented_keys_and_equals_a_read(api) -> None:
    body = api.post("schedules/", BODY).json()

    optional = {name for name, field in ScheduleSerializer().fields.items() if not field.required}
    assert set(body) == set(ScheduleSerializer().fields) - optional
    assert optional == {"messages", "messages_url", "canceled"}
    assert body == api.get(f"schedules/{body['id']}/").json()


def test_the_least_is_a_name_a_message_and_a_time(api) -> None:
    body = api.post("schedules/", {name: PLAIN[name] for name in ("name", "message", "run_at")}).json()

    assert (body["time_zone"], body["recurrence"], body["queue"]) == ("UTC", None, "express")
    assert (body["run_at"], body["recipient_count"]) == ("2026-12-01T09:00:00Z", 0)


@pytest.mark.parametrize("name", ["recurrence", "queue", "from"])
def test_null_is_the_same_as_nothing(api, name: str) -> None:
    body = api.post("schedules/", {**PLAIN, name: None}).json()

    assert {**body, "id": ""} == {**api.post("schedules/", PLAIN).json(), "id": ""}


def test_a_time_without_an_offset_is_wall_time_in_the_zone(api) -> None:
    body = api.post("schedules/", {**PLAIN, "time_zone": "America/New_York"}).json()

    assert (body["run_at"], body["next_run_at"]) == ("2026-12-01T14:00:00Z", "2026-12-01T14:00:00Z")


def test_what_a_calendar_program_writes_is_taken(api) -> None:
    written = "DTSTART;TZID=Europe/Berlin:20261201T090000\r\nRRULE:FREQ=WEEKLY;BYDAY=TU;\r\n"

    body = api.post("schedules/", {**PLAIN, "time_zone": "W. Europe Standard Time", "recurrence": written}).json()

    assert (body["time_zone"], body["recurrence"], body["next_run_at"]) == (
        "Europe/Berlin",
        "RRULE:FREQ=WEEKLY;BYDAY=TU",
        "2026-12-01T08:00:00Z",
    )


def test_the_response_has_the_requested_one_of_two_equal_wall_times(api) -> None:
    asked = {**PLAIN, "run_at": "2027-10-31T02:30:00+01:00", "time_zone": "Europe/Berlin"}

    body = api.post("schedules/", asked).json()

    assert (body["run_at"], body["next_run_at"]) == ("2027-10-31T01:30:00Z", "2027-10-31T01:30:00Z")


def test_recipients_may_be_written_in_any_notation_and_are_kept_once(api) -> None:
    written = ["\u202a(+1) 415 555\u00a00102", A, {"to": B}, {"to": "+1.415.555.0101", "variables": None}]

    assert api.post("schedules/", {**PLAIN, "recipients": written}).json()["recipient_count"] == 2

    assert listed() == [(B, {}), (A, {})]


def test_ones_own_sender_can_be_used(api) -> None:
    SenderFactory(number="+15005550007", owner=api.user)

    assert api.post("schedules/", {**PLAIN, "from": "+1 500 555 0007"}).json()["from"] == "+15005550007"


@pytest.mark.parametrize("sender", ["80888", "ACME"])
def test_a_short_code_or_name_can_be_the_sender(api, sender: str) -> None:
    SenderFactory(number=sender, owner=api.user)

    assert api.post("schedules/", {**PLAIN, "from": sender}).json()["from"] == sender


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, ("name", "blank")),
        ({"name": "x" * 101}, ("name", "max_length")),
        ({"name": 7}, ("name", "invalid")),
        ({"name": None}, ("name", "null")),
        ({"name": "\0"}, ("name", "null_characters_not_allowed")),
        ({"message": " "}, ("message", "blank")),
        ({"message": "x" * 1531}, ("message", "max_length")),
        ({"message": "Ж" * 700}, ("recipients.0.message", "too_long")),
        ({"message": "Hi {name"}, ("message", "invalid_template")),
        ({"message": "Hi {name}"}, ("recipients.0.name", "missing_variable")),
        ({"run_at": "2026-11-22T08:59:59Z"}, ("run_at", "in_the_past")),
        ({"run_at": "2026-11-22T09:00:00Z"}, ("run_at", "in_the_past")),
        ({"run_at": "tomorrow"}, ("run_at", "invalid")),
        ({"missed": "some"}, ("missed", "invalid_choice")),
        ({"recurrence": "DTSTART:20261201T090001\nRRULE:FREQ=DAILY"}, ("recurrence", "invalid_recurrence")),
        ({"run_at": "2027-01-04"}, ("run_at", "time_missing")),
        ({"run_at": "2027-W01"}, ("run_at", "time_missing")),
        ({"run_at": "2026-13-01T09:00:00"}, ("run_at", "invalid")),
        ({"run_at": 1_800_000_000}, ("run_at", "invalid")),
        ({"run_at": None}, ("run_at", "null")),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, ("run_at", "invalid")),
        ({"time_zone": "Mars/Olympus"}, ("time_zone", "unknown_time_zone")),
        ({"time_zone": "../../etc/passwd"}, ("time_zone", "unknown_time_zone")),
        ({"time_zone": ""}, ("time_zone", "blank")),
        ({"recurrence": "FREQ=DAILY;UNTIL=20261101T000000Z"}, ("recurrence", "never_fires")),
        ({"recurrence": ""}, ("recurrence", "blank")),
        ({"recurrence": "x" * 65_537}, ("recurrence", "max_length")),
        ({"queue": "nowhere"}, ("queue", "unknown_queue")),
        ({"queue": 1}, ("queue", "invalid")),
        ({"from": "+15005550009"}, ("from", "sender_not_allowed")),
        ({"from": "me, too long"}, ("from", "invalid_sender")),
        ({"valid_for": 0}, ("valid_for", "min_value")),
        ({"valid_for": 604_801}, ("valid_for", "max_value")),
        ({"valid_for": "60"}, ("valid_for", "invalid")),
        ({"recipients": []}, ("recipients", "min_length")),
        ({"recipients": None}, ("recipients", "null")),
        ({"recipients": A}, ("recipients", "not_a_list")),
        ({"recipients": [A, "nobody"]}, ("recipients.1.to", "invalid_number")),
        ({"recipients": [A, 14155550101]}, ("recipients.1", "invalid")),
        ({"recipients": [A, {"to": 14155550101}]}, ("recipients.1.to", "invalid")),
        ({"recipients": [{"number": A}]}, ("recipients.0.number", "unknown_field")),
        ({"recipients": [{"to": A, "name": "Ada"}]}, ("recipients.0.name", "unknown_field")),
        ({"recipients": [{"variables": {}}]}, ("recipients.0.to", "invalid")),
        ({"recipients": [{"to": A, "variables": []}]}, ("recipients.0.variables", "invalid_variables")),
        ({"recipients": [{"to": A, "variables": "x"}]}, ("recipients.0.variables", "invalid_variables")),
        ({"recipients": [{"to": A, "variables": False}]}, ("recipients.0.variables", "invalid_variables")),
        ({"recipients": [{"to": A, "variables": {"name": None}}]}, ("recipients.0.variables", "invalid_value")),
        ({"recipients": [{"to": A, "variables": {"na me": "x"}}]}, ("recipients.0.variables", "invalid_variable_name")),
        ({"recipients": [{"to": A, "variables": {"name": "x" * 501}}]}, ("recipients.0.variables", "too_long")),
        ({"recipients": [{"to": A, "variables": {"name": "\0"}}]}, ("recipients.0.variables", "invalid_characters")),
    ],
    ids=lambda value: str(value)[:50],
)
def test_invalid_input_is_400_and_nothing_is_stored(api, changes, error) -> None:
    SenderFactory(number="+15005550009", owner=UserFactory())

    assert errors_of(api.post("schedules/", {**PLAIN, **changes})) == {error}

    assert_nothing_stored()


def test_a_response_has_a_bounded_number_of_errors(api) -> None:
    bad = [{"to": A, "variabels": {}}] * (MAX_FIELD_ERRORS + 1)

    body = assert_problem(api.post("schedules/", {**PLAIN, "recipients": bad}), 400, "invalid")

    assert len(body["errors"]) == MAX_FIELD_ERRORS
    assert_nothing_stored()


@pytest.mark.parametrize("name", ["name", "message", "run_at"])
def test_what_is_required(api, name: str) -> None:
    body = {key: value for key, value in PLAIN.items() if key != name}

    assert errors_of(api.post("schedules/", body)) == {(name, "required")}

    assert_nothing_stored()


@pytest.mark.parametrize("data", ["{", "[]", "null", '{"name": NaN}', b"\xff"])
def test_what_is_no_json_object_is_400(api, data) -> None:
    assert_problem(api("POST", "schedules/", data=data), 400, "parse_error")

    assert_nothing_stored()


def test_a_reader_may_not(member_of) -> None:
    assert_problem(member_of("API reader").post("schedules/", PLAIN), 403, "permission_denied")

    assert_nothing_stored()


def test_without_a_token_there_is_nothing(anonymous) -> None:
    assert_problem(anonymous.post("schedules/", PLAIN), 401, "not_authenticated")

    assert_nothing_stored()


def test_the_path_without_its_slash_works_too(api) -> None:
    assert api.post("schedules", PLAIN).status_code == 201
