"""Webhook deliveries: signature, schedule, results, claims."""

import json
import logging
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count, repeat

import pytest
from django.db import ProgrammingError
from django.db.models import Min
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from messaging import callback_policy, database_faults
from messaging.models import ClientEvent, Message, Rollup, WebhookDelivery, WebhookEndpoint
from messaging.services.reporting import statistics
from messaging.services.representation import serialize_message
from messaging.services.webhooks import Deliverer, secrets
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.settle import Result, settle
from providers.http.public_addresses import AddressRefused
from providers.http.transport import HttpResponse
from tests.database_faults import passing_faults
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    UserFactory,
    WebhookDeliveryFactory,
    lose_the_key,
)
from tests.messaging.services.webhooks.conftest import AtOnceExecutor, broken, status

pytestmark = pytest.mark.django_db

SEQUENCE = count(1_000_000)
LEASE = timedelta(seconds=60)
SCHEDULE = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000]


def endpoint_with_secret(**kwargs) -> tuple[WebhookEndpoint, str]:
    endpoint = EndpointFactory(**kwargs)
    return endpoint, secrets.rotate(owner_id=endpoint.owner_id, endpoint=endpoint, now=NOW)


def due(endpoint: WebhookEndpoint, **kwargs) -> WebhookDelivery:
    event = ClientEventFactory(owner=endpoint.owner, sequence=next(SEQUENCE))
    return WebhookDeliveryFactory(endpoint=endpoint, event=event, **kwargs)


def test_an_event_is_delivered_as_standard_webhooks_specifies(deliverer: Deliverer, receiver) -> None:
    message = MessageFactory(delivered=True)
    event = ClientEventFactory(message=message)
    endpoint, _secret = endpoint_with_secret(owner=message.owner, url="https://client.example.com/hook?a=b")

    assert deliverer.run() == 1

    [call] = receiver.calls
    event.refresh_from_db()
    assert call.url == "https://client.example.com/hook?a=b"
    assert json.loads(call.body) == {
        "type": "message.delivered",
        "timestamp": "2026-11-22T09:00:00Z",
        "sequence": event.sequence,
        "data": serialize_message(Message.objects.get()) | {"attempts": 0, "from": None, "sent_at": None},
    }
    assert {name: call.headers[name] for name in ("Content-Type", "webhook-id", "webhook-timestamp")} == {
        "Content-Type": "application/json",
        "webhook-id": str(event.public_id),
        "webhook-timestamp": str(int(NOW.timestamp())),
    }
    delivery = WebhookDelivery.objects.get()
    assert (delivery.endpoint, delivery.state, delivery.attempts, delivery.response_status) == (
        endpoint,
        "succeeded",
        1,
        200,
    )
    assert (delivery.attempted_at, delivery.finished_at, delivery.error) == (NOW, NOW, "")


def test_a_message_whose_text_cannot_be_decrypted_waits_and_delays_no_other(
    clock, deliverer: Deliverer, receiver, monkeypatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    lost, other = (endpoint_with_secret()[0] for _ in range(2))
    delivery = due(lost)
    lose_the_key(Message.objects.get())
    due(other)

    assert deliverer.run() == 1

    assert [call.url for call in receiver.calls] == [other.url]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at, delivery.claim_id, delivery.error) == (
        "pending",
        1,
        NOW + timedelta(seconds=5),
        None,
        "The message's text cannot be opened.",
    )
    lost.refresh_from_db()
    assert lost.failing_since is None
    Message.objects.update(text="Hello")
    clock.forward(seconds=5)
    assert deliverer.run() == 1
    assert json.loads(receiver.calls[-1].body)["data"]["message"] == "Hello"


def test_both_secrets_sign_for_a_day_after_a_rotation(clock, deliverer: Deliverer, receiver) -> None:
    endpoint, old = endpoint_with_secret()
    new = secrets.rotate(owner_id=endpoint.owner_id, endpoint=endpoint, now=NOW)
    for hours in (0, 23.99, 24):
        clock.now = NOW + timedelta(hours=hours)
        due(endpoint)
        deliverer.run()

    signers = [
        [
            name
            for name, secret in (("old", old), ("new", new))
            if Webhook(secret).sign(call.headers["webhook-id"], call.at, call.body.decode())
            in call.headers["webhook-signature"].split(" ")
        ]
        for call in receiver.calls
    ]

    assert signers == [["old", "new"], ["old", "new"], ["new"]]


