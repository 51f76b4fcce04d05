"""Actions without a body: an invalid body is refused anyway, and nothing changes."""

import pytest

from messaging.models import Message, OutboundQueue, WebhookDelivery, WebhookSecret
from scheduling.models import Schedule
from tests.factories import EndpointFactory, MessageFactory, WebhookDeliveryFactory
from tests.messaging.api.conftest import assert_problem, errors_of
from tests.scheduling import making

PK = "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"
ACTIONS = [
    "queues/paced/pause/",
    "queues/paced/resume/",
    f"messages/{PK}/cancel/",
    "schedules/{schedule}/pause/",
    "schedules/{schedule}/resume/",
    "schedules/{schedule}/cancel/",
    f"webhook-endpoints/{PK}/rotate-secret/",
    f"webhook-endpoints/{PK}/test/",
    f"webhook-endpoints/{PK}/deliveries/{PK}/redeliver/",
    "webhook-endpoints/default-secret/rotate/",
]


@pytest.fixture
def path(request: pytest.FixtureRequest, api) -> str:
    """An action and the row it applies to."""
    MessageFactory(pk=PK, owner=api.user, status="queued")
    WebhookDeliveryFactory(pk=PK, endpoint=EndpointFactory(pk=PK, owner=api.user), state="failed")
    schedule = making.create(api.user, 1, run_at=making.DUE)
    return request.param.format(schedule=schedule.pk)


def everything() -> list[list[dict]]:
    models = (Message, OutboundQueue, Schedule, WebhookDelivery, WebhookSecret)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("path", ACTIONS, indirect=True)
@pytest.mark.parametrize("data", [b"{", b"nonsense", b"[]", b'"text"', b"\xff", b'{"a": NaN}', b"[" * 5000])
def test_a_body_that_is_not_a_json_object_is_400(api, path: str, data: bytes) -> None:
    before = everything()

    assert_problem(api.post(path, data=data), 400, "parse_error")

    assert everything() == before


@pytest.mark.parametrize("path", ACTIONS, indirect=True)
def test_another_media_type_is_415(api, path: str) -> None:
    before = everything()

    assert_problem(api.post(path, data=b"now", content_type="text/plain"), 415, "unsupported_media_type")

    assert everything() == before


@pytest.mark.parametrize("path", ACTIONS, indirect=True)
def test_a_field_is_400(api, path: str) -> None:
    before = everything()

    assert errors_of(api.post(path, {"reason": "because"})) == {("reason", "unknown_field")}

    assert everything() == before


@pytest.mark.parametrize("path", ACTIONS, indirect=True)
@pytest.mark.parametrize("data", [b"", b"{}"])
def test_no_body_and_an_empty_object_are_accepted(api, path: str, data: bytes) -> None:
    assert api.post(path, data=data).status_code in {200, 202}
