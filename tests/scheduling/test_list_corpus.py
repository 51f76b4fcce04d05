"""The corpus of lists gives the same outcome over the API and in the console."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from scheduling.models import ListImport, Schedule, ScheduleRecipient
from scheduling.services import list_imports
from scheduling.services.list_imports import ABOUT_COLUMNS
from tests.messaging.api.conftest import Api, errors_of
from tests.scheduling.list_corpus import CORPUS, ListFile
from tests.scheduling.making import create
from tests.scheduling.test_admin import add, admin, clock, errors, user

__all__ = ["admin", "clock", "user"]
pytestmark = pytest.mark.usefixtures("express")
each_file = pytest.mark.parametrize("case", CORPUS.values(), ids=CORPUS)


def uploaded(case: ListFile) -> SimpleUploadedFile:
    return SimpleUploadedFile("people.csv", case.content, "text/csv")


def listed(case: ListFile) -> list[tuple[str, str]]:
    name = case.text.partition("{")[2].rstrip("}")
    rows = ScheduleRecipient.objects.order_by("pk").values_list("number", "variables")
    return [(number, variables[name]) for number, variables in rows]


def test_there_are_thirty_and_more() -> None:
    assert len(CORPUS) >= 30


@each_file
def test_over_the_api(user, case: ListFile) -> None:
    schedule = create(user, 0, text=case.text)
    query = f"?to_column={case.to_column}&default_country={case.country}"
    form = encode_multipart(BOUNDARY, {"file": uploaded(case)})

    response = Api(user).post(f"schedules/{schedule.pk}/recipients/{query}", data=form, content_type=MULTIPART_CONTENT)

    assert listed(case) == case.taken
    if case.code:
        assert errors_of(response) == {("file", case.code)}
        return
    body = response.json()
    assert [(error["row"], error["code"]) for error in body["errors"]] == case.refused
    assert [(note["row"], note["code"]) for note in body["notes"]] == case.notes


@each_file
def test_in_the_console(admin: Client, clock, case: ListFile) -> None:
    response = add(
        admin, text=case.text, pasted="", file=uploaded(case), to_column=case.to_column, country=case.country
    )

    if case.code and case.code not in ABOUT_COLUMNS:
        assert set(errors(response)) == {"file"}
        assert not Schedule.objects.exists()
        return
    found = ListImport.objects.get()
    if case.code:
        assert (found.status, found.problem != "", listed(case)) == ("checked", True, [])
        return
    if case.refused:
        assert (found.status, found.taken, listed(case)) == ("checked", len(case.taken), [])
        if case.taken:
            list_imports.save(list_id=found.pk, actor=found.actor, clock=clock)
    assert listed(case) == case.taken
    assert [(row, code) for row, _field, code, _detail in ListImport.objects.get().refusals] == case.refused
    assert Schedule.objects.get().status == ("active" if case.taken else "paused")