def test_a_callback_url_is_signed_with_the_owners_default_secret(deliverer: Deliverer, receiver) -> None:
    message = MessageFactory(delivered=True, callback_url="https://client.example.com/order-42")
    secret = secrets.rotate(owner_id=message.owner_id, endpoint=None, now=NOW)
    ClientEventFactory(message=message)

    deliverer.run()

    [call] = receiver.calls
    assert call.url == "https://client.example.com/order-42"
    assert call.headers["webhook-signature"] == Webhook(secret).sign(
        call.headers["webhook-id"], NOW, call.body.decode()
    )


def test_a_missing_default_secret_is_created_and_every_call_is_signed(deliverer: Deliverer, receiver) -> None:
    message = MessageFactory(delivered=True, callback_url="https://client.example.com/order-42")
    for _ in range(2):
        ClientEventFactory(message=message)

    deliverer.run()
    requested = secrets.rotate(owner_id=message.owner_id, endpoint=None, now=NOW)
    ClientEventFactory(message=message)
    deliverer.run()

    assert [len(call.headers["webhook-signature"].split(" ")) for call in receiver.calls] == [1, 1, 2]
    last = receiver.calls[-1]
    assert (
        Webhook(requested).sign(last.headers["webhook-id"], NOW, last.body.decode())
        in last.headers["webhook-signature"]
    )


def test_a_secret_whose_key_is_gone_is_reported(deliverer: Deliverer, receiver, settings) -> None:
    endpoint, _ = endpoint_with_secret()
    due(endpoint)
    settings.SECRET_KEY = "another-key"

    deliverer.run()

    assert receiver.calls == []
    assert WebhookDelivery.objects.get().error == "The endpoint's secret cannot be read; rotate it."


def test_a_secret_is_still_read_with_a_former_key(deliverer: Deliverer, receiver, settings) -> None:
    endpoint, _ = endpoint_with_secret()
    due(endpoint)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", [settings.SECRET_KEY]

    deliverer.run()

    assert len(receiver.calls) == 1


# --- The schedule -----------------------------------------------------------------------------------------------------


