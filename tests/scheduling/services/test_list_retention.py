"""What becomes of lists that wait too long, of files without a list, of old reports, and of people that are erased."""

import io
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from messaging.services.errors import NotErasable
from scheduling import tasks
from scheduling.list_spool import ListSpool
from scheduling.models import ListImport, Schedule
from scheduling.services import erasure, list_files, list_imports, list_retention
from scheduling.services.list_imports import ListMapping
from tests.factories import NOW
from tests.scheduling.making import A, B, create, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def waiting(owner) -> ListImport:
    return make(owner, f"to\n{A}\nnobody\n")


def make(owner, content: str) -> ListImport:
    schedule, mapping = create(owner, recipient_list(B)), ListMapping()
    with ListSpool() as spool:
        checked = list_imports.check(
            io.BytesIO(content.encode()), mapping=mapping, text="Hi", schedule_id=schedule.pk, spool=spool
        )
    found = list_imports.begin(
        schedule=schedule,
        actor=owner,
        file_name="people.csv",
        mapping=mapping,
        row_offset=0,
        checked=checked,
        is_new=False,
        now=NOW,
    )
    list_files.put(found.pk, io.BytesIO(content.encode()))
    return found


def status(found: ListImport) -> str:
    return ListImport.objects.get(pk=found.pk).status


class TestSweep:
    @pytest.mark.parametrize(("hours", "expected"), [(23, "checked"), (24, "discarded")])
    def test_a_list_waits_for_a_day(self, waiting, django_capture_on_commit_callbacks, hours: int, expected: str):
        with django_capture_on_commit_callbacks(execute=True):
            list_retention.sweep(now=NOW + timedelta(hours=hours))

        assert status(waiting) == expected
        assert list(list_files.stored_ids()) == ([waiting.pk] if expected == "checked" else [])

    def test_it_does_not_wait_for_what_is_erased_beside_it(self, waiting, monkeypatch) -> None:
        def fail(**_options) -> None:
            raise RuntimeError

        monkeypatch.setattr(tasks.retention, "erase_expired", fail)
        monkeypatch.setattr(tasks.timezone, "now", lambda: NOW + timedelta(hours=24))

        with pytest.raises(RuntimeError):
            tasks.retain()

        assert status(waiting) == "discarded"

    def test_one_that_is_being_saved_is_left_alone(self, waiting) -> None:
        late = NOW + timedelta(days=2)
        ListImport.objects.update(saving_until=late + timedelta(seconds=1))

        list_retention.sweep(now=late)

        assert status(waiting) == "checked"

    @pytest.mark.parametrize("kind", ["deleted schedule", "saved", "no row"])
    def test_a_file_without_a_waiting_list_is_removed_after_an_hour(self, waiting, kind: str) -> None:
        list_id = waiting.pk
        if kind == "deleted schedule":
            Schedule.objects.all().delete()
        elif kind == "saved":
            ListImport.objects.update(status="saved")
        else:
            list_files.remove(list_id)
            list_files.put(list_id := uuid7(), io.BytesIO(b"to\n"))
            ListImport.objects.all().delete()
        made = list_files.made_at(list_id)

        list_retention.sweep(now=made + timedelta(minutes=59))
        assert list(list_files.stored_ids()) == [list_id]
        list_retention.sweep(now=made + timedelta(minutes=60))
        assert list(list_files.stored_ids()) == []

    @pytest.mark.parametrize(("text_days", "kept"), [(0, 30), (7, 7)])
    def test_refused_rows_and_file_names_are_forgotten(self, waiting, settings, text_days: int, kept: int) -> None:
        settings.RETENTION_TEXT_DAYS = text_days
        ListImport.objects.update(status="saved")

        list_retention.sweep(now=NOW + timedelta(days=kept, seconds=-1))
        assert len(ListImport.objects.get().refusals) == 1
        list_retention.sweep(now=NOW + timedelta(days=kept))

        found = ListImport.objects.get()
        assert (found.file_name, found.refusals, found.refused, found.taken) == ("", [], 1, 1)


class TestErasure:
    def test_lists_that_may_have_the_number_are_discarded(self, owner, waiting) -> None:
        other = make(owner, f"to\n{B}\n")

        erasure.erase(number=A, reason="asked", actor=owner, now=NOW)

        assert (status(waiting), status(other)) == ("discarded", "checked")

    def test_a_list_that_cannot_be_read_is_discarded(self, owner, waiting) -> None:
        list_files.remove(waiting.pk)

        erasure.erase(number=A, reason="asked", actor=owner, now=NOW)

        assert status(waiting) == "discarded"

    def test_while_it_is_being_saved_nothing_is_erased(self, owner, waiting) -> None:
        ListImport.objects.update(saving_until=NOW + timedelta(seconds=1))
        listed = create(owner, recipient_list(A))

        with pytest.raises(NotErasable):
            erasure.erase(number=A, reason="asked", actor=owner, now=NOW)

        assert status(waiting) == "checked"
        assert listed.recipients.count() == 1
