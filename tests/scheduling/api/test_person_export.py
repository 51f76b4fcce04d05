"""GET /phone-numbers/{number}/export/."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from tests.factories import MessageFactory, PhoneNumberFactory, UserFactory
from tests.messaging.api.conftest import Api, assert_problem

PERSON = "+14155550101"
pytestmark = pytest.mark.django_db


def reader(*, is_staff: bool = True, may: bool = True):
    user = UserFactory(is_staff=is_staff)
    names = ["view_phonenumber", *(["export_number"] if may else [])]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    return user


@pytest.mark.parametrize("written", [PERSON, "%2B14155550101", "14155550101"])
def test_staff_with_the_permission_download_all_that_is_kept(written: str) -> None:
    MessageFactory(delivered=True, to_number=PERSON)
    user = reader()

    response = Api(user).get(f"phone-numbers/{written}/export/")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Disposition"] == 'attachment; filename="person-14155550101.json"'
    assert response.headers["Cache-Control"] == "no-store"
    document = json.loads(b"".join(response.streaming_content))
    assert (document["number"], document["messages"][0]["message"]) == (PERSON, "Your code is 123456")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (user, PERSON)


@pytest.mark.parametrize("who", [{"is_staff": False}, {"may": False}])
def test_others_may_not(who: dict) -> None:
    assert_problem(Api(reader(**who)).get(f"phone-numbers/{PERSON}/export/"), 403, "permission_denied")

    assert not LogEntry.objects.exists()


def test_what_is_no_number_does_not_exist() -> None:
    assert_problem(Api(reader()).get("phone-numbers/12/export/"), 404, "not_found")

    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("may", [True, False])
def test_the_page_of_a_number_has_the_button_for_those_who_may(may: bool) -> None:
    PhoneNumberFactory(number=PERSON)
    client = Client()
    client.force_login(reader(may=may))

    page = client.get("/admin/messaging/phonenumber/%2B14155550101/change/").content.decode()

    assert ("/api/v1/phone-numbers/+14155550101/export/" in page or "%2B14155550101/export/" in page) == may
