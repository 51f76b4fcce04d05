"""Templates: their checks, versions and owners, and messages made from them."""

from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import Message, MessageTemplate, TemplateVersion
from messaging.services.errors import TemplateChanged
from messaging.services.templates import lookup, saving
from messaging.services.templates.rendering import render
from messaging.services.templates.saving import TemplateInput
from tests.messaging.api.conftest import assert_problem, errors_of

PERSON = "+14155550101"
GREETING = {
    "name": "greeting",
    "texts": {"en": "Hi {name}", "pt-BR": "Oi {name}"},
    "default_language": "en",
    "variables": [{"name": "name", "sample": "Ada", "max_length": 10}],
}


@pytest.fixture(autouse=True)
def _nothing_remembered():
    lookup.forget()


def create(api, **changes) -> dict:
    response = api.post("templates/", {**GREETING, **changes})
    assert response.status_code == 201, response.json()
    return response.json()


def send(api, **changes):
    return api.post("messages/", {"to": PERSON, "template": "greeting", "variables": {"name": "Eve"}, **changes})


def test_a_template_is_stored_and_read(api) -> None:
    body = create(api)

    assert api.get(f"templates/{body['id']}/").json() == body
    assert (body["version"], body["shared"], body["warnings"]) == (1, False, [])
    assert body["sizes"][0] == {
        "language": "en", "encoding": "gsm7", "segments": 1, "segments_at_most": 1, "not_gsm7": ""
    }  # fmt: skip
    assert [each["id"] for each in api.get("templates/").json()["results"]] == [body["id"]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"texts": {"en": "Hi {name"}}, {("texts.en", "invalid_placeholder")}),
        ({"texts": {"en": "Hi {name} {other}"}}, {("texts.en", "unknown_variable")}),
        ({"texts": {"en": "Hi {name}", "de": "Hallo"}}, {("texts.de", "different_variables")}),
        ({"texts": {"de": "Hallo {name}"}}, {("default_language", "no_text")}),
        ({"texts": {"en": "Hi"}}, {("variables.name", "unused_variable")}),
        ({"texts": {"en": "{name}" + "é€" * 700}}, {("texts.en", "too_long")}),
        ({"texts": {"not a tag": "Hi {name}"}}, {("texts", "invalid_language")}),
    ],
)
def test_what_cannot_be_sent_is_not_saved(api, changes, expected) -> None:
    assert errors_of(api.post("templates/", {**GREETING, **changes})) == expected
    assert not MessageTemplate.objects.exists()


def test_a_name_is_used_once_until_it_is_archived(api) -> None:
    first = create(api)
    assert_problem(api.post("templates/", GREETING), 409, "name_taken")

    assert api("DELETE", f"templates/{first['id']}/").status_code == 204

    assert create(api)["id"] != first["id"]


def test_a_change_makes_a_version_and_the_second_author_gets_a_conflict(api) -> None:
    path = f"templates/{create(api)['id']}/"

    changed = api("PATCH", path, {"version": 1, "texts": {"en": "Hello {name}"}})
    late = api("PATCH", path, {"version": 1, "texts": {"en": "Hey {name}"}})

    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert_problem(late, 409, "template_changed")
    texts = [each["texts"]["en"] for each in api.get(f"{path}versions/").json()["results"]]
    assert texts == ["Hello {name}", "Hi {name}"]


def test_a_template_of_another_owner_is_not_found_and_not_usable(api, django_user_model) -> None:
    body = create(api)
    MessageTemplate.objects.update(owner=django_user_model.objects.create_user("other"))
    lookup.forget()

    assert api.get(f"templates/{body['id']}/").status_code == 404
    assert api("PATCH", f"templates/{body['id']}/", {"version": 1}).status_code == 404
    assert errors_of(send(api)) == {("template", "unknown_template")}
    assert errors_of(send(api, template=body["id"])) == {("template", "unknown_template")}


def test_a_template_for_everybody_is_used_by_all_and_changed_by_staff(api) -> None:
    assert api.post("templates/", {**GREETING, "shared": True}).status_code == 403
    body = create(api)
    MessageTemplate.objects.update(owner=None)
    lookup.forget()

    assert api.get(f"templates/{body['id']}/").json()["shared"] is True
    assert api("PATCH", f"templates/{body['id']}/", {"version": 1}).status_code == 403
    assert api("DELETE", f"templates/{body['id']}/").status_code == 403
    assert send(api).status_code == 202


def test_staff_make_templates_for_everybody(api, installed) -> None:
    api.user.is_staff = True
    api.user.save()

    body = create(api, shared=True)

    assert body["shared"] is True
    assert MessageTemplate.objects.get().owner is None


def test_a_list_takes_the_same_number_of_queries_for_any_number_of_templates(api) -> None:
    counts = []
    for number in range(5):
        create(api, name=f"greeting {number}")
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get("templates/").json()["results"]) == number + 1
        counts.append(len(queries))

    assert len(set(counts)) == 1


