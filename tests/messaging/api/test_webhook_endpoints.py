"""REST views of webhook endpoints."""

from datetime import timedelta
from uuid import uuid4

import pytest

from messaging.models import TwilioAccount, WebhookDelivery, WebhookEndpoint, WebhookSecret
from messaging.services.installation import API_READER, API_SENDER
from messaging.services.webhooks import endpoints, event_log, redelivery
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    SenderFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.api.conftest import Api, assert_problem, member
from tests.messaging.services.webhooks.conftest import twilio_account

pytestmark = pytest.mark.django_db

NEW = {"url": "https://client.example.com/hook", "events": ["message.delivered"], "description": "orders"}


def test_a_new_endpoint_has_a_secret_that_is_shown_once(api: Api) -> None:
    made = api.post("webhook-endpoints/", NEW)

    assert made.status_code == 201
    body = made.json()
    secret = body.pop("secret")
    assert secret.startswith("whsec_")
    assert made.headers["Location"].endswith(f"/api/v1/webhook-endpoints/{body['id']}/")
    assert made.headers["Cache-Control"] == "no-store"
    shown = api.get(f"webhook-endpoints/{body['id']}/").json()
    assert shown == body
    assert {name: shown[name] for name in ("url", "events", "description", "is_enabled", "disabled_reason")} == {
        **NEW,
        "is_enabled": True,
        "disabled_reason": None,
    }
    assert secret not in str(api.get("webhook-endpoints/").json())
    assert WebhookSecret.objects.get().endpoint_id == WebhookEndpoint.objects.get().pk


def test_events_keep_their_order_without_duplicates(api: Api) -> None:
    named = ["message.sent", "message.delivered", "message.sent", "message.canceled"]
    kept = ["message.sent", "message.delivered", "message.canceled"]

    made = api.post("webhook-endpoints/", {**NEW, "events": named}).json()
    changed = api("PATCH", f"webhook-endpoints/{made['id']}/", {"events": named[::-1]}).json()

    assert (made["events"], changed["events"]) == (kept, [kept[2], *kept[:2]])


def test_only_the_url_is_required(api: Api) -> None:
    body = api.post("webhook-endpoints/", {"url": NEW["url"]}).json()

    assert (body["events"], body["description"], body["dialect"], body["number"]) == ([], "", "standard", None)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"url": "http://127.0.0.1/"}, "url", "address_refused"),
        ({"url": "http://[::1]/"}, "url", "address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "url", "address_refused"),
        ({"url": "http://2130706433/"}, "url", "address_refused"),
        ({"url": "http://localhost:8000/"}, "url", "address_refused"),
        ({"url": "ftp://client.example.com/"}, "url", "address_refused"),
        ({"url": "https://user:password@client.example.com/"}, "url", "address_refused"),
        ({"url": "https://client.example.com/" + "a" * 500}, "url", "max_length"),
        ({"url": 5}, "url", "invalid"),
        ({"url": None}, "url", "null"),
        ({"events": ["message.exploded"]}, "events.0", "invalid_choice"),
        ({"events": "all"}, "events", "not_a_list"),
        ({"dialect": "kannel"}, "dialect", "invalid_choice"),
        ({"dialect": ""}, "dialect", "invalid_choice"),
        ({"dialect": None}, "dialect", "null"),
        ({"dialect": "twilio"}, "dialect", "no_credential"),
        ({"number": "+15005550006"}, "number", "sender_not_allowed"),
        ({"number": "+1500"}, "number", "impossible_number"),
        ({"number": 15005550006}, "number", "invalid"),
        ({"description": "a" * 201}, "description", "max_length"),
        ({"description": "a\x00b"}, "description", "null_characters_not_allowed"),
    ],
)
def test_invalid_input_is_refused(api: Api, change: dict, field: str, code: str) -> None:
    problem = assert_problem(api.post("webhook-endpoints/", NEW | change), 400, "invalid")

    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]
    assert not WebhookEndpoint.objects.exists()


