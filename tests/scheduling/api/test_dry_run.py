"""POST /schedules/?dry_run=true: runs, texts and who would get none, and nothing stored."""

from messaging.models import Message, PhoneNumber, Suppression
from scheduling.models import Schedule, ScheduleRecipient
from tests.factories import NOW, PhoneNumberFactory
from tests.messaging.api.conftest import assert_problem, errors_of

A, B, C = "+14155550101", "+14155550102", "+14155550103"
BODY = {
    "name": "Reminder",
    "message": "Hi {name}",
    "run_at": "2026-12-24T09:00:00",
    "time_zone": "Europe/Berlin",
    "recurrence": "FREQ=DAILY;COUNT=4",
    "holidays": "DE",
    "recipients": [{"to": number, "variables": {"name": name}} for number, name in ((A, "Ada"), (B, "Bob"), (C, "漢"))],
}


def assert_nothing_stored() -> None:
    assert not Schedule.objects.exists()
    assert not ScheduleRecipient.objects.exists()
    assert not Message.objects.exists()


def test_it_tells_runs_texts_and_refusals(api) -> None:
    PhoneNumberFactory(number=A, status=PhoneNumber.Status.INACTIVE)
    Suppression.objects.create(number=B, source="keyword", created_at=NOW)

    response = api.post("schedules/?dry_run=true", BODY)

    assert response.status_code == 200
    body = response.json()
    assert [run["at"] for run in body["runs"]] == ["2026-12-24T09:00:00+01:00", "2026-12-27T09:00:00+01:00"]
    assert [(each["reason"], each["at"][:10]) for each in body["left_out"]] == [
        ("holiday", "2026-12-25"),
        ("holiday", "2026-12-26"),
    ]
    assert (body["queue"], body["recipients"], body["total_segments"]) == ("express", 3, 1)
    assert body["messages"] == [{"to": C, "message": "Hi 漢", "encoding": "ucs2", "segments": 1}]
    assert {(each["code"], each["verdict"], each["count"]) for each in body["refusals"]} == {
        ("recipient_inactive", "refused", 1),
        ("recipient_opted_out", "refused", 1),
    }
    assert_nothing_stored()


def test_it_agrees_with_the_preview_of_the_schedule_that_is_made(api) -> None:
    dry = api.post("schedules/?dry_run=true", BODY).json()
    made = api.post("schedules/", BODY).json()

    preview = api.get(f"schedules/{made['id']}/preview/").json()
    assert dry == {**preview, "queue": "express", "refusals": []}


def test_what_fails_without_it_fails_with_it(api) -> None:
    wrong = BODY | {"recipients": [A]}

    assert errors_of(api.post("schedules/?dry_run=true", wrong)) == {("recipients.0.name", "missing_variable")}
    assert_problem(api.post("schedules/?dry_run=true", BODY | {"category": "emergency"}), 403, "emergency_not_allowed")
    assert errors_of(api.post("schedules/?dry_run=maybe", BODY)) == {("dry_run", "invalid_choice")}
    assert_nothing_stored()