def test_a_failing_receiver_is_called_by_the_schedule_and_then_no_more(clock, deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    receiver.reply = status(500)

    for _ in SCHEDULE:
        deliverer.run()
        delivery.refresh_from_db()
        if delivery.next_attempt_at:
            clock.now = delivery.next_attempt_at - timedelta(milliseconds=1)
            assert deliverer.run() == 0  # one millisecond early
            clock.now = delivery.next_attempt_at

    waits = [later.at - earlier.at for earlier, later in zip(receiver.calls, receiver.calls[1:], strict=False)]
    assert [wait.total_seconds() for wait in waits] == SCHEDULE[1:]
    assert (delivery.state, delivery.attempts, delivery.error) == ("failed", 8, "The endpoint answered 500.")
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1


def test_after_an_outage_of_ten_minutes_every_event_arrives_on_schedule(clock, receiver) -> None:
    """An event every 30 seconds; the receiver is down for the first ten minutes."""
    endpoint, _ = endpoint_with_secret()
    spread = random.Random(7)
    deliverer = Deliverer(receiver, clock=clock, executor_factory=AtOnceExecutor, position=spread.random)
    up_again = NOW + timedelta(minutes=10)
    receiver.reply = lambda url: status(200)(url) if clock.now >= up_again else broken(url)
    message = MessageFactory(owner=endpoint.owner)

    happens_at = [NOW + timedelta(seconds=30 * index) for index in range(40)]
    while clock.now < NOW + timedelta(hours=3):
        if clock.now in happens_at:
            ClientEventFactory(message=message, at=clock.now)
        deliverer.run()
        due_at = WebhookDelivery.objects.filter(state="pending").aggregate(Min("next_attempt_at"))[
            "next_attempt_at__min"
        ]
        clock.now = min(at for at in [*happens_at, due_at, NOW + timedelta(hours=3)] if at and at > clock.now)

    deliveries = WebhookDelivery.objects.all()
    assert {row.state for row in deliveries} == {"succeeded"}
    assert len(deliveries) == ClientEvent.objects.count() == 40
    tries: dict[str, list] = {}
    for call in receiver.calls:
        tries.setdefault(call.headers["webhook-id"], []).append(call.at)
    for event in ClientEvent.objects.all():
        [first, *rest] = tries[str(event.public_id)]
        assert first - event.at <= timedelta(seconds=1)
        for number, (earlier, later) in enumerate(zip([first, *rest], rest, strict=False)):
            waited = (later - earlier).total_seconds()
            assert 0.8 * SCHEDULE[number + 1] <= waited <= 1.2 * SCHEDULE[number + 1] + 1


@pytest.mark.parametrize(("retry_after", "seconds"), [("60", 60), ("1", 5), ("soon", 5), ("999999999", 86_400)])
def test_retry_after_lengthens_the_delay_and_never_shortens_it(
    clock, deliverer, receiver, retry_after: str, seconds: float
) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    receiver.reply = status(503, Retry_After=retry_after)

    deliverer.run()

    delivery.refresh_from_db()
    assert delivery.next_attempt_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("position", [0.0, 0.25, 0.999])
@pytest.mark.parametrize("attempts", range(1, 8))
def test_the_delay_is_spread_by_a_fifth_at_most(attempts: int, position: float) -> None:
    delay = callback_policy.next_delay(attempts=attempts, position=position)

    assert delay == pytest.approx(SCHEDULE[attempts] * (0.8 + 0.4 * position))


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 404, 429, 500])
def test_every_status_but_a_success_is_retried(deliverer, receiver, code: int) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    receiver.reply = status(code)

    deliverer.run()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.response_status, delivery.next_attempt_at) == (
        "pending",
        code,
        NOW + timedelta(seconds=5),
    )


def test_a_refused_address_is_not_called_and_the_reason_is_stored(deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)

    def refused(_url: str) -> None:
        raise AddressRefused("this is not a public address")

    receiver.reply = refused
    deliverer.run()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.response_status) == ("pending", None)
    assert delivery.error == "Not delivered: this is not a public address."


def test_a_bug_in_one_call_does_not_stop_the_others(deliverer, receiver, caplog: pytest.LogCaptureFixture) -> None:
    bad, _ = endpoint_with_secret(url="https://bad.example.com/")
    good, _ = endpoint_with_secret(url="https://good.example.com/")
    due(bad)
    due(good)

    def reply(url: str):
        if "bad" in url:
            raise RuntimeError("a secret of ours")
        return status(200)(url)

    receiver.reply = reply
    deliverer.run()

    assert dict(WebhookDelivery.objects.values_list("endpoint__url", "state")) == {
        bad.url: "pending",
        good.url: "succeeded",
    }
    assert [record.message for record in caplog.records] == ["webhook call failed: RuntimeError"]