class TestTwiliosDialect:
    def test_an_endpoint_has_no_secret_of_ours(self, api: Api) -> None:
        twilio_account(api.user)

        made = api.post("webhook-endpoints/", NEW | {"dialect": "twilio"})

        assert made.status_code == 201
        body = made.json()
        assert body.pop("secret") is None
        assert body["dialect"] == "twilio"
        assert api.get(f"webhook-endpoints/{body['id']}/").json() == body
        assert WebhookEndpoint.objects.get().dialect == "twilio"
        assert not WebhookSecret.objects.exists()

    def test_there_is_no_secret_to_rotate(self, api: Api) -> None:
        endpoint = EndpointFactory(owner=api.user, dialect="twilio")

        problem = assert_problem(api.post(f"webhook-endpoints/{endpoint.pk}/rotate-secret/"), 409, "no_secret")

        assert "auth token" in problem["detail"]
        assert not WebhookSecret.objects.exists()

    def test_a_revoked_credential_is_none(self, api: Api) -> None:
        twilio_account(api.user, revoked_at=NOW)

        assert_problem(api.post("webhook-endpoints/", NEW | {"dialect": "twilio"}), 400, "invalid")

        assert not WebhookEndpoint.objects.exists()

    def test_the_dialect_is_changed_and_changed_back(self, api: Api) -> None:
        made = api.post("webhook-endpoints/", NEW).json()
        path = f"webhook-endpoints/{made['id']}/"

        refused = api("PATCH", path, {"dialect": "twilio"})
        twilio_account(api.user)
        changed = api("PATCH", path, {"dialect": "twilio"}).json()
        TwilioAccount.objects.update(revoked_at=NOW)
        kept = api("PATCH", path, {"dialect": "twilio", "description": "still"}).json()
        back = api("PATCH", path, {"dialect": "standard"}).json()

        assert_problem(refused, 400, "invalid")
        assert (changed["dialect"], kept["description"], back["dialect"]) == ("twilio", "still", "standard")
        assert WebhookEndpoint.objects.get().dialect == ""
        assert api.post(f"{path}rotate-secret/").status_code == 200


def test_an_endpoint_may_be_for_one_of_the_owners_numbers(api: Api) -> None:
    for number, owner in (("+15005550006", api.user), ("+15005550007", None), ("Example", api.user)):
        SenderFactory(number=number, owner=owner)
    SenderFactory(number="+15005550008", owner=UserFactory())

    made = api.post("webhook-endpoints/", NEW | {"number": "+1 500 555 0006"}).json()
    path = f"webhook-endpoints/{made['id']}/"
    shared = api("PATCH", path, {"number": "+15005550007"}).json()
    name = api("PATCH", path, {"number": "Example"}).json()
    refused = api("PATCH", path, {"number": "+15005550008"})
    every = api("PATCH", path, {"number": None}).json()

    assert [body["number"] for body in (made, shared, name, every)] == ["+15005550006", "+15005550007", "Example", None]
    problem = assert_problem(refused, 400, "invalid")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("number", "sender_not_allowed")]
    assert WebhookEndpoint.objects.get().number == ""


def test_a_private_address_in_an_allowed_network_is_accepted(api: Api, settings) -> None:
    settings.CALLBACK_ALLOWED_NETWORKS = ["127.0.0.0/8"]

    assert api.post("webhook-endpoints/", NEW | {"url": "http://127.0.0.1:9000/"}).status_code == 201
    assert api.post("webhook-endpoints/", NEW | {"url": "http://10.0.0.1/"}).status_code == 400


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://0x7f.1/", "http://localhost/", "http://10.0.0.1:8080/"])
def test_a_callback_url_of_a_message_is_checked_the_same_way(api: Api, express, settings, url: str) -> None:
    message = {"to": "+14155550101", "message": "hi", "callback_url": url}

    problem = assert_problem(api.post("messages/", message), 400, "invalid")
    settings.CALLBACK_ALLOWED_NETWORKS = ["10.0.0.0/8"]
    allowed = api.post("messages/", message | {"callback_url": "http://10.0.0.1:8080/"})

    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("callback_url", "address_refused")]
    assert allowed.status_code == 202


