"""REST views of queues."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from messaging.api.queues import QueueSerializer
from messaging.models import OutboundQueue
from tests.factories import NOW, MessageFactory, QueueFactory, SenderFactory, UserFactory
from tests.messaging.api.conftest import assert_problem, errors_of

EXPRESS = {
    "name": "express", "description": "Sent at once, as fast as the providers take it.", "batch_size": None,
    "interval_seconds": None, "routing_strategy": "weighted", "preserve_order": True, "use_conversion": False,
    "is_paused": False, "quiet_hours": None, "sender_pool": [], "depth": 0, "oldest_queued_at": None,
}  # fmt: skip
PACED = {
    **EXPRESS,
    "name": "paced",
    "description": "Two messages every two minutes.",
    "batch_size": 2,
    "interval_seconds": 120,
}


WRITES = [("PATCH", "queues/paced/"), ("POST", "queues/paced/pause/"), ("POST", "queues/paced/resume/")]


def test_the_list_and_one_queue(api) -> None:
    assert api.get("queues/").json() == {"count": 2, "next": None, "previous": None, "results": [EXPRESS, PACED]}
    assert api.get("queues/paced/").json() == PACED


def test_the_depth_counts_what_waits_ready_or_deferred(api) -> None:
    MessageFactory(created_at=NOW)
    MessageFactory(created_at=NOW - timedelta(minutes=1), next_attempt_at=NOW)
    MessageFactory(sent=True)
    MessageFactory(status="scheduled", next_attempt_at=NOW)

    body = api.get("queues/express/").json()

    assert (body["depth"], body["oldest_queued_at"]) == (2, "2026-11-22T08:59:00Z")
    assert api.get("queues/").json()["results"] == [body, PACED]


def test_the_oldest_message_may_be_single_or_bulk(api) -> None:
    MessageFactory(created_at=NOW - timedelta(minutes=2), is_bulk=True)
    MessageFactory(created_at=NOW - timedelta(minutes=1))

    assert api.get("queues/express/").json()["oldest_queued_at"] == "2026-11-22T08:58:00Z"


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x"},
        {"batch_size": 5},
        {"interval_seconds": 10},
        {"batch_size": None, "interval_seconds": None},
        {"routing_strategy": "cheapest"},
        {"preserve_order": False},
        {"is_paused": True},
        {"quiet_hours": {"from": "21:00", "until": "08:00"}},
        {"quiet_hours": {"from": "00:00", "until": "00:01"}},
        {"quiet_hours": None},
        {},
    ],
    ids=str,
)
def test_only_the_fields_that_are_sent_change(api, change) -> None:
    response = api("PATCH", "queues/paced/", change)

    assert (response.status_code, response.json()) == (200, {**PACED, **change})
    assert api.get("queues/paced/").json() == response.json()
    assert api.get("queues/express/").json() == EXPRESS


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"batch_size": 0}, "batch_size", "min_value"),
        ({"batch_size": "2"}, "batch_size", "invalid"),
        ({"batch_size": True}, "batch_size", "invalid"),
        ({"batch_size": 100_001}, "batch_size", "max_value"),
        ({"interval_seconds": 0}, "interval_seconds", "min_value"),
        ({"interval_seconds": 86_401}, "interval_seconds", "max_value"),
        ({"batch_size": None}, "batch_size", "half_a_pace"),
        ({"interval_seconds": None}, "interval_seconds", "half_a_pace"),
        ({"is_paused": "true"}, "is_paused", "invalid"),
        ({"is_paused": None}, "is_paused", "null"),
        ({"preserve_order": 1}, "preserve_order", "invalid"),
        ({"routing_strategy": "dearest"}, "routing_strategy", "invalid_choice"),
        ({"routing_strategy": None}, "routing_strategy", "null"),
        ({"quiet_hours": {"from": "21:00"}}, "quiet_hours", "invalid"),
        ({"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "UTC"}}, "quiet_hours", "invalid"),
        ({"quiet_hours": "21:00-08:00"}, "quiet_hours", "invalid"),
        ({"quiet_hours": {"from": "21:00", "until": "24:00"}}, "quiet_hours", "invalid_time"),
        ({"quiet_hours": {"from": 21, "until": "08:00"}}, "quiet_hours", "invalid_time"),
        ({"quiet_hours": {"from": "08:00", "until": "08:00"}}, "quiet_hours", "no_quiet_hours"),
        ({"description": "x" * 201}, "description", "max_length"),
        ({"description": "\u0000"}, "description", "null_characters_not_allowed"),
    ],
)
def test_an_invalid_change_changes_nothing(api, change, field: str, code: str) -> None:
    assert errors_of(api("PATCH", "queues/paced/", {"description": "x", **change})) == {(field, code)}

    assert api.get("queues/paced/").json() == PACED


def test_pause_and_resume(api) -> None:
    assert api.post("queues/paced/pause/").json() == {**PACED, "is_paused": True}
    assert api.post("queues/paced/pause/").json() == {**PACED, "is_paused": True}
    assert api.post("queues/paced/resume/").json() == PACED
    assert api.post("queues/paced/resume/").json() == PACED


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("PATCH", ""), ("POST", "pause/"), ("POST", "resume/")],
    ids=lambda part: part or "-",
)
def test_a_queue_that_does_not_exist(api, method: str, path: str) -> None:
    assert_problem(api(method, f"queues/nowhere/{path}", {}), 404, "not_found")

    assert OutboundQueue.objects.count() == 2


def test_beats_row_follows_the_queue(api) -> None:
    def row() -> tuple:
        task = PeriodicTask.objects.get(name="queue paced")
        return json.loads(task.args), task.task, task.interval.every, task.interval.period, task.enabled

    assert row() == (["paced"], "messaging.paced_tick", 120, "seconds", True)
    api("PATCH", "queues/paced/", {"interval_seconds": 10})
    assert row()[2] == 10
    api.post("queues/paced/pause/")
    assert row()[4] is False
    api("PATCH", "queues/paced/", {"batch_size": None, "interval_seconds": None})
    assert not PeriodicTask.objects.filter(name="queue paced").exists()


def test_the_cost_of_the_list_does_not_grow_with_the_queues(api) -> None:
    OutboundQueue.objects.exclude(name="express").delete()
    costs = []
    for names in (["express"], ["a", "b", "c", "d"]):
        for name in names:
            MessageFactory(queue=QueueFactory(name=name))
        with CaptureQueriesContext(connection) as queries:
            api.get("queues/")
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_a_queue_has_the_documented_keys(api) -> None:
    assert set(api.get("queues/paced/").json()) == set(QueueSerializer().fields) == set(PACED)


def test_the_list_is_paged(api) -> None:
    page = api.get("queues/?limit=1&offset=1").json()

    assert (page["count"], page["next"], [row["name"] for row in page["results"]]) == (2, None, ["paced"])
    assert errors_of(api.get("queues/?limit=101")) == {("limit", "max_value")}


@pytest.mark.parametrize("name", ["x" * 200, "%00", "a%20b", "é"])
def test_an_invalid_name_is_404(api, name: str) -> None:
    assert_problem(api.get(f"queues/{name}/"), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("group", ["API reader", "API sender"])
def test_only_an_operator_changes_queues(member_of, group: str, method: str, path: str) -> None:
    member = member_of(group)

    assert_problem(member(method, path, {"is_paused": True}), 403, "permission_denied")

    assert member.get("queues/paced/").json() == PACED
    assert PeriodicTask.objects.get(name="queue paced").enabled is True


@pytest.mark.parametrize(("method", "path"), [("GET", "queues/"), ("GET", "queues/paced/"), *WRITES])
def test_without_a_token_there_is_nothing(anonymous, method: str, path: str) -> None:
    assert_problem(anonymous(method, path, {}), 401, "not_authenticated")

    assert not OutboundQueue.objects.filter(is_paused=True).exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "queues/"), ("DELETE", "queues/paced/"), ("PUT", "queues/paced/"), ("GET", "queues/paced/pause/")],
)
def test_other_methods_are_405(api, method: str, path: str) -> None:
    assert_problem(api(method, path, {}), 405, "method_not_allowed")

    assert OutboundQueue.objects.count() == 2


def test_the_path_without_its_slash_works_too(api) -> None:
    assert api("PATCH", "queues/paced", {"batch_size": 3}).json()["batch_size"] == 3


@pytest.mark.parametrize(("field", "value"), [("name", "paced"), ("depth", 0), ("oldest_queued_at", None)])
def test_read_only_fields_are_400_and_nothing_changes(api, field: str, value: object) -> None:
    assert errors_of(api("PATCH", "queues/paced/", {"batch_size": 7, field: value})) == {(field, "read_only")}

    assert api.get("queues/paced/").json() == PACED


def test_the_pool_is_set_read_and_emptied(api) -> None:
    for number in ("+14155550982", "+14155550981"):
        SenderFactory(number=number, owner=None)
    SenderFactory(number="OWN", owner=UserFactory())

    changed = api("PATCH", "queues/express/", {"sender_pool": ["+14155550982", "+14155550981", "+14155550982"]})
    assert changed.json()["sender_pool"] == ["+14155550981", "+14155550982"]
    refused = api("PATCH", "queues/express/", {"sender_pool": ["OWN"], "description": "x"})
    assert errors_of(refused) == {("sender_pool", "unknown_sender")}
    assert api("GET", "queues/express/").json() == changed.json()
    assert api("PATCH", "queues/express/", {"sender_pool": []}).json()["sender_pool"] == []
