"""The form of a queue."""

import pytest
from django.test import Client

from messaging.models import OutboundQueue
from messaging.services.outbound import sender_pools
from tests.factories import QueueFactory, SenderFactory, UserFactory

FORM = {"description": "", "routing_strategy": "weighted", "preserve_order": "on", "_reason": "slower"}
PAGE = "/admin/messaging/outboundqueue/express/change/"


@pytest.mark.parametrize(("given", "missing"), [("batch_size", "interval_seconds"), ("interval_seconds", "batch_size")])
def test_half_a_pace_is_refused_with_an_explanation(admin: Client, given: str, missing: str) -> None:
    QueueFactory()

    page = admin.post(PAGE, {**FORM, given: "2"})

    assert page.context["adminform"].form.errors == {missing: ["Set both the batch size and the interval, or neither."]}
    assert OutboundQueue.objects.get().batch_size is None


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 100_001), ("interval_seconds", 86_401), ("interval_seconds", 2**63 - 1)]
)
def test_a_pace_out_of_range_is_refused_at_its_field(admin: Client, field: str, value: int) -> None:
    QueueFactory()

    page = admin.post(PAGE, {**FORM, "batch_size": "2", "interval_seconds": "60", field: str(value)})

    assert set(page.context["adminform"].form.errors) == {field}
    assert OutboundQueue.objects.get().batch_size is None


def test_a_complete_pace_is_stored(admin: Client) -> None:
    QueueFactory()

    assert admin.post(PAGE, {**FORM, "batch_size": "2", "interval_seconds": "60"}).status_code == 302

    queue = OutboundQueue.objects.get()
    assert (queue.batch_size, queue.interval_seconds) == (2, 60)


def test_quiet_hours_are_stored_shown_and_removed(admin: Client) -> None:
    QueueFactory()

    assert admin.post(PAGE, {**FORM, "quiet_from": "21:00", "quiet_until": "08:00"}).status_code == 302
    assert OutboundQueue.objects.get().quiet_in_words == "21:00-08:00"
    assert "21:00-08:00" in admin.get("/admin/messaging/outboundqueue/").content.decode()
    admin.post(PAGE, FORM)

    assert OutboundQueue.objects.get().quiet_in_words == ""


def test_one_of_two_times_is_refused_at_its_field(admin: Client) -> None:
    QueueFactory()

    page = admin.post(PAGE, {**FORM, "quiet_from": "21:00"})

    error = "Set the beginning and the end of quiet hours, or neither."
    assert page.context["adminform"].form.errors["quiet_until"] == [error]
    assert OutboundQueue.objects.get().quiet_from is None


def test_conversion_is_switched_on_and_off(admin: Client) -> None:
    QueueFactory()

    admin.post(PAGE, {**FORM, "use_conversion": "on"})
    assert OutboundQueue.objects.get().use_conversion
    admin.post(PAGE, FORM)

    assert not OutboundQueue.objects.get().use_conversion


def test_the_pool_is_chosen_among_senders_of_nobody(admin: Client) -> None:
    QueueFactory()
    shared, own = SenderFactory(number="+14155550981", owner=None), SenderFactory(number="OWN", owner=UserFactory())

    admin.post(PAGE, {**FORM, "sender_pool": [shared.pk]})
    assert sender_pools.current().sender_for("express", "+12125550101") == "+14155550981"
    page = admin.post(PAGE, {**FORM, "sender_pool": [own.pk]})
    assert "sender_pool" in page.context["adminform"].form.errors
    admin.post(PAGE, FORM)
    assert sender_pools.current().pools == {}