def test_the_number_of_endpoints_is_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 1)
    api.post("webhook-endpoints/", NEW)

    assert_problem(api.post("webhook-endpoints/", NEW), 409, "too_many_endpoints")
    assert WebhookEndpoint.objects.count() == 1


def test_an_endpoint_is_changed_and_removed(api: Api) -> None:
    endpoint = EndpointFactory(owner=api.user, is_enabled=False, disabled_reason="gone", failing_since=NOW)
    path = f"webhook-endpoints/{endpoint.pk}/"

    changed = api("PATCH", path, {"events": ["message.sent"], "is_enabled": True}).json()
    refused = api("PATCH", path, {"url": "http://10.0.0.1/"})
    disabled = api("PATCH", path, {"is_enabled": False}).json()
    removed = api("DELETE", path)

    assert (changed["events"], changed["is_enabled"], changed["disabled_reason"]) == (["message.sent"], True, None)
    assert changed["failing_since"] is None
    assert_problem(refused, 400, "invalid")
    assert (disabled["is_enabled"], disabled["disabled_reason"]) == (False, "Disabled by hand.")
    assert (removed.status_code, WebhookEndpoint.objects.count()) == (204, 0)


def test_a_secret_is_rotated(api: Api) -> None:
    made = api.post("webhook-endpoints/", NEW).json()

    rotated = api.post(f"webhook-endpoints/{made['id']}/rotate-secret/")

    assert rotated.status_code == 200
    assert rotated.headers["Cache-Control"] == "no-store"
    assert rotated.json()["secret"] not in {made["secret"], ""}
    ends = sorted(WebhookSecret.objects.values_list("expires_at", flat=True), key=lambda end: end is None)
    assert len(ends) == 2
    assert ends[1] is None


def test_the_owner_can_rotate_the_default_secret(api: Api) -> None:
    before = api.get("webhook-endpoints/default-secret/").json()

    secret = api.post("webhook-endpoints/default-secret/rotate/").json()["secret"]

    after = api.get("webhook-endpoints/default-secret/").json()
    assert before == {"created_at": None}
    assert after["created_at"] is not None
    assert secret.startswith("whsec_")
    assert WebhookSecret.objects.get().owner_id == api.user.pk


def test_a_test_event_is_queued(api: Api, broker) -> None:
    endpoint = EndpointFactory(owner=api.user)

    answer = api.post(f"webhook-endpoints/{endpoint.pk}/test/")

    assert answer.status_code == 202
    assert {name: answer.json()[name] for name in ("type", "status", "attempts", "message")} == {
        "type": "webhook.test",
        "status": "pending",
        "attempts": 0,
        "message": None,
    }
    assert broker.webhook_notifications == 1


def test_a_disabled_endpoint_gets_neither_tests_nor_repeats(api: Api) -> None:
    endpoint = EndpointFactory(owner=api.user, is_enabled=False)
    delivery = WebhookDeliveryFactory(endpoint=endpoint, state="failed")
    path = f"webhook-endpoints/{endpoint.pk}/"

    for answer in (
        api.post(f"{path}test/"),
        api.post(f"{path}deliveries/{delivery.pk}/redeliver/"),
        api.post(f"{path}redeliver/", {"since": "2026-11-22T00:00:00Z", "until": "2026-11-23T00:00:00Z"}),
    ):
        assert_problem(answer, 409, "endpoint_disabled")

    assert list(WebhookDelivery.objects.values_list("state", flat=True)) == ["failed"]


