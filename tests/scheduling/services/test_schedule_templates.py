"""Schedules whose text is a template: which version each run has, and what happens to recipients that it does not fit."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from messaging.models import Message, MessageTemplate, TemplateVersion
from messaging.policy.template_content import TemplateVariable
from messaging.services.errors import EmergencyNotAllowed, InvalidField, TemplateChanged
from messaging.services.outbound import bulk_insert
from messaging.services.templates import lookup, saving
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import expansion, queries, runs, schedules
from scheduling.services.dry_run import dry_run
from scheduling.services.recipients import Recipient
from scheduling.services.schedules import ScheduleInput
from tests.factories import NOW, QueueFactory, SenderFactory, UserFactory

pytestmark = pytest.mark.django_db
START = NOW + timedelta(hours=1)
NUMBERS = [f"+1415555{number:04}" for number in range(12)]


@pytest.fixture
def owner(db):
    QueueFactory(name="express")
    return UserFactory()


def content(text: str, *names: str, **values) -> saving.TemplateInput:
    variables = [TemplateVariable(name=name, sample="Ada", max_length=10) for name in names]
    texts = text if isinstance(text, dict) else {"en": text}
    return saving.TemplateInput(texts=texts, default_language="en", variables=variables, **values)


def template(owner, text, *names: str, **values) -> TemplateVersion:
    made = saving.create(owner=owner, name="visit", content=content(text, *names, **values), actor=owner, now=NOW)
    lookup.forget()
    return made


def edit(version: TemplateVersion, text, *names: str, **values) -> TemplateVersion:
    made = saving.save(
        newest=version, based_on=version.number, name="visit", content=content(text, *names, **values),
        actor=version.created_by, now=NOW,
    )  # fmt: skip
    lookup.forget()
    return made


def draft(**values) -> ScheduleInput:
    defaults = {
        "name": "Visits", "text": "", "run_at": START, "time_zone": "UTC", "recurrence": None, "queue": None,
        "sender": None, "valid_for": 3600, "template": "visit",
    }  # fmt: skip
    return ScheduleInput(**defaults | values)


def people(**variables: str) -> list[Recipient]:
    return [Recipient(position, number, variables) for position, number in enumerate(NUMBERS)]


def create(owner, recipients, **values) -> Schedule:
    return schedules.create(owner=owner, draft=draft(**values), recipients=recipients, default_queue="express", now=NOW)


def begin(schedule: Schedule) -> ScheduleRun:
    runs.start_due(now=START + timedelta(seconds=1), max_lateness=timedelta(hours=1))
    return ScheduleRun.objects.get(schedule=schedule)


def test_messages_have_the_text_category_and_parameters_of_the_template(owner) -> None:
    version = template(
        owner, {"en": "Hi {name}…", "de": "Hallo {name}…"}, "name",
        category="marketing", parameters={"template_id": "7"}, smart_encoding=True,
    )  # fmt: skip
    schedule = create(owner, people(name="Ada"), language="de-AT")

    run = begin(schedule)
    assert expansion.expand(run.pk, clock=lambda: START) == len(NUMBERS)

    [found] = set(Message.objects.values_list("text", "encoding", "category", "template_id", "template_version"))
    assert found == ("Hallo Ada...", "gsm7", "marketing", version.template_id, 1)
    assert Message.objects.first().parameters == {"template_id": "7"}


def test_an_edit_in_the_middle_of_an_expansion_makes_no_second_version(owner, monkeypatch) -> None:
    """The worker dies after a chunk, the template is edited, and another worker continues."""
    monkeypatch.setattr(bulk_insert, "batch_size", lambda: 5)
    first = template(owner, "Old {name}", "name")
    schedule = create(owner, people(name="Ada"))
    run = begin(schedule)
    expansion.expand_chunk(run.pk, now=START)
    edit(first, "New {name}", "name", category="marketing")

    later = START + expansion.LEASE + timedelta(seconds=1)
    expansion.expand(run.pk, clock=lambda: later)

    assert Message.objects.count() == len(NUMBERS)
    assert set(Message.objects.values_list("text", "category", "template_version")) == {("Old Ada", "transactional", 1)}
    run.refresh_from_db()
    assert (run.template_version, run.created_messages) == (1, len(NUMBERS))


def test_an_edit_before_the_run_counts(owner) -> None:
    first = template(owner, "Old {name}", "name")
    schedule = create(owner, people(name="Ada"))
    edit(first, "New {name}", "name")

    run = begin(schedule)
    expansion.expand(run.pk, clock=lambda: START)

    assert set(Message.objects.values_list("text", "template_version")) == {("New Ada", 2)}


def test_an_archived_template_is_used_by_its_schedules_and_by_no_new_one(owner) -> None:
    template(owner, "Hi")
    schedule = create(owner, people())
    MessageTemplate.objects.update(archived_at=NOW)
    lookup.forget()

    expansion.expand(begin(schedule).pk, clock=lambda: START)

    assert Message.objects.count() == len(NUMBERS)
    with pytest.raises(InvalidField) as caught:
        create(owner, people())
    assert (caught.value.field, caught.value.field_code) == ("template", "unknown_template")


def test_recipients_without_a_new_variable_get_nothing_and_are_counted(owner) -> None:
    first = template(owner, "Hi {name}", "name")
    recipients = [Recipient(0, NUMBERS[0], {"name": "Ada"}), Recipient(1, NUMBERS[1], {"name": "Eve", "time": "10:00"})]
    recipients.append(Recipient(2, NUMBERS[2], {"name": "A name that is too long", "time": "10:00"}))
    schedule = create(owner, recipients[:2])
    assert queries.rendered_sample(schedule)[0][0].text == "Hi Ada"
    edit(first, "Hi {name}, at {time}", "name", "time")

    sample, total = queries.rendered_sample(Schedule.objects.get())
    run = begin(schedule)
    expansion.expand(run.pk, clock=lambda: START)

    assert ([each.text for each in sample], total) == (["Hi Eve, at 10:00"], 1)
    assert list(Message.objects.values_list("text", flat=True)) == ["Hi Eve, at 10:00"]
    run.refresh_from_db()
    assert (run.created_messages, run.skipped_invalid) == (1, 1)
    found = dry_run(owner=owner, draft=draft(), recipients=recipients[1:], default_queue="express", now=NOW)
    assert [(each.code, each.count) for each in found.refusals] == [("invalid_variables", 1)]


def test_a_list_is_checked_against_the_newest_version(owner) -> None:
    first = template(owner, "Hi {name}", "name")
    with pytest.raises(InvalidField) as caught:
        create(owner, people())
    assert caught.value.field == "recipients.0.name"

    schedule = create(owner, [])
    edit(first, "Hi {name}, at {time}", "name", "time")
    with pytest.raises(InvalidField):
        schedules.change(schedule_id=schedule.pk, owner=owner, changes={"recipients": people(name="Ada")}, now=NOW)


def test_without_a_sender_and_a_pool_a_run_has_the_owners_default(owner) -> None:
    """A schedule that was created while its queue had a pool has no sender of its own."""
    SenderFactory(number="+15005550007", owner=None, is_default=True)
    schedule = create(owner, people(), template=None, text="Hi")
    Schedule.objects.update(from_number="")
    SenderFactory(number="+15005550008", owner=owner, is_default=True)

    expansion.expand(begin(schedule).pk, clock=lambda: START)

    assert set(Message.objects.values_list("from_number", flat=True)) == {"+15005550008"}


class TestChange:
    def test_another_text_replaces_the_template_and_the_same_does_not(self, owner) -> None:
        first = template(owner, "Hi {name}", "name")
        schedule = create(owner, people(name="Ada"))
        edit(first, "Dear {name}", "name")

        same = schedules.change(schedule_id=schedule.pk, owner=owner, changes={"text": "Dear {name}"}, now=NOW)
        assert same.template_id == first.template_id
        other = schedules.change(schedule_id=schedule.pk, owner=owner, changes={"text": "Bye {name}"}, now=NOW)
        assert (other.template, other.language, other.text) == (None, "", "Bye {name}")

    def test_a_template_replaces_the_text(self, owner) -> None:
        template(owner, {"en": "Hi", "fr": "Salut"}, category="marketing")
        schedule = create(owner, people(), template=None, text="Own text")

        changes = {"template": "visit", "language": "fr"}
        changed = schedules.change(schedule_id=schedule.pk, owner=owner, changes=changes, now=NOW)

        assert (changed.text, changed.category) == ("Salut", "marketing")
        for name in ("category", "parameters"):
            with pytest.raises(InvalidField) as caught:
                schedules.change(schedule_id=schedule.pk, owner=owner, changes={name: "otp"}, now=NOW)
            assert caught.value.field_code == "of_the_template"

    def test_a_template_makes_no_emergency_without_the_permission(self, owner) -> None:
        first = template(owner, "Hi")
        schedule = create(owner, people())
        edit(first, "Fire!", category="emergency")

        expansion.expand(begin(schedule).pk, clock=lambda: START)

        assert set(Message.objects.values_list("text", "category")) == {("Fire!", "transactional")}
        with pytest.raises(EmergencyNotAllowed):
            create(owner, people())


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_save_at_once_one_is_told(owner) -> None:
    first = template(owner, "Hi")
    barrier, outcomes = threading.Barrier(2, timeout=20), []

    def save(text: str) -> None:
        newest = TemplateVersion.objects.select_related("template").get(pk=first.pk)
        barrier.wait()
        try:
            saving.save(newest=newest, based_on=1, name="visit", content=content(text), actor=owner, now=timezone.now())
            outcomes.append("saved")
        except TemplateChanged:
            outcomes.append("changed")
        finally:
            from django.db import connection  # noqa: PLC0415 (this thread's own)

            connection.close()

    threads = [threading.Thread(target=save, args=(text,)) for text in ("One", "Two")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert sorted(outcomes) == ["changed", "saved"]
    assert TemplateVersion.objects.count() == 2
