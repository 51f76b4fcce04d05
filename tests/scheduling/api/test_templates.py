"""Schedules of templates, over the API."""

import pytest

from messaging.models import TemplateVersion
from scheduling.models import Schedule
from tests.factories import QueueFactory
from tests.messaging.api.conftest import errors_of

pytestmark = pytest.mark.django_db
VISIT = {
    "name": "visit",
    "texts": {"en": "Hi {name}…", "de": "Hallo {name}…"},
    "default_language": "en",
    "variables": [{"name": "name", "sample": "Ada", "max_length": 10}],
    "category": "marketing",
    "smart_encoding": True,
}
NEW = {
    "name": "Visits",
    "template": "visit",
    "language": "de-AT",
    "run_at": "2999-01-01T09:00:00",
    "recipients": [{"to": "+14155550101", "variables": {"name": "Ada"}}],
}


@pytest.fixture(autouse=True)
def visit(api) -> TemplateVersion:
    QueueFactory(name="express")
    assert api.post("templates/", VISIT).status_code == 201
    return TemplateVersion.objects.get()


def test_a_schedule_tells_its_template_and_the_newest_text(api, visit) -> None:
    response = api.post("schedules/", NEW)

    body = response.json()
    assert (response.status_code, body["template"], body["language"]) == (201, str(visit.template_id), "de-AT")
    assert (body["message"], body["category"]) == ("Hallo {name}…", "marketing")
    sample = api.get(f"schedules/{body['id']}/preview/").json()["messages"]
    assert [(each["message"], each["encoding"]) for each in sample] == [("Hallo Ada...", "gsm7")]

    TemplateVersion.objects.update(texts={"en": "Dear {name}"})
    assert api.get(f"schedules/{body['id']}/").json()["message"] == "Dear {name}"


def test_a_dry_run_has_the_texts_and_stores_nothing(api) -> None:
    body = api.post("schedules/?dry_run=true", NEW).json()

    assert [each["message"] for each in body["messages"]] == ["Hallo Ada..."]
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"message": "Hi"}, ("template", "message_and_template")),
        ({"template": None}, ("message", "required")),
        ({"template": None, "message": "Hi"}, ("language", "without_template")),
        ({"template": "nothing"}, ("template", "unknown_template")),
        ({"category": "otp"}, ("category", "of_the_template")),
        ({"parameters": {"a": "b"}}, ("parameters", "of_the_template")),
        ({"language": "no language"}, ("language", "invalid_language")),
        ({"recipients": ["+14155550101"]}, ("recipients.0.variables", "missing_variable")),
    ],
)
def test_what_does_not_fit_is_refused(api, changes: dict, error: tuple[str, str]) -> None:
    response = api.post("schedules/", {**NEW, **changes})

    assert response.status_code == 400
    assert error[1] in {code for _, code in errors_of(response)}
    assert not Schedule.objects.exists()


def test_a_change_replaces_text_by_template_and_back(api, visit) -> None:
    plain = {name: value for name, value in NEW.items() if name not in {"template", "language"}}
    path = f"schedules/{api.post('schedules/', {**plain, 'message': 'Hi {name}'}).json()['id']}/"

    changed = api("PATCH", path, {"template": "visit"})
    assert (changed.status_code, changed.json()["template"]) == (200, str(visit.template_id))
    changed = api("PATCH", path, {"message": "Bye {name}"})
    assert (changed.status_code, changed.json()["template"], changed.json()["message"]) == (200, None, "Bye {name}")
