"""Staff see the rows of all owners, but texts only with the permission, in the API as in the console."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission

from messaging.services.representation import HIDDEN
from tests.factories import MessageFactory, PhoneNumberFactory, UserFactory
from tests.messaging.api.conftest import Api
from tests.scheduling.making import create, due_run, expand_all, recipient_list

SECRET = "Your code is 471100"
PERSON = "+14155550101"
LOOKING = ("view_message", "view_schedule", "view_phonenumber")
ACTING = (*LOOKING, "change_message", "retry_message", "change_schedule")


@pytest.fixture
def staff_with(installed):
    def make(*codenames: str) -> Api:
        user = UserFactory(is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
        return Api(user)

    return make


@pytest.fixture
def pages(api) -> dict[str, int]:
    """All that shows texts of one client's messages and schedules, and how many of them."""
    PhoneNumberFactory._meta.model.objects.get_or_create(number=PERSON)
    message = MessageFactory(owner=api.user, text=SECRET, to_number=PERSON)
    MessageFactory(owner=api.user, text=SECRET, inbound=True, from_number=PERSON)
    schedule = due_run(api.user, recipient_list((PERSON, {"code": "471100"})), text="Your code is {code}").schedule
    expand_all()
    return {
        "messages/": 3,
        "messages/?cursor=": 3,
        f"messages/?search=%2B{PERSON[1:5]}": 3,
        f"messages/{message.pk}/": 1,
        f"messages/{message.pk}/events/": 0,
        f"messages/{message.pk}/media/": 0,
        f"phone-numbers/%2B{PERSON[1:]}/messages/": 3,
        "schedules/": 1,
        "schedules/?include=messages": 2,
        f"schedules/{schedule.pk}/": 1,
        f"schedules/{schedule.pk}/?include=messages": 2,
        f"schedules/{schedule.pk}/messages/": 1,
        f"schedules/{schedule.pk}/preview/": 1,
    }


def read(client: Api, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_without_the_permission_every_text_is_the_same_mask(pages, staff_with) -> None:
    client = staff_with(*LOOKING)

    seen = {path: read(client, path) for path in pages}

    assert {path: text.count(f'"message":"{HIDDEN}"') for path, text in seen.items()} == pages
    assert [path for path, text in seen.items() if "471100" in text or "Your code" in text] == []


def test_with_the_permission_texts_are_shown(pages, staff_with) -> None:
    client = staff_with(*LOOKING, "view_text")

    assert {path: read(client, path).count('"message":"Your code is ') for path in pages} == pages


def test_owners_read_their_texts_without_the_permission(pages, api) -> None:
    assert {path: read(api, path).count('"message":"Your code is ') for path in pages} == pages


def test_staff_read_their_own_texts(staff_with) -> None:
    client = staff_with(*LOOKING)
    MessageFactory(owner=client.user, text=SECRET)

    assert client.get("messages/").json()["results"][0]["message"] == SECRET


def test_a_message_without_an_owner_is_masked(staff_with) -> None:
    MessageFactory(owner=None, text=SECRET, inbound=True)

    assert staff_with(*LOOKING).get("messages/").json()["results"][0]["message"] == HIDDEN


def test_the_response_to_an_action_masks_the_text_too(api, staff_with) -> None:
    client = staff_with(*ACTING)
    waiting = MessageFactory(owner=api.user, text=SECRET)
    failed = MessageFactory(owner=api.user, text=SECRET, status="failed")
    schedule = create(api.user, recipient_list((PERSON, {})), text=SECRET, run_at=datetime(2126, 12, 1, 9, tzinfo=UTC))
    acts = [
        ("POST", f"messages/{waiting.pk}/cancel/", {}),
        ("POST", f"messages/{failed.pk}/retry/", {"reason": "asked to"}),
        ("PATCH", f"schedules/{schedule.pk}/", {"name": "Other"}),
        ("POST", f"schedules/{schedule.pk}/pause/", {}),
        ("POST", f"schedules/{schedule.pk}/resume/", {}),
        ("POST", f"schedules/{schedule.pk}/cancel/", {}),
    ]

    answers = [client(method, path, body) for method, path, body in acts]

    assert [(answer.status_code, answer.json()["message"]) for answer in answers] == [(200, HIDDEN)] * 6


def test_the_permission_check_costs_the_same_for_one_row_and_for_five(
    api, staff_with, django_assert_max_num_queries
) -> None:
    client = staff_with(*LOOKING)
    costs = []
    for more in (1, 4):
        MessageFactory.create_batch(more, owner=api.user)
        with django_assert_max_num_queries(20) as queries:
            client.get("messages/")
        costs.append(len(queries))

    assert costs[0] == costs[1]
