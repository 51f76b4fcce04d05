"""The live API: permissions, events, resuming and refusals."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.test import Client

from config.live import LiveHandler
from messaging.live import pubsub
from messaging.models import Message
from messaging.services import events as client_events
from messaging.services.representation import HIDDEN, serialize_message
from messaging.services.webhooks import event_log
from tests.factories import NOW, ClientEventFactory, MessageFactory, UserFactory, make_token
from tests.messaging.api.conftest import PROBLEM_KEYS, Api, assert_problem
from tests.messaging.live.serving import Connection, eventually, happen, served

pytestmark = pytest.mark.django_db(transaction=True)


def problem_of(connection: Connection, status: int, code: str, body: dict[str, Any]) -> dict[str, Any]:
    assert connection.status == status, connection.body
    assert connection.headers["content-type"] == "application/problem+json"
    assert set(body) == PROBLEM_KEYS | ({"errors"} if status == 400 else set())
    assert (body["status"], body["code"]) == (status, code)
    return body


def refused(path: str, status: int, code: str, **options: Any) -> dict[str, Any]:
    """Return the problem response to a request for this path."""

    async def act(handler: LiveHandler) -> dict[str, Any]:
        async with Connection(handler, path, **options) as connection:
            return problem_of(connection, status, code, await connection.json())

    return served(act)


# --- The stream of all events -----------------------------------------------------------------------------------------


def test_events_are_streamed_with_the_body_of_a_callback(api: Api) -> None:
    async def act(handler: LiveHandler) -> Connection:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(happen, api.user)
            await connection.events(1)
        return connection

    connection = served(act)

    event = event_log.ClientEvent.objects.get()
    body = client_events.body(event, Message.objects.get())
    [told] = connection.data_blocks
    assert told["id"] == str(event.sequence)
    assert told["event"] == "message.delivered"
    assert json.loads(told["data"]) == body
    assert connection.status == 200
    assert connection.headers["content-type"] == "text/event-stream"
    assert connection.headers["cache-control"] == "no-store"
    assert connection.headers["x-accel-buffering"] == "no"
    assert connection.headers["x-content-type-options"] == "nosniff"
    assert connection.headers["content-security-policy"]
    assert connection.headers["x-request-id"]
    assert "content-length" not in connection.headers


def test_a_stream_starts_with_new_events_and_sends_its_position(api: Api) -> None:
    [before] = happen(api.user)

    async def act(handler: LiveHandler) -> tuple[list[dict], list[dict]]:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(happen, api.user)
            return connection.blocks[:1], await connection.events(1)

    [opening], [event] = served(act)

    assert opening == {"retry": "2000", "id": str(before)}
    assert event["sequence"] > before


@pytest.mark.parametrize("read", [0, 1, 249, 250])
def test_a_stream_resumes_after_the_last_event_received(api: Api, read: int) -> None:
    numbers = [0, *happen(api.user, 250)]

    async def act(handler: LiveHandler) -> list[int]:
        headers = {"Last_Event_ID": str(numbers[read])}
        async with Connection(handler, "events/", token=api.token, **headers) as connection:
            await connection.events(250 - read)
            [last] = await handler.threads.run(happen, api.user)
            await connection.events(251 - read)
            assert int(connection.data_blocks[-1]["id"]) == last
            return [int(block["id"]) for block in connection.data_blocks[:-1]]

    assert served(act) == numbers[read + 1 :]


def test_a_stream_has_no_events_of_other_owners(api: Api, stranger: Api) -> None:
    happen(stranger.user)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", token=api.token, Last_Event_ID="0") as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(happen, stranger.user, 3)
            await handler.threads.run(happen, api.user)
            return await connection.events(1) + connection.data_blocks[1:]

    [event] = served(act)

    assert Message.objects.get(pk=event["data"]["id"]).owner == api.user


def test_staff_can_stream_their_own_events(api: Api, staff: Api) -> None:
    [number] = happen(staff.user)
    happen(api.user)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", token=staff.token, Last_Event_ID="0") as connection:
            return await connection.events(1)

    [event] = served(act)

    assert event["sequence"] == number


def test_an_event_whose_message_was_erased_is_left_out(api: Api) -> None:
    first, second = happen(api.user, 2)
    Message.objects.filter(pk=event_log.ClientEvent.objects.get(sequence=first).message_id).delete()

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", token=api.token, Last_Event_ID="0") as connection:
            return await connection.events(1)

    assert [event["sequence"] for event in served(act)] == [second]


def test_the_path_without_its_slash_works_too(api: Api) -> None:
    async def act(handler: LiveHandler) -> int:
        async with Connection(handler, "events", token=api.token) as connection:
            return connection.status

    assert served(act) == 200


def test_a_browser_session_is_accepted(api: Api) -> None:
    client = Client()
    client.force_login(api.user)
    cookie = f"{django_settings.SESSION_COOKIE_NAME}={client.cookies[django_settings.SESSION_COOKIE_NAME].value}"
    numbers = happen(api.user)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", Cookie=cookie, Last_Event_ID="0") as connection:
            return await connection.events(1)

    assert [event["sequence"] for event in served(act)] == numbers


def test_head_returns_the_headers_and_ends(api: Api) -> None:
    async def act(handler: LiveHandler) -> Connection:
        async with Connection(handler, "events/", token=api.token, method="HEAD") as connection:
            await asyncio.wait_for(asyncio.shield(connection.task), 10)
            return connection

    connection = served(act)

    assert (connection.status, connection.headers["content-type"], connection.body) == (200, "text/event-stream", b"")


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "one more", "9" * 19, "9" * 400, "\uff11", "1,2", "0x1"])
def test_an_id_that_was_never_issued_is_refused(api: Api, given: str) -> None:
    [last] = happen(api.user)
    given = str(last + 1) if given == "one more" else given

    body = refused("events/", 400, "invalid", token=api.token, Last_Event_ID=given)

    assert [(error["field"], error["code"]) for error in body["errors"]] == [("Last-Event-ID", "invalid")]


def test_streaming_requires_a_token(installed) -> None:
    refused("events/", 401, "not_authenticated")
    refused("events/", 401, "authentication_failed", token="x" * 64)


def test_streaming_requires_the_permission(member_of) -> None:
    refused("events/", 403, "permission_denied", token=member_of().token)


@pytest.mark.parametrize("path", ["messages/{}/", "messages/{}/wait/?after=queued"])
def test_a_message_of_another_owner_is_404(api: Api, stranger: Api, path: str) -> None:
    message = MessageFactory(owner=stranger.user)

    refused(path.format(message.pk), 404, "not_found", token=api.token)


def test_another_format_is_not_served(api: Api) -> None:
    refused("events/", 406, "not_acceptable", token=api.token, Accept="application/json")


def test_only_get_and_head_are_allowed(api: Api) -> None:
    refused("events/", 405, "method_not_allowed", token=api.token, method="POST")


def test_an_unknown_path_is_404(api: Api) -> None:
    refused("nothing/", 404, "not_found", token=api.token)


def test_another_host_is_refused(api: Api) -> None:
    async def act(handler: LiveHandler) -> int:
        connection = Connection(handler, "events/", token=api.token)
        connection._scope["headers"] = [
            (name, b"evil.example" if name == b"host" else value) for name, value in connection._scope["headers"]
        ]
        async with connection:
            return connection.status

    assert served(act) == 400


@pytest.mark.parametrize("path", ["events/", "messages/{id}/", "messages/{id}/wait/"])
def test_a_process_that_cannot_wait_names_the_live_process_without_logging_errors(
    api: Api, anonymous: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    message = MessageFactory(owner=api.user)

    for client in (api, anonymous):
        body = assert_problem(client.get("live/" + path.format(id=message.pk)), 503, "served_by_live_process")

    assert "live" in body["detail"]
    assert not [record for record in caplog.records if record.name == "django.request"]


# --- One message ------------------------------------------------------------------------------------------------------


def test_the_stream_of_a_message_starts_at_its_first_event(api: Api) -> None:
    message = MessageFactory(owner=api.user, delivered=True)
    happen(api.user, 3)
    for kind in ("message.sent", "message.delivered"):
        ClientEventFactory(message=message, type=kind)
    event_log.number(now=NOW)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, f"messages/{message.pk}/", token=api.token) as connection:
            events = await connection.events(2)
            await handler.threads.run(happen, api.user)
            again = {"Last_Event_ID": str(events[0]["sequence"])}
            async with Connection(handler, f"messages/{message.pk}/", token=api.token, **again) as resumed:
                assert await resumed.events(1) == events[1:]
            return events + connection.data_blocks[2:]

    events = served(act)

    assert [event["type"] for event in events] == ["message.sent", "message.delivered"]
    assert {event["data"]["id"] for event in events} == {str(message.pk)}


def test_staff_can_stream_a_message_of_any_owner(api: Api, staff: Api) -> None:
    message = MessageFactory(owner=api.user, delivered=True)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, f"messages/{message.pk}/", token=staff.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(_event_of, message)
            return await connection.events(1)

    [event] = served(act)

    assert event["data"]["id"] == str(message.pk)
    assert event["data"]["message"] == HIDDEN


def test_only_subscribers_who_may_read_texts_get_them(api: Api, staff: Api) -> None:
    """Subscribers that are woken together share one read of the log."""
    message = MessageFactory(owner=api.user, delivered=True)
    reader = Api(UserFactory(is_staff=True))
    reader.user.user_permissions.add(*Permission.objects.filter(codename__in=["view_message", "view_text"]))
    path = f"messages/{message.pk}/"

    async def act(handler: LiveHandler) -> list[str]:
        async with (
            Connection(handler, path, token=api.token) as own,
            Connection(handler, path, token=staff.token) as looking,
            Connection(handler, path, token=reader.token) as reading,
        ):
            await handler.threads.run(_event_of, message)
            return [(await each.events(1))[0]["data"]["message"] for each in (own, looking, reading)]

    assert served(act) == [message.text, HIDDEN, message.text]


def _event_of(message: Message) -> None:
    ClientEventFactory(message=message)
    event_log.number(now=NOW, notify=pubsub.publish)


# --- The long poll ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?after=sent", "?after=queued&timeout=0", "?timeout=60"])
def test_a_message_in_another_status_is_returned_at_once(api: Api, query: str) -> None:
    message = MessageFactory(owner=api.user)

    async def act(handler: LiveHandler) -> tuple[Connection, Any]:
        async with Connection(handler, f"messages/{message.pk}/wait/{query}", token=api.token) as connection:
            return connection, await connection.json()

    connection, body = served(act)

    assert connection.status == 200
    assert connection.headers["content-type"] == "application/json"
    assert connection.headers["cache-control"] == "no-store"
    assert body == serialize_message(Message.objects.get())


def test_staff_who_may_not_read_texts_wait_without_them(api: Api, staff: Api) -> None:
    message = MessageFactory(owner=api.user)

    async def act(handler: LiveHandler) -> Any:
        return await _answer(handler, f"messages/{message.pk}/wait/", staff.token)

    assert served(act)["message"] == HIDDEN


def test_a_change_of_status_ends_the_wait(api: Api) -> None:
    message = MessageFactory(owner=api.user)

    async def act(handler: LiveHandler) -> tuple[bool, Any]:
        path = f"messages/{message.pk}/wait/?after=queued&timeout=60"
        polling = asyncio.create_task(_answer(handler, path, api.token))
        await eventually(lambda: bool(handler.hub.subscriptions))
        was_early = polling.done()
        await handler.threads.run(_deliver, message)
        return was_early, await polling

    was_early, body = served(act)

    assert not was_early
    assert body["status"] == "delivered"


def test_a_change_without_an_event_ends_the_wait_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.live.hub.POLL_SECONDS", 0.1)
    message = MessageFactory(owner=api.user, status="scheduled", send_at=NOW, next_attempt_at=NOW)

    async def act(handler: LiveHandler) -> Any:
        path = f"messages/{message.pk}/wait/?after=scheduled&timeout=60"
        polling = asyncio.create_task(_answer(handler, path, api.token))
        await eventually(lambda: bool(handler.hub.subscriptions))
        await handler.threads.run(lambda: Message.objects.update(status="queued"))
        return await polling

    assert served(act)["status"] == "queued"


def test_without_a_change_the_message_is_returned_at_the_timeout(api: Api) -> None:
    message = MessageFactory(owner=api.user)

    async def act(handler: LiveHandler) -> Any:
        return await _answer(handler, f"messages/{message.pk}/wait/?after=queued&timeout=0.2", api.token)

    assert served(act) == serialize_message(Message.objects.get())


def test_a_long_poll_returns_no_message_after_access_was_revoked(api: Api) -> None:
    message = MessageFactory(owner=api.user)

    async def act(handler: LiveHandler) -> tuple[Connection, Any]:
        path = f"messages/{message.pk}/wait/?after=queued&timeout=0.5"
        connection = Connection(handler, path, token=api.token)
        opening = asyncio.create_task(connection.__aenter__())
        await eventually(lambda: bool(handler.hub.subscriptions))
        await handler.threads.run(lambda: api.user.auth_token_set.all().delete())
        await opening
        body = await connection.json()
        return connection, body

    connection, body = served(act)

    problem_of(connection, 401, "authentication_failed", body)


async def _answer(handler: LiveHandler, path: str, token: str) -> Any:
    async with Connection(handler, path, token=token) as connection:
        return await connection.json()


def _deliver(message: Message) -> None:
    Message.objects.update(status="delivered", sent_at=NOW, delivered_at=NOW + timedelta(seconds=1))
    _event_of(message)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=lost", "after"),
        ("timeout=-1", "timeout"),
        ("timeout=61", "timeout"),
        ("timeout=nan", "timeout"),
        ("timeout=inf", "timeout"),
        ("timeout=soon", "timeout"),
        ("timeout=" + "9" * 400, "timeout"),
    ],
)
def test_invalid_wait_parameters_are_refused(api: Api, query: str, field: str) -> None:
    message = MessageFactory(owner=api.user)

    body = refused(f"messages/{message.pk}/wait/?{query}", 400, "invalid", token=api.token)

    assert [error["field"] for error in body["errors"]] == [field]


# --- How many ---------------------------------------------------------------------------------------------------------


def test_one_stream_over_the_limit_is_refused_for_that_user_only(api: Api, stranger: Api, settings) -> None:
    settings.LIVE_STREAMS_PER_USER = 2
    happen(api.user)

    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token), Connection(handler, "events/", token=api.token):
            async with Connection(handler, "events/", token=api.token) as third:
                problem_of(third, 429, "too_many_streams", await third.json())
                assert int(third.headers["retry-after"]) == 5
            async with Connection(handler, "events/", token=stranger.token) as other:
                assert other.status == 200
        async with Connection(handler, "events/", token=api.token) as fourth:
            assert fourth.status == 200

    served(act)


def test_a_resuming_stream_takes_the_slot_of_the_oldest(api: Api, settings) -> None:
    """The oldest may be its own broken connection, if the server has not noticed the break yet."""
    settings.LIVE_STREAMS_PER_USER = 2
    [number] = happen(api.user)

    async def act(handler: LiveHandler) -> None:
        resume = {"Last_Event_ID": str(number)}
        async with (
            Connection(handler, "events/", token=api.token) as first,
            Connection(handler, "events/", token=api.token) as second,
            Connection(handler, "events/", token=api.token, **resume) as third,
        ):
            assert third.status == 200
            await eventually(lambda: first.is_over)
            assert not second.is_over
            assert not third.is_over
            assert len(handler.hub.subscriptions) == 2

    served(act)


def test_the_limit_is_shared_by_all_processes(api: Api, settings) -> None:
    settings.LIVE_STREAMS_PER_USER = 1

    another_token = make_token(api.user)

    async def act(handler: LiveHandler) -> None:
        another = LiveHandler()
        try:
            async with (
                Connection(handler, "events/", token=api.token),
                Connection(another, "events/", token=another_token) as second,
            ):
                assert second.status == 429
            async with Connection(another, "events/", token=another_token) as third:
                assert third.status == 200
        finally:
            await another.close()

    served(act)
