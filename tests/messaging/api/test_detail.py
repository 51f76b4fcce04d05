"""One message: body, history, attempts and actions."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.models import Message, MessageEvent
from messaging.states import CANCELABLE, OUTBOUND, RETRYABLE, Status
from tests.factories import NOW, AccountFactory, AttemptFactory, EventFactory, MessageFactory, PhoneNumberFactory
from tests.messaging.api.conftest import assert_problem, errors_of

ACTIONS = [("GET", ""), ("GET", "events/"), ("GET", "attempts/"), ("POST", "cancel/"), ("POST", "retry/")]


@pytest.fixture
def message(api):
    return MessageFactory(owner=api.user)


def test_a_message_with_all_fields(api) -> None:
    later = NOW + timedelta(seconds=1, microseconds=5)
    message = MessageFactory(
        owner=api.user, delivered=True, delivered_at=later, updated_at=later, reference="r", send_at=NOW,
        provider=AccountFactory(slug="other"), provider_message_id="SM1", error_code="was", error_detail="bad",
        schedule_id=uuid7(), attempts=2, category="marketing", parameters={"template_id": "1107"},
    )  # fmt: skip

    assert api.get(f"messages/{message.pk}/").json() == {
        "id": str(message.pk), "direction": "outbound", "from": "+15005550006", "to": message.to_number,
        "message": "Your code is 123456", "status": "delivered", "queue": "express", "encoding": "gsm7", "segments": 1,
        "reference": "r", "provider": "other", "provider_message_id": "SM1", "attempts": 2,
        "error": {"code": "was", "detail": "bad"}, "schedule": str(message.schedule_id), "category": "marketing",
        "parameters": {"template_id": "1107"}, "template": None, "template_version": None, "media": [],
        "send_at": "2026-11-22T09:00:00Z", "created_at": "2026-11-22T09:00:00Z", "sent_at": "2026-11-22T09:00:00Z",
        "delivered_at": "2026-11-22T09:00:01.000005Z", "updated_at": "2026-11-22T09:00:01.000005Z",
    }  # fmt: skip


def test_the_history_is_complete_and_oldest_first(api, message) -> None:
    EventFactory(message=message, to_status="queued", actor=api.user)
    EventFactory(
        message=message, at=NOW + timedelta(seconds=1), from_status="queued", to_status="sending", source="dispatch",
        provider_slug="acme", detail="why",
    )  # fmt: skip
    EventFactory()

    assert api.get(f"messages/{message.pk}/events/").json() == [
        {"at": "2026-11-22T09:00:00Z", "from": None, "to": "queued", "source": "api", "provider": None, "detail": None},
        {"at": "2026-11-22T09:00:01Z", "from": "queued", "to": "sending", "source": "dispatch", "provider": "acme",
         "detail": "why"},
    ]  # fmt: skip


def test_the_attempts_are_listed_by_number(api, message) -> None:
    acme = AccountFactory(slug="other")
    AttemptFactory(message=message, provider=acme, number=2, outcome="calling", finished_at=None)
    AttemptFactory(
        message=message, provider=acme, number=1, outcome="unavailable", error_code="http_500", error_detail="500",
        latency_ms=12, finished_at=NOW + timedelta(seconds=1),
    )  # fmt: skip

    assert api.get(f"messages/{message.pk}/attempts/").json() == [
        {"number": 1, "provider": "other", "outcome": "unavailable", "error": {"code": "http_500", "detail": "500"},
         "latency_ms": 12, "price": None, "currency": None, "price_source": None,
         "started_at": "2026-11-22T09:00:00Z", "finished_at": "2026-11-22T09:00:01Z"},
        {"number": 2, "provider": "other", "outcome": "calling", "error": None, "latency_ms": None,
         "price": None, "currency": None, "price_source": None,
         "started_at": "2026-11-22T09:00:00Z", "finished_at": None},
    ]  # fmt: skip


@pytest.mark.parametrize(("part", "factory"), [("events", EventFactory), ("attempts", AttemptFactory)])
def test_the_cost_does_not_grow_with_the_rows(api, message, part: str, factory) -> None:
    costs = []
    for numbers in (range(1, 2), range(2, 6)):
        for number in numbers:
            factory(message=message, **({"number": number} if part == "attempts" else {"actor": api.user}))
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get(f"messages/{message.pk}/{part}/").json()) == numbers[-1]
        costs.append(len(queries))

    assert costs[0] == costs[1]


@pytest.mark.parametrize(("method", "action"), ACTIONS)
def test_a_message_of_another_owner_is_404(stranger, message, method: str, action: str) -> None:
    body = {"reason": "x"} if action == "retry/" else {}
    assert_problem(stranger(method, f"messages/{message.pk}/{action}", body), 404, "not_found")

    message.refresh_from_db()
    assert (message.status, message.events.count()) == ("queued", 0)


@pytest.mark.parametrize(("method", "action"), ACTIONS)
@pytest.mark.parametrize("pk", ["0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55", "1", "x", "%00", "0191D2A4-7C1E"])
def test_a_message_that_does_not_exist(api, method: str, action: str, pk: str) -> None:
    body = {"reason": "x"} if action == "retry/" else {}
    assert_problem(api(method, f"messages/{pk}/{action}", body), 404, "not_found")


@pytest.mark.parametrize("part", ["", "events/", "attempts/"])
def test_staff_may_read_messages_of_all_owners(staff, message, part: str) -> None:
    assert staff.get(f"messages/{message.pk}/{part}").status_code == 200


class TestCancel:
    @pytest.mark.parametrize("status", sorted(CANCELABLE))
    @pytest.mark.parametrize("options", [{}, {"body": {}}])
    def test_a_waiting_message_is_canceled(self, api, status, options) -> None:
        message = MessageFactory(owner=api.user, status=status)

        response = api.post(f"messages/{message.pk}/cancel/", **options)

        assert (response.status_code, response.json()["status"]) == (200, "canceled")
        assert response.json() == api.get(f"messages/{message.pk}/").json()
        [event] = message.events.all()
        assert (event.to_status, event.actor, event.source) == ("canceled", api.user, "api")

    @pytest.mark.parametrize("status", sorted(OUTBOUND - CANCELABLE))
    def test_everything_else_is_a_conflict(self, api, status) -> None:
        traits = {"sending": True} if status == Status.SENDING else {"status": status, "delivered_at": NOW}
        message = MessageFactory(owner=api.user, **traits)

        assert_problem(api.post(f"messages/{message.pk}/cancel/"), 409, "not_cancelable")

        message.refresh_from_db()
        assert message.status == status
        assert not MessageEvent.objects.exists()


class TestRetry:
    @pytest.mark.parametrize("status", sorted(RETRYABLE))
    def test_a_retryable_message_is_queued_again(self, api, broker, status, django_capture_on_commit_callbacks) -> None:
        message = MessageFactory(owner=api.user, status=status, error_code="x")

        with django_capture_on_commit_callbacks(execute=True):
            response = api.post(f"messages/{message.pk}/retry/", {"reason": "carrier is back"})

        assert (response.status_code, response.json()["status"], response.json()["error"]) == (200, "queued", None)
        [_, event] = api.get(f"messages/{message.pk}/events/").json()
        assert (event["from"], event["to"]) == (status, "queued")
        assert (event["source"], event["detail"]) == ("operator", "carrier is back")
        assert broker.notified == ["express"]

    @pytest.mark.parametrize("status", sorted(OUTBOUND - RETRYABLE))
    def test_everything_else_is_a_conflict(self, api, status) -> None:
        traits = {"sending": True} if status == Status.SENDING else {"status": status, "delivered_at": NOW}
        message = MessageFactory(owner=api.user, **traits)

        assert_problem(api.post(f"messages/{message.pk}/retry/", {"reason": "x"}), 409, "not_retryable")

        message.refresh_from_db()
        assert message.status == status
        assert not MessageEvent.objects.exists()

    def test_an_inactive_number_is_a_conflict(self, api) -> None:
        message = MessageFactory(owner=api.user, status=Status.FAILED)
        PhoneNumberFactory(number=message.to_number, inactive=True)

        assert_problem(api.post(f"messages/{message.pk}/retry/", {"reason": "x"}), 409, "recipient_inactive")

        assert Message.objects.get().status == "failed"

    @pytest.mark.parametrize(
        ("body", "code"),
        [({}, "required"), ({"reason": ""}, "blank"), ({"reason": " "}, "blank"), ({"reason": 1}, "invalid"),
         ({"reason": "x" * 201}, "max_length"), ({"reason": None}, "null")],
    )  # fmt: skip
    def test_the_reason_is_required(self, api, body, code: str) -> None:
        message = MessageFactory(owner=api.user, status=Status.FAILED)

        assert errors_of(api.post(f"messages/{message.pk}/retry/", body)) == {("reason", code)}

        assert Message.objects.get().status == "failed"

    def test_a_sender_without_the_operator_role_may_not(self, member_of) -> None:
        sender = member_of("API sender")
        message = MessageFactory(owner=sender.user, status=Status.FAILED)

        assert_problem(sender.post(f"messages/{message.pk}/retry/", {"reason": "x"}), 403, "permission_denied")

        assert Message.objects.get().status == "failed"
