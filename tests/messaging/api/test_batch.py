"""POST /messages/batch/: bad items do not affect good ones, and 1,000 items cost as many queries as one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from tests.factories import PhoneNumberFactory
from tests.messaging.api.conftest import assert_problem, errors_of

BODY = {"to": "+14155550101", "message": "Hello"}


def item(n: int, **changes) -> dict:
    return {"to": f"+1415555{n:04d}", "message": f"text {n}", **changes}


def test_all_good_items_are_accepted_in_their_order(api, broker, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("messages/batch/", {"messages": [item(1000), item(1001, queue="paced"), item(1002)]})

    assert response.status_code == 202
    body = response.json()
    ids = [str(pk) for pk in Message.objects.order_by("pk").values_list("pk", flat=True)]
    assert body == {
        "accepted": 3,
        "rejected": 0,
        "results": [{"index": place, "id": pk} for place, pk in enumerate(ids)],
    }
    assert sorted(broker.notified) == ["express", "paced"]


def test_bad_items_are_named_and_good_ones_stored(api) -> None:
    PhoneNumberFactory(number="+14155551003", inactive=True)
    items = [
        item(1000), "nonsense", {"message": "x"}, item(1003), item(1004, queue="nowhere"), item(1005, valid_for="x"),
        None, item(1006), item(1007, media=["x"]), 5, [],
    ]  # fmt: skip

    body = api.post("messages/batch/", {"messages": items}).json()

    assert (body["accepted"], body["rejected"]) == (2, 9)
    results = body["results"]
    assert [result["index"] for result in results] == list(range(11))
    assert {result["index"] for result in results if "id" in result} == {0, 7}
    assert all(("id" in result) != ("error" in result) for result in results)
    assert results[3]["error"] == {
        "code": "recipient_inactive",
        "detail": "This number is inactive: a provider reported it as invalid, or an operator deactivated it.",
    }
    named = {
        result["index"]: {(error["field"], error["code"]) for error in result["error"]["errors"]}
        for result in results
        if "errors" in result.get("error", {})
    }
    assert named == {
        1: {("", "invalid")}, 2: {("to", "required")}, 4: {("queue", "unknown_queue")}, 5: {("valid_for", "invalid")},
        6: {("", "null")}, 8: {("media.0", "invalid")}, 9: {("", "invalid")}, 10: {("", "invalid")},
    }  # fmt: skip
    assert {result["error"]["code"] for result in results if result["index"] in named} == {"invalid"}
    assert set(Message.objects.values_list("text", flat=True)) == {"text 1000", "text 1006"}


@pytest.mark.parametrize("items", [[], None, {}, "x", 5])
def test_a_body_without_a_list_of_items_is_400(api, items) -> None:
    [(field, _)] = errors_of(api.post("messages/batch/", {"messages": items}))

    assert field == "messages"
    assert not Message.objects.exists()


def test_the_list_is_required(api) -> None:
    assert errors_of(api.post("messages/batch/", {})) == {("messages", "required")}


def test_more_than_a_thousand_are_refused_as_a_whole(api) -> None:
    response = api.post("messages/batch/", {"messages": [BODY] * 1001})

    assert errors_of(response) == {("messages", "max_length")}
    assert not Message.objects.exists()


def test_a_thousand_are_accepted(api) -> None:
    body = api.post("messages/batch/", {"messages": [item(n) for n in range(1000, 2000)]}).json()

    assert (body["accepted"], Message.objects.count()) == (1000, 1000)


def test_a_batch_of_only_bad_items_is_202(api) -> None:
    response = api.post("messages/batch/", {"messages": [{}]})

    assert response.status_code == 202
    assert (response.json()["accepted"], response.json()["rejected"]) == (0, 1)
    assert not Message.objects.exists()


def test_the_cost_does_not_grow_with_the_batch(api) -> None:
    costs = []
    for start, size in ((1000, 5), (2000, 20)):
        with CaptureQueriesContext(connection) as queries:
            api.post("messages/batch/", {"messages": [item(start + n) for n in range(size)]})
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_a_reader_may_not_send_batches(member_of) -> None:
    assert_problem(member_of("API reader").post("messages/batch/", {"messages": [BODY]}), 403, "permission_denied")

    assert not Message.objects.exists()
