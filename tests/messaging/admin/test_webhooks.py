"""Webhook endpoints and deliveries in the console."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services.webhooks import secrets
from tests.factories import NOW, EndpointFactory, WebhookDeliveryFactory
from tests.messaging.admin.conftest import Staff

ENDPOINTS, DELIVERIES = "/admin/messaging/webhookendpoint/", "/admin/messaging/webhookdelivery/"


def run_action(client: Client, path: str, name: str, pk: object):
    data = {"action": name, "_selected_action": [str(pk)], "reason": "the client asked"}
    return client.post(path, data, follow=True)


def test_no_page_shows_a_secret(admin: Client) -> None:
    endpoint = EndpointFactory()
    secret = secrets.rotate(owner_id=endpoint.owner_id, endpoint=endpoint, now=NOW)
    delivery = WebhookDeliveryFactory(endpoint=endpoint)

    pages = [admin.get(path) for path in (ENDPOINTS, f"{ENDPOINTS}{endpoint.pk}/change/", DELIVERIES)]
    pages.append(admin.get(f"{DELIVERIES}{delivery.pk}/change/"))

    sealed = endpoint.secrets.get().sealed
    for page in pages:
        assert page.status_code == 200
        assert endpoint.url in page.content.decode()
        assert not [private for private in (secret, "whsec_", sealed) if private in page.content.decode()]


def test_an_endpoint_is_disabled_and_enabled_with_a_reason(admin: Client) -> None:
    endpoint = EndpointFactory(failing_since=NOW)

    run_action(admin, ENDPOINTS, "disable_selected", endpoint.pk)
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "Disabled by hand.")

    run_action(admin, ENDPOINTS, "enable_selected", endpoint.pk)
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason, endpoint.failing_since) == (True, "", None)
    assert sorted(LogEntry.objects.values_list("change_message", flat=True)) == [
        "Disable. Reason: the client asked",
        "Enable. Reason: the client asked",
    ]


def test_a_delivery_is_redelivered(admin: Client, broker) -> None:
    delivery = WebhookDeliveryFactory(state="failed", attempts=8, finished_at=NOW)

    run_action(admin, DELIVERIES, "redeliver_selected", delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("pending", 0)
    assert broker.webhook_notifications == 1


def test_a_delivery_to_a_disabled_endpoint_is_not_redelivered(admin: Client, broker) -> None:
    delivery = WebhookDeliveryFactory(state="failed", endpoint__is_enabled=False)

    page = run_action(admin, DELIVERIES, "redeliver_selected", delivery.pk)

    assert "The endpoint is disabled" in page.content.decode()
    assert WebhookDelivery.objects.get().state == "failed"
    assert broker.webhook_notifications == 0


def test_a_viewer_cannot_run_actions(staff: Staff) -> None:
    viewer = staff("messaging.view_webhookendpoint", "messaging.view_webhookdelivery")
    endpoint, delivery = EndpointFactory(), WebhookDeliveryFactory(state="failed")

    run_action(viewer, ENDPOINTS, "disable_selected", endpoint.pk)
    run_action(viewer, DELIVERIES, "redeliver_selected", delivery.pk)

    assert WebhookEndpoint.objects.get(pk=endpoint.pk).is_enabled is True
    assert WebhookDelivery.objects.get().state == "failed"


@pytest.mark.parametrize("path", [ENDPOINTS, DELIVERIES])
def test_a_list_of_five_costs_as_much_as_a_list_of_one(admin: Client, django_assert_max_num_queries, path: str) -> None:
    WebhookDeliveryFactory()
    admin.get(path)
    with django_assert_max_num_queries(40) as one:
        admin.get(path)
    for _ in range(4):
        WebhookDeliveryFactory()

    with django_assert_max_num_queries(len(one)):
        admin.get(path)
