"""Recipients and texts of ended schedules are erased by the retention rules of messages."""

from datetime import timedelta

import pytest

from messaging.models import RetentionRule
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.services import retention
from tests.factories import NOW, QueueFactory, UserFactory
from tests.scheduling.making import A, B, create, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def ended():
    """Creates schedules that ended this many days before `NOW`."""

    def make(days: float, *, status: str = "completed", owner=None, **values) -> Schedule:
        schedule = create(
            owner or UserFactory(),
            recipient_list((A, {"name": "Ada"}), (B, {"name": "Bob"})),
            text="Hi {name}",
            **values,
        )
        moment = NOW - timedelta(days=days)
        Schedule.objects.filter(pk=schedule.pk).update(
            status=status,
            updated_at=moment,
            **({"next_wall": "", "next_run_at": None} if status in retention.ENDED else {}),
        )
        return schedule

    return make


def take(chunks: int = 100) -> int:
    return retention.erase_expired(now=NOW, chunks=chunks)


def holds(schedule: Schedule) -> tuple[str, list[dict], int]:
    """Return the text, the variables, and the original number of recipients."""
    schedule.refresh_from_db()
    return schedule.text, [person.variables for person in schedule.recipients.all()], schedule.recipient_count


WHOLE = ("Hi {name}", [{"name": "Ada"}, {"name": "Bob"}], 2)


def test_nothing_goes_without_rules(ended) -> None:
    schedule = ended(3000)

    assert take() == 0
    assert holds(schedule) == WHOLE


def test_the_parameters_go_with_the_text(settings, ended) -> None:
    settings.RETENTION_TEXT_DAYS = 30
    kept, schedule = (ended(days, parameters={"template_id": "1107"}) for days in (29, 31))

    assert take() == 1

    schedule.refresh_from_db()
    kept.refresh_from_db()
    assert (schedule.parameters, kept.parameters) == (None, {"template_id": "1107"})


@pytest.mark.parametrize("status", ["completed", "canceled"])
def test_texts_and_variables_go_first_and_the_list_later(settings, ended, status: str) -> None:
    settings.RETENTION_TEXT_DAYS, settings.RETENTION_ROW_DAYS = 30, 365
    young, old, ancient = (ended(days, status=status) for days in (29, 31, 366))

    assert take() == 3  # text and list of the oldest count separately

    assert holds(young) == WHOLE
    assert holds(old) == ("", [{}, {}], 2)
    assert holds(ancient) == ("", [], 2)
    assert take() == 0


@pytest.mark.parametrize("status", ["active", "paused"])
def test_what_has_not_ended_stays(settings, ended, status: str) -> None:
    settings.RETENTION_TEXT_DAYS = settings.RETENTION_ROW_DAYS = 1
    schedule = ended(300, status=status)

    assert take() == 0
    assert holds(schedule) == WHOLE


def test_the_most_special_rule_counts(settings, ended) -> None:
    settings.RETENTION_TEXT_DAYS = 30
    special, codes = UserFactory(), QueueFactory(name="codes")
    RetentionRule.objects.create(queue=codes, text_days=1)
    RetentionRule.objects.create(owner=special, text_days=100)
    kept = [ended(99, owner=special), ended(29), ended(0.5, queue="codes")]
    faded = [ended(101, owner=special), ended(2, queue="codes")]

    assert take() == 2

    assert [holds(schedule) for schedule in kept] == [WHOLE] * 3
    assert {holds(schedule)[0] for schedule in faded} == {""}


def test_a_long_list_is_erased_in_chunks_over_several_calls(settings, ended, monkeypatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 1)
    settings.RETENTION_ROW_DAYS = 1
    schedule = ended(2)

    assert [take(chunks=2) for _ in range(4)] == [0, 1, 1, 0]

    assert holds(schedule) == ("", [], 2)
    assert not ScheduleRecipient.objects.exists()