def test_the_delivery_of_an_erased_message_fails(deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    Message.objects.all().delete()

    assert deliverer.run() == 0

    delivery.refresh_from_db()
    assert (receiver.calls, delivery.state, delivery.error) == ([], "failed", "The message has been erased.")


def test_a_test_is_tried_once(deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = WebhookDeliveryFactory(endpoint=endpoint, event=None)
    receiver.reply = status(500)

    deliverer.run()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 1)
    assert json.loads(receiver.calls[0].body)["type"] == "webhook.test"
    assert receiver.calls[0].headers["webhook-id"] == str(delivery.pk)


# --- When an endpoint is disabled -----------------------------------------------------------------------------------


def test_410_disables_the_endpoint_at_once(deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    receiver.reply = status(410)

    deliverer.run()

    endpoint.refresh_from_db()
    delivery.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "The endpoint answered 410 Gone.")
    assert delivery.state == "failed"


def test_410_of_one_callback_url_ends_only_its_delivery(deliverer, receiver) -> None:
    message = MessageFactory(callback_url="https://client.example.com/order-42")
    ClientEventFactory(message=message)
    receiver.reply = status(410)

    deliverer.run()

    assert WebhookDelivery.objects.get().state == "failed"
    assert WebhookEndpoint.objects.get().is_enabled is True


def test_a_disabled_endpoint_is_not_called(deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret(is_enabled=False)
    due(endpoint)

    assert deliverer.run() == 0
    assert receiver.calls == []


def test_five_days_of_failures_disable_the_endpoint(clock, deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    receiver.reply = status(500)
    for hours, enabled in ((0, True), (60, True), (119.9, True), (120, False)):
        clock.now = NOW + timedelta(hours=hours)
        due(endpoint, next_attempt_at=clock.now)
        WebhookDelivery.objects.exclude(next_attempt_at=clock.now).delete()
        deliverer.run()

        endpoint.refresh_from_db()
        assert endpoint.is_enabled is enabled

    assert endpoint.disabled_reason == "Every delivery has failed for five days."


def test_an_endpoint_that_sometimes_succeeds_is_never_disabled(clock, deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    for day in range(12):
        clock.now = NOW + timedelta(days=day)
        receiver.reply = status(200 if day % 4 == 3 else 500)
        WebhookDelivery.objects.all().delete()
        due(endpoint, next_attempt_at=clock.now)
        deliverer.run()

    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.failing_since) == (True, None)


def test_a_success_in_the_same_batch_outweighs_the_failures(clock, deliverer, receiver) -> None:
    endpoint, _ = endpoint_with_secret()
    due(endpoint)
    due(endpoint)
    replies = iter([HttpResponse(500, {}, b""), HttpResponse(200, {}, b"")])
    receiver.reply = lambda _url: next(replies)

    deliverer.run()

    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.failing_since) == (True, None)


# --- Claims -----------------------------------------------------------------------------------------------------------


def by_endpoint(jobs) -> dict:
    return dict(Counter(job.endpoint_id for job in jobs))


def test_a_claim_contains_a_few_deliveries_of_each_endpoint() -> None:
    well, _ = endpoint_with_secret()
    failing, _ = endpoint_with_secret(failing_since=NOW)
    for _ in range(6):
        due(well)
        due(failing)

    jobs = claim(limit=32, in_flight=(), now=NOW, lease=LEASE)
    more = claim(limit=24, in_flight=jobs, now=NOW, lease=LEASE)
    [one] = [job for job in jobs if job.endpoint_id == well.pk][:1]
    after_one = claim(limit=25, in_flight=[job for job in jobs if job is not one], now=NOW, lease=LEASE)

    assert by_endpoint(jobs) == {well.pk: 4, failing.pk: 4}
    assert more == []
    assert by_endpoint(after_one) == {well.pk: 1}


def test_failing_endpoints_share_half_of_the_slots() -> None:
    failing = [endpoint_with_secret(failing_since=NOW)[0] for _ in range(3)]
    well, _ = endpoint_with_secret()
    for endpoint in (*failing, well):
        for _ in range(6):
            due(endpoint)

    jobs = claim(limit=14, in_flight=(), now=NOW, lease=LEASE)
    more = claim(limit=14 - len(jobs), in_flight=jobs, now=NOW, lease=LEASE)

    assert by_endpoint(jobs) == {well.pk: 4} | {endpoint.pk: 2 for endpoint in failing}
    assert more == []


def test_many_failing_endpoints_leave_half_of_the_slots_free() -> None:
    for _ in range(10):
        due(endpoint_with_secret(failing_since=NOW)[0])

    jobs = claim(limit=8, in_flight=(), now=NOW, lease=LEASE)
    due(endpoint_with_secret()[0])
    [one] = claim(limit=4, in_flight=jobs, now=NOW, lease=LEASE)

    assert len(jobs) == 4
    assert (one.is_failing, {job.is_failing for job in jobs}) == (False, {True})


def test_an_owner_with_many_endpoints_gets_half_of_the_slots_while_another_waits() -> None:
    many, other = UserFactory(), UserFactory()
    for owner in [many] * 5 + [other]:
        endpoint, _ = endpoint_with_secret(owner=owner)
        for _ in range(4):
            due(endpoint)

    jobs = claim(limit=8, in_flight=(), now=NOW, lease=LEASE)

    assert Counter(job.owner_id for job in jobs) == {many.pk: 4, other.pk: 4}


def test_a_single_owner_gets_all_slots() -> None:
    owner = UserFactory()
    for _ in range(8):
        due(endpoint_with_secret(owner=owner)[0])

    assert len(claim(limit=8, in_flight=(), now=NOW, lease=LEASE)) == 8


def test_a_claim_is_no_larger_than_requested() -> None:
    for _ in range(3):
        endpoint, _ = endpoint_with_secret()
        due(endpoint)

    assert len(claim(limit=2, in_flight=(), now=NOW, lease=LEASE)) == 2


def test_the_repr_of_a_job_shows_neither_text_nor_secret() -> None:
    endpoint, secret = endpoint_with_secret(url="https://client.example.com/token-in-path")
    due(endpoint)

    [job] = claim(limit=1, in_flight=(), now=NOW, lease=LEASE)

    shown = repr(job) + repr(Result(job)) + repr(endpoint.secrets.get()) + str(endpoint.secrets.get())
    assert not [
        private for private in (secret, secret.removeprefix("whsec_"), "token-in-path", "code is") if private in shown
    ]
    assert secret.removeprefix("whsec_") not in endpoint.secrets.get().sealed


def test_the_claim_of_a_dead_worker_is_retried_and_counts_as_an_attempt() -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint, state="pending")
    claim(limit=1, in_flight=(), now=NOW, lease=LEASE)

    assert return_expired_claims(now=NOW + LEASE - timedelta(seconds=1)) == 0
    assert return_expired_claims(now=NOW + LEASE) == 1

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.claim_id) == ("pending", 1, None)
    assert timedelta(seconds=4) <= delivery.next_attempt_at - NOW - LEASE <= timedelta(seconds=6)