def test_deliveries_are_listed_and_filtered(api: Api) -> None:
    endpoint = EndpointFactory(owner=api.user)
    failed = WebhookDeliveryFactory(
        endpoint=endpoint,
        state="failed",
        attempts=8,
        response_status=500,
        error="The endpoint answered 500.",
        attempted_at=NOW,
        finished_at=NOW,
    )
    pending = WebhookDeliveryFactory(endpoint=endpoint)
    WebhookDeliveryFactory()
    path = f"webhook-endpoints/{endpoint.pk}/deliveries/"

    listed = api.get(path).json()
    [shown] = api.get(f"{path}?status=failed").json()["results"]

    assert [row["id"] for row in listed["results"]] == [str(pending.pk), str(failed.pk)]
    assert shown == {
        "id": str(failed.pk),
        "webhook_id": str(failed.event.public_id),
        "type": "message.delivered",
        "message": str(failed.event.message_id),
        "status": "failed",
        "attempts": 8,
        "response_status": 500,
        "error": "The endpoint answered 500.",
        "event_at": "2026-11-22T09:00:00Z",
        "next_attempt_at": None,
        "attempted_at": "2026-11-22T09:00:00Z",
        "finished_at": "2026-11-22T09:00:00Z",
        "created_at": "2026-11-22T09:00:00Z",
    }
    assert_problem(api.get(f"{path}?status=lost"), 400, "invalid")


@pytest.mark.parametrize("path", ["webhook-endpoints/", "webhook-endpoints/{endpoint}/deliveries/"])
def test_a_list_of_five_costs_as_much_as_a_list_of_one(api: Api, django_assert_max_num_queries, path: str) -> None:
    endpoint = EndpointFactory(owner=api.user)
    WebhookDeliveryFactory(endpoint=endpoint)
    address = path.format(endpoint=endpoint.pk)
    with django_assert_max_num_queries(30) as one:
        api.get(address)
    for _ in range(4):
        EndpointFactory(owner=api.user)
        WebhookDeliveryFactory(endpoint=endpoint)

    with django_assert_max_num_queries(len(one)):
        assert api.get(address).json()["count"] == 5


def test_one_delivery_is_redelivered(api: Api, broker) -> None:
    endpoint = EndpointFactory(owner=api.user)
    delivery = WebhookDeliveryFactory(endpoint=endpoint, state="succeeded", attempts=3, finished_at=NOW)
    in_the_air = WebhookDeliveryFactory(endpoint=endpoint, sending=True, next_attempt_at=None)
    path = f"webhook-endpoints/{endpoint.pk}/deliveries"

    answer = api.post(f"{path}/{delivery.pk}/redeliver/")

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempts"]) == ("pending", 0)
    assert broker.webhook_notifications == 1
    assert_problem(api.post(f"{path}/{in_the_air.pk}/redeliver/"), 409, "not_redeliverable")
    assert_problem(api.post(f"{path}/{uuid4()}/redeliver/"), 404, "not_found")


def test_all_events_of_a_period_are_redelivered(api: Api) -> None:
    endpoint = EndpointFactory(owner=api.user, events=["message.delivered"])
    message = MessageFactory(owner=api.user)

    def event(minute: int, **kwargs):
        return ClientEventFactory(message=message, at=NOW + timedelta(minutes=minute), **kwargs)

    failed, arrived, outside = event(1, sequence=1), event(2, sequence=2), event(60, sequence=3)
    missed = event(3, sequence=4)
    event(4, type="message.sent", sequence=5)
    for of, state in ((failed, "failed"), (arrived, "succeeded"), (outside, "failed")):
        WebhookDeliveryFactory(endpoint=endpoint, event=of, state=state)

    answer = api.post(
        f"webhook-endpoints/{endpoint.pk}/redeliver/",
        {"since": "2026-11-22T09:00:00Z", "until": "2026-11-22T10:00:00Z"},
    )

    assert (answer.status_code, answer.json()) == (202, {"redelivered": 3, "is_complete": True})
    assert dict(WebhookDelivery.objects.values_list("event", "state")) == {
        failed.pk: "pending",
        arrived.pk: "pending",
        outside.pk: "failed",
        missed.pk: "pending",
    }


