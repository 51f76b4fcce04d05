"""The `error` of a waiting message: in the detail, in lists, and with a conditional request."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import Message
from tests.factories import MessageFactory

PERSON = "+14155550101"


@pytest.fixture
def send(api):
    def send(to: str = PERSON, **values) -> Message:
        now = timezone.now()
        return MessageFactory(**{"owner": api.user, "to_number": to, "created_at": now, "updated_at": now, **values})

    return send


def test_a_message_behind_an_older_one_names_it_until_it_is_sent(api, send) -> None:
    due = timezone.now() + timedelta(seconds=9)
    older = send(next_attempt_at=due, error_code="provider_unavailable", error_detail="the provider answered 500")
    message = send()

    first = api.get(f"messages/{message.pk}/")

    detail = f"Waits for the older message {older.pk} to the same number."
    until = f"{due.isoformat().replace('+00:00', 'Z')}."
    assert first.json()["error"] == {
        "code": "waiting_for_message",
        "detail": f"{detail} That one is tried again at {until}",
    }
    assert api.get(f"messages/{message.pk}/", If_None_Match=first["ETag"]).status_code == 304
    error = api.get(f"messages/{older.pk}/").json()["error"]
    assert error == {
        "code": "provider_unavailable",
        "detail": f"the provider answered 500. Next attempt at {until}",
    }
    Message.objects.filter(pk=older.pk).update(status="canceled", next_attempt_at=None)

    then = api.get(f"messages/{message.pk}/", If_None_Match=first["ETag"])

    assert (then.status_code, then.json()["error"]) == (200, None)


@pytest.mark.parametrize("path", ["messages/", "messages/?cursor=", f"phone-numbers/{PERSON}/messages/"])
def test_lists_show_the_same_error_as_the_detail(api, send, path: str) -> None:
    api.post("messages/", {"to": PERSON, "message": "Hi"})  # the person's number is known
    for _ in range(2):
        send()

    rows = api.get(path).json()["results"]

    assert [row["error"] and row["error"]["code"] for row in rows] == [
        "waiting_for_message",
        "waiting_for_message",
        None,
    ]
    assert rows == [api.get(f"messages/{row['id']}/").json() for row in rows]


def test_another_clients_message_is_not_mentioned(api, stranger, send) -> None:
    theirs = send(owner=stranger.user)
    message = send()

    body = api.get(f"messages/{message.pk}/").json()

    assert body["error"]["code"] == "waiting_for_turn"
    assert str(theirs.pk) not in str(body)


def test_the_cost_does_not_grow_with_the_waiting_messages(api, send) -> None:
    costs = []
    send()
    for count in (1, 5):
        for _ in range(count):
            send()
        with CaptureQueriesContext(connection) as queries:
            api.get("messages/")
        costs.append(len(queries))

    assert costs[0] == costs[1]