def test_a_result_after_the_lease_changes_nothing() -> None:
    endpoint, _ = endpoint_with_secret()
    delivery = due(endpoint)
    [job] = claim(limit=1, in_flight=(), now=NOW, lease=LEASE)
    return_expired_claims(now=NOW + LEASE)

    settle([Result(job, status=200)], now=NOW + LEASE, positions=[0.5])

    delivery.refresh_from_db()
    assert (delivery.state, delivery.response_status) == ("pending", None)


@pytest.mark.parametrize("size", [1, 4])
def test_settling_takes_the_same_number_of_queries(size: int, django_assert_num_queries) -> None:
    endpoint, _ = endpoint_with_secret()
    for _ in range(size):
        due(endpoint)
    jobs = claim(limit=4, in_flight=(), now=NOW, lease=LEASE)
    results = [Result(job, status=(200, 500)[index % 2]) for index, job in enumerate(jobs)]

    with django_assert_num_queries(6):  # savepoint and release, select, update, count, endpoint
        settle(results, now=NOW, positions=[0.1, 0.2, 0.3, 0.4][:size])


def test_no_log_line_has_a_secret_or_a_text(deliverer, receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint, secret = endpoint_with_secret()
    due(endpoint)
    receiver.reply = broken

    deliverer.run()

    assert not [private for private in (secret, "whsec_", "code is") if private in caplog.text]


def test_the_library_verifies_a_call_with_its_secret_and_no_other(deliverer, receiver, clock) -> None:
    endpoint, secret = endpoint_with_secret()
    _, other = endpoint_with_secret(owner=UserFactory())
    clock.now = datetime.now(UTC)  # the library compares with the system clock
    due(endpoint, next_attempt_at=clock.now)
    deliverer.run()
    [call] = receiver.calls

    assert Webhook(secret).verify(call.body, dict(call.headers))["type"] == "message.delivered"
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(call.body, dict(call.headers))


def test_calls_are_counted_by_outcome(deliverer: Deliverer, receiver) -> None:
    endpoint, _secret = endpoint_with_secret()
    rows = [due(endpoint) for _ in range(3)]
    WebhookDelivery.objects.filter(pk=rows[2].pk).update(attempts=len(SCHEDULE) - 1)
    jobs = claim(limit=3, in_flight=(), now=NOW, lease=LEASE)

    settle(
        [Result(job, status=200 if job.delivery_id == rows[0].pk else 500) for job in jobs],
        now=NOW,
        positions=[0.5] * 3,
    )

    counted = {total.word: total.count for total in statistics.totals(metrics=(Rollup.Metric.WEBHOOK,))}
    assert counted == {"succeeded": 1, "retried": 1, "failed": 1}


@pytest.mark.parametrize(("attempts", "outcome"), [(0, "retried"), (len(SCHEDULE) - 1, "failed")])
def test_a_call_whose_worker_died_is_counted_too(attempts: int, outcome: str) -> None:
    due(endpoint_with_secret()[0], attempts=attempts)
    claim(limit=1, in_flight=(), now=NOW, lease=LEASE)

    return_expired_claims(now=NOW + LEASE)

    assert {total.word: total.count for total in statistics.totals(metrics=(Rollup.Metric.WEBHOOK,))} == {outcome: 1}


def test_a_delivery_of_an_erased_message_is_counted_too() -> None:
    due(endpoint_with_secret()[0])
    Message.objects.all().delete()

    assert claim(limit=1, in_flight=(), now=NOW, lease=LEASE) == []

    assert WebhookDelivery.objects.get().state == "failed"
    assert {total.word: total.count for total in statistics.totals(metrics=(Rollup.Metric.WEBHOOK,))} == {"failed": 1}


class TestDatabaseUnavailable:
    @pytest.fixture(autouse=True)
    def _no_pauses(self, monkeypatch) -> None:
        monkeypatch.setattr(database_faults, "pauses", lambda: repeat(0.0))

    @pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
    def test_results_are_saved_when_it_is_available_again_without_another_call(
        self, deliverer: Deliverer, receiver, monkeypatch, fault
    ) -> None:
        due(endpoint_with_secret()[0])
        faults = iter([fault] * 20)

        def settle_later(*args: object, **options: object) -> None:
            raised = next(faults, None)
            if raised is not None:
                raise raised
            settle(*args, **options)

        monkeypatch.setattr("messaging.services.webhooks.deliverer.settle", settle_later)

        assert deliverer.run() == 1

        assert len(receiver.calls) == 1
        assert WebhookDelivery.objects.get().state == "succeeded"

    @pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
    def test_a_fault_while_claiming_does_not_lose_calls_in_flight(
        self, deliverer: Deliverer, receiver, monkeypatch, fault
    ) -> None:
        due(endpoint_with_secret()[0])
        claims = iter([claim])

        def claim_once(**options: object) -> list:
            claiming = next(claims, None)
            if claiming is None:
                raise fault
            return claiming(**options)

        monkeypatch.setattr("messaging.services.webhooks.deliverer.claim", claim_once)
        monkeypatch.setattr(deliverer._wake, "wait", lambda _seconds: None)
        checks = iter([True])
        real = AtOnceExecutor.submit

        def submit(self, *args):
            future = real(self, *args)
            done, future.done = future.done, lambda: not next(checks, False) and done()
            return future

        monkeypatch.setattr(AtOnceExecutor, "submit", submit)

        with pytest.raises(type(fault)):
            deliverer.run()

        assert len(receiver.calls) == 1
        assert WebhookDelivery.objects.get().state == "succeeded"

    def test_a_permanent_fault_is_not_retried(self, deliverer: Deliverer, receiver, monkeypatch) -> None:
        due(endpoint_with_secret()[0])

        def fail(*_: object, **_more: object) -> None:
            raise ProgrammingError("no such column")

        monkeypatch.setattr("messaging.services.webhooks.deliverer.settle", fail)

        assert deliverer.run() == 1

        assert WebhookDelivery.objects.get().state == "sending"