def test_a_long_period_is_redelivered_in_several_calls(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redelivery, "MAX_AT_ONCE", 2)
    endpoint = EndpointFactory(owner=api.user)
    message = MessageFactory(owner=api.user)
    events = [ClientEventFactory(message=message, sequence=number) for number in (3, 5, 7)]
    WebhookDeliveryFactory(endpoint=endpoint, event=events[0], state="succeeded")
    WebhookDeliveryFactory(endpoint=endpoint, event=events[2], sending=True)
    path = f"webhook-endpoints/{endpoint.pk}/redeliver/"
    stretch = {"since": "2026-11-22T09:00:00Z", "until": "2026-11-22T10:00:00Z"}

    first = api.post(path, stretch)
    second = api.post(path, {**stretch, "after": 5})

    assert first.json() == {"redelivered": 2, "is_complete": False, "after": 5}
    assert second.json() == {"redelivered": 0, "is_complete": True}
    assert dict(WebhookDelivery.objects.values_list("event__sequence", "state")) == {
        3: "pending",
        5: "pending",
        7: "sending",
    }


@pytest.mark.parametrize(
    "body", [{}, {"since": "2026-11-22T09:00:00Z"}, {"since": "2026-11-22T09:00:00Z", "until": "2026-11-22T09:00:00Z"}]
)
def test_a_period_without_an_end_is_refused(api: Api, body: dict) -> None:
    endpoint = EndpointFactory(owner=api.user)

    assert_problem(api.post(f"webhook-endpoints/{endpoint.pk}/redeliver/", body), 400, "invalid")


def test_an_endpoint_of_another_client_is_404(api: Api) -> None:
    endpoint = EndpointFactory()
    delivery = WebhookDeliveryFactory(endpoint=endpoint, state="failed")
    path = f"webhook-endpoints/{endpoint.pk}/"

    answers = [
        api.get(path),
        api("PATCH", path, {"description": "mine"}),
        api("DELETE", path),
        api.post(f"{path}rotate-secret/"),
        api.post(f"{path}test/"),
        api.get(f"{path}deliveries/"),
        api.post(f"{path}deliveries/{delivery.pk}/redeliver/"),
        api.post(f"{path}redeliver/", {"since": "2026-11-22T09:00:00Z", "until": "2026-11-22T10:00:00Z"}),
    ]

    for answer in answers:
        assert_problem(answer, 404, "not_found")
    assert api.get("webhook-endpoints/").json()["count"] == 0
    assert (WebhookEndpoint.objects.count(), WebhookSecret.objects.count()) == (1, 0)


def test_a_delivery_of_another_endpoint_is_404(api: Api) -> None:
    mine = EndpointFactory(owner=api.user)
    foreign = WebhookDeliveryFactory(state="failed")

    assert_problem(api.post(f"webhook-endpoints/{mine.pk}/deliveries/{foreign.pk}/redeliver/"), 404, "not_found")
    foreign.refresh_from_db()
    assert foreign.state == "failed"


def test_endpoints_of_callback_urls_are_not_listed(api: Api) -> None:
    ClientEventFactory(message=MessageFactory(owner=api.user, callback_url="https://client.example.com/1"))
    event_log.number(now=NOW)
    lane = WebhookEndpoint.objects.get()

    assert api.get("webhook-endpoints/").json()["count"] == 0
    assert_problem(api.get(f"webhook-endpoints/{lane.pk}/"), 404, "not_found")


def test_senders_can_change_endpoints_and_readers_can_only_read(api: Api, installed) -> None:
    sender, reader = Api(member("sender", API_SENDER)), Api(member("reader", API_READER))
    endpoint = EndpointFactory(owner=reader.user)

    assert sender.post("webhook-endpoints/", NEW).status_code == 201
    assert reader.get(f"webhook-endpoints/{endpoint.pk}/deliveries/").status_code == 200
    for answer in (
        reader.post("webhook-endpoints/", NEW),
        reader("DELETE", f"webhook-endpoints/{endpoint.pk}/"),
        reader.post(f"webhook-endpoints/{endpoint.pk}/rotate-secret/"),
        reader.post("webhook-endpoints/default-secret/rotate/"),
    ):
        assert_problem(answer, 403, "permission_denied")


def test_a_cancel_notifies_the_webhooks(api: Api, express, broker) -> None:
    message = MessageFactory(owner=api.user)

    api.post(f"messages/{message.pk}/cancel/")

    assert broker.webhook_notifications == 1