def test_a_version_saved_after_the_newest_was_read_is_not_overwritten(api) -> None:
    create(api)
    read = TemplateVersion.objects.select_related("template").get()
    content = TemplateInput({"en": "Hello {name}"}, "en", read.variable_list())
    save = partial(saving.save, newest=read, based_on=1, name="greeting", actor=api.user, now=timezone.now())
    save(content=content)
    stale = TemplateVersion.objects.select_related("template").get(number=1)

    with pytest.raises(TemplateChanged):
        save(newest=stale, content=content)

    with pytest.raises(TemplateChanged):
        save(newest=stale, based_on=2, content=content)
    assert TemplateVersion.objects.count() == 2


def test_the_positions_of_a_value_are_those_in_the_text_that_is_sent(api) -> None:
    create(api, smart_encoding=True, texts={"en": "\u2026 {{{name}}} \u2026 {name}"})
    version = TemplateVersion.objects.get()

    plain = render(version, "", {"name": "123"}, smart_encoding=False)
    smart = render(version, "fr", {"name": "123"})

    assert smart.text == "... {123} ... 123"
    for rendered in (plain, smart):
        assert [rendered.text[begin:end] for begin, end in rendered.positions["name"]] == ["123", "123"]


def test_a_message_keeps_the_version_that_made_it(api) -> None:
    body = create(api, category="otp", parameters={"entity_id": "7"})

    first = send(api, language="pt-BR").json()
    lookup.forget()
    api("PATCH", f"templates/{body['id']}/", {"version": 1, "texts": {"en": "Hello {name}"}})
    lookup.forget()
    second = send(api, template=body["id"], language="pt", category="transactional").json()

    assert (first["message"], first["template"], first["template_version"]) == ("Oi Eve", body["id"], 1)
    assert (first["category"], first["parameters"]) == ("otp", {"entity_id": "7"})
    assert (second["message"], second["template_version"], second["category"]) == ("Hello Eve", 2, "transactional")
    stored = Message.objects.order_by("pk").values_list("text", "template_version")
    assert list(stored) == [("Oi Eve", 1), ("Hello Eve", 2)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"variables": {}}, {("variables.name", "missing_variable")}),
        ({"variables": {"name": "x" * 11}}, {("variables.name", "too_long")}),
        ({"message": "Hi"}, {("template", "message_and_template")}),
        ({"template": None}, {("message", "required")}),
        ({"template": None, "message": "Hi"}, {("variables", "without_template")}),
        ({"language": "not a tag"}, {("language", "invalid_language")}),
    ],
)
def test_an_invalid_use_is_400_and_stores_nothing(api, changes, expected) -> None:
    create(api)

    assert errors_of(send(api, **changes)) == expected
    assert not Message.objects.exists()


def test_a_repeat_after_an_edit_and_after_archiving_returns_the_first_response(api) -> None:
    body = create(api)
    request = {"to": PERSON, "template": "greeting", "variables": {"name": "Eve"}}
    first = api.post("messages/", request, Idempotency_Key="1")
    api("PATCH", f"templates/{body['id']}/", {"version": 1, "texts": {"en": "Hello {name}"}})
    api("DELETE", f"templates/{body['id']}/")
    lookup.forget()

    again = api.post("messages/", request, Idempotency_Key="1")

    assert (again.status_code, again.json()) == (202, first.json())
    assert Message.objects.count() == 1


def test_a_batch_reports_the_item_without_a_variable(api) -> None:
    create(api)
    items = [{"to": PERSON, "template": "greeting", "variables": each} for each in ({"name": "Eve"}, {})]

    body = api.post("messages/batch/", {"messages": items}).json()

    assert (body["accepted"], body["rejected"]) == (1, 1)
    assert body["results"][1]["error"]["errors"][0]["field"] == "variables.name"
    assert Message.objects.get().text == "Hi Eve"


def test_a_dry_run_tells_what_smart_encoding_saves(api) -> None:
    text = "\u201c" + "x" * 100

    off = api.post("messages/?dry_run=true", {"to": PERSON, "message": text}).json()
    on = api.post("messages/?dry_run=true", {"to": PERSON, "message": text, "smart_encoding": True}).json()

    assert (off["encoding"], off["segments"], off["smart_encoding"]) == ("ucs2", 2, {"segments": 1, "saved": 1})
    assert (on["encoding"], on["segments"], on["smart_encoding"]) == ("gsm7", 1, {"segments": 1, "saved": 0})


def test_the_message_may_refuse_the_smart_encoding_of_its_template(api, settings) -> None:
    create(api, smart_encoding=True, texts={"en": "\u201cHi\u201d {name}"})

    assert send(api).json()["message"] == '"Hi" Eve'
    assert send(api, smart_encoding=False).json()["message"] == "\u201cHi\u201d Eve"

    settings.SMART_ENCODING_DEFAULT = True
    assert api.post("messages/", {"to": PERSON, "message": "\u201cHi\u201d"}).json()["message"] == '"Hi"'


def test_a_preview_shows_samples_where_a_value_is_missing(api) -> None:
    path = f"templates/{create(api)['id']}/preview/"

    assert api.post(path, {"language": "pt-PT"}).json()["text"] == "Hi Ada"
    assert api.post(path, {"variables": {"name": "{x}"}, "language": "pt-br"}).json()["text"] == "Oi {x}"
    assert TemplateVersion.objects.count() == 1
