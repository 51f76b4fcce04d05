"""Which account a message goes to when accounts are failing, limited, paused or disabled."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers import registry
from providers.errors import CredentialsRefused, RateLimited, Unavailable
from providers.models import ProviderAccount, ProviderEvent
from providers.state import account_state, circuit_breaker
from providers.state.account_state import CallResult
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, SenderFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher

pytestmark = pytest.mark.django_db
DOWN = Unavailable("answered 500")


@pytest.fixture(autouse=True)
def express(db):
    return QueueFactory()


def start(now=NOW, limit: int = 16):
    return start_attempts(claim(queue_name="express", limit=limit, now=now, lease=LEASE), now=now, lease=LEASE)


def account(slug: str, *, weight: int = 100, is_enabled: bool = True, **config) -> ProviderAccount:
    config = {"url": "http://127.0.0.1:9/", **config}
    return AccountFactory(slug=slug, weight=weight, is_enabled=is_enabled, config=config)


def break_(slug: str, *, at=NOW) -> None:
    account_state.record([CallResult(slug, DOWN, 5)] * 5, now=at)


def waiting() -> Message:
    message = Message.objects.get()
    assert (message.status, message.attempts, message.rounds_failed) == ("queued", 0, 0)
    assert not DeliveryAttempt.objects.exists()
    return message


class TestCircuit:
    def test_an_account_with_an_open_circuit_is_skipped(self) -> None:
        account("open", weight=1000)
        account("fine", weight=1)
        break_("open")
        MessageFactory.create_batch(5)

        assert {call.account.slug for call in start()} == {"fine"}

    def test_when_all_are_open_messages_wait_and_no_round_has_failed(self) -> None:
        account("one")
        break_("one")
        MessageFactory()

        assert start() == []

        message = waiting()
        assert timedelta(seconds=5) <= message.next_attempt_at - NOW <= timedelta(seconds=6)
        assert (message.error_code, message.error_detail) == (
            "waiting_for_provider",
            "Waits until one of one can be called again.",
        )
        assert message.events.last().detail == message.error_detail

    def test_messages_wait_however_long_the_circuit_is_open(self) -> None:
        account("only")
        break_("only")
        clock, carrier = Clock(), Carrier(DOWN)
        MessageFactory(valid_for=86_400)

        for _ in range(40):
            circuit_breaker.hold_open("only", reason="test", now=clock.now.timestamp())
            account_state.invalidate()
            dispatcher(carrier, clock=clock).run("express")
            clock.advance(60)
            recovery.release_due(now=clock.now)
        waiting()
        account_state.reset("only", now=clock.now)
        carrier.default = None
        clock.advance(60)
        dispatcher(carrier, clock=clock).run("express")

        message = Message.objects.get()
        assert (message.status, message.error_code, message.error_detail) == ("sent", "", "")

    def test_half_open_lets_one_message_probe_and_the_others_wait(self) -> None:
        account("only")
        break_("only")
        MessageFactory.create_batch(5)
        later = NOW + timedelta(seconds=5)

        [call] = start(later)

        assert call.is_probe
        assert Counter(Message.objects.values_list("status", flat=True)) == {"sending": 1, "queued": 4}
        assert set(Message.objects.filter(status="queued").values_list("rounds_failed", flat=True)) == {0}

    def test_a_successful_probe_closes_the_circuit(self) -> None:
        account("only")
        clock, carrier = Clock(), Carrier(DOWN)
        for _ in range(5):
            MessageFactory()
        dispatcher(carrier, clock=clock, concurrency=1).run("express")
        assert len(carrier.calls) == 5

        carrier.default = None
        MessageFactory.create_batch(5)
        for _ in range(3):
            clock.advance(7)
            recovery.release_due(now=clock.now)
            dispatcher(carrier, clock=clock).run("express")

        assert Counter(Message.objects.values_list("status", flat=True)) == {"sent": 10}
        assert [(event.kind, event.account_id, event.detail) for event in ProviderEvent.objects.order_by("id")] == [
            ("circuit_opened", "only", "provider_unavailable: answered 500"),
            ("circuit_closed", "only", ""),
        ]

    def test_refused_credentials_notify_an_operator_once(self, caplog) -> None:
        account("locked")
        account("fine")
        MessageFactory.create_batch(40)
        carrier = Carrier(locked=CredentialsRefused("answered 401"))

        dispatcher(carrier, concurrency=4).run("express")

        assert carrier.slugs.count("locked") <= 4
        assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
        event = ProviderEvent.objects.get()
        assert (event.kind, event.detail, event.actor) == (
            "needs_operator",
            "provider_credentials_refused: answered 401",
            None,
        )
        assert [r.levelname for r in caplog.records if "its circuit opened" in r.getMessage()] == ["ERROR"]


class TestLimit:
    def test_no_more_begin_than_can_leave_soon_and_the_rest_is_no_failure(self) -> None:
        account("slow", max_per_second=10)
        MessageFactory.create_batch(60)

        calls = start(limit=60)

        assert len(calls) == 18
        assert all(later.not_before > earlier.not_before for earlier, later in pairwise(calls))
        rest = Message.objects.filter(status="queued")
        assert rest.count() == 42
        assert set(rest.values_list("rounds_failed", "error_code", "attempts")) == {(0, "waiting_for_rate", 0)}
        due = sorted(rest.values_list("next_attempt_at", flat=True))
        assert due[-1] - due[0] == pytest.approx(timedelta(seconds=41 * 0.11), abs=timedelta(milliseconds=1))

    def test_another_account_takes_what_one_has_no_room_for(self) -> None:
        account("slow", weight=1000, max_per_second=1)
        account("fine", weight=1)
        MessageFactory.create_batch(10)

        assert Counter(call.account.slug for call in start()) == {"slow": 2, "fine": 8}

    def test_messages_to_one_number_keep_their_order(self) -> None:
        account("slow", max_per_second=10)
        for text in "abc":
            MessageFactory(text=text, to_number="+14155550101")
        carrier = Carrier()

        dispatcher(carrier).run("express")

        assert carrier.texts == ["a", "b", "c"]

    def test_those_that_have_waited_go_before_those_that_come_fresh(self) -> None:
        account("slow", max_per_second=1)
        MessageFactory.create_batch(10)
        start()
        Message.objects.filter(status="queued").update(next_attempt_at=None)
        fresh = MessageFactory()

        start()

        fresh.refresh_from_db()
        assert (fresh.status, fresh.error_code) == ("queued", "waiting_for_rate")

    def test_bulk_leaves_room_for_a_single_message(self) -> None:
        account("slow", max_per_second=10)
        MessageFactory.create_batch(60, is_bulk=True)
        assert len(start(limit=60)) == 9
        MessageFactory(text="single")

        [call] = start()

        assert call.message.text == "single"

    def test_a_one_time_password_does_not_wait_behind_single_messages_that_wait(self) -> None:
        account("slow", max_per_second=10)
        MessageFactory.create_batch(60)
        start(limit=60)
        assert Message.objects.filter(status="queued", error_code="waiting_for_rate").exists()
        MessageFactory(text="code", category="otp")

        [call] = start()

        assert call.message.text == "code"

    def test_an_emergency_to_a_list_waits_in_the_line_of_single_messages(self) -> None:
        account("slow", max_per_second=10)
        MessageFactory.create_batch(60, is_bulk=True)
        start(limit=60)
        MessageFactory(text="warning", category="emergency", is_bulk=True)

        [call] = start()

        assert call.message.text == "warning"

    def test_no_message_waits_beyond_its_validity(self) -> None:
        account("slow", max_per_second=0.01)
        MessageFactory.create_batch(2)
        end = NOW + timedelta(seconds=30)
        Message.objects.update(expires_at=end)

        start()

        assert Message.objects.get(status="queued").next_attempt_at == end

    def test_a_paused_account_is_skipped(self) -> None:
        account("paused")
        account("fine")
        account_state.record([CallResult("paused", RateLimited("slow down", retry_after=60), 5)], now=NOW)
        MessageFactory.create_batch(4)

        assert {call.account.slug for call in start()} == {"fine"}

    @pytest.mark.parametrize("asked", [60, 3600, 86_400])
    def test_while_all_are_paused_messages_are_checked_again_after_30_seconds(self, asked: float) -> None:
        account("paused")
        account_state.record([CallResult("paused", RateLimited("slow down", retry_after=asked), 5)], now=NOW)
        MessageFactory.create_batch(16)

        assert start() == []

        waits = [due - NOW for due in Message.objects.values_list("next_attempt_at", flat=True)]
        assert timedelta(seconds=30) <= min(waits) < max(waits) <= timedelta(seconds=33)
        assert set(Message.objects.values_list("error_code", "rounds_failed")) == {("waiting_for_provider", 0)}

    def test_a_new_account_takes_them_at_the_next_check(self) -> None:
        account("paused")
        account_state.record([CallResult("paused", RateLimited("slow down", retry_after=3600), 5)], now=NOW)
        MessageFactory()
        start()
        account("fresh")
        later = NOW + timedelta(seconds=33)
        recovery.release_due(now=later)

        assert [call.account.slug for call in start(later)] == ["fresh"]

    def test_a_round_in_which_all_accounts_rate_limit_is_not_a_failed_one(self) -> None:
        account("paused")
        MessageFactory()
        clock, carrier = Clock(), Carrier(RateLimited("slow down", retry_after=60))

        for _ in range(10):
            dispatcher(carrier, clock=clock).run("express")
            clock.advance(60)
            recovery.release_due(now=clock.now)

        message = Message.objects.get()
        assert (message.status, message.rounds_failed, message.attempts) == ("queued", 0, 10)
        assert message.error_code == "provider_rate_limited"


class TestDisabled:
    """See docs/decisions/0010-disabled-accounts-keep-their-messages.md."""

    def test_its_backend_is_closed_with_the_next_batch(self, monkeypatch) -> None:
        disabled, _other = account("disabled"), account("other")
        closed = []
        with registry.backend_for(disabled) as backend:
            monkeypatch.setattr(backend, "close", lambda: closed.append(True))
        disabled.is_enabled = False
        disabled.save()
        MessageFactory()

        start()

        assert closed == [True]

    @pytest.mark.parametrize("disabled", [{"is_enabled": False}, {"weight": 0}], ids=["off", "weightless"])
    def test_a_message_that_only_a_disabled_account_can_carry_waits_for_it(self, disabled) -> None:
        account("german", allowed_prefixes=["+49"], **disabled)
        account("american", allowed_prefixes=["+1"])
        MessageFactory(to_number="+4915112345678")

        assert start() == []

        message = waiting()
        assert (message.next_attempt_at, message.error_code) == (NOW + timedelta(seconds=30), "waiting_for_provider")
        assert message.error_detail == "Waits until a provider account that carries it is enabled."

    def test_a_message_from_a_disabled_accounts_sender_waits_for_it(self) -> None:
        sender = SenderFactory(account=account("off", is_enabled=False))
        account("fine")
        MessageFactory(from_number=str(sender.number))

        assert start() == []
        waiting()

    def test_a_message_that_another_account_can_carry_goes_there(self) -> None:
        account("off", is_enabled=False, allowed_prefixes=["+1"])
        account("fine")
        MessageFactory()

        assert [call.account.slug for call in start()] == ["fine"]


@pytest.mark.parametrize(
    ("strategy", "slugs"),
    [("failover", {"heavy"}), ("cheapest", {"cheap"}), ("weighted", {"heavy", "cheap"}), ("sticky", {"heavy"})],
)
def test_the_queues_strategy_chooses(express, strategy: str, slugs: set[str]) -> None:
    account("heavy", weight=60, price_per_segment={"+1": 0.01})
    account("cheap", weight=40, price_per_segment={"+1": 0.001})
    express.routing_strategy = strategy
    express.save()
    for _ in range(8):
        MessageFactory(to_number="+14155550101", text=strategy)
        Message.objects.filter(status="sending").update(status="sent", claim_id=None, lease_until=None)
        start()

    assert set(DeliveryAttempt.objects.values_list("provider", flat=True)) == slugs


def test_the_next_account_is_chosen_by_the_queues_strategy_too(express) -> None:
    for slug, weight in (("first", 3), ("second", 2), ("third", 1)):
        account(slug, weight=weight)
    express.routing_strategy = "failover"
    express.save()
    MessageFactory()
    carrier = Carrier(DOWN)

    dispatcher(carrier).run("express")

    assert carrier.slugs == ["first", "second", "third"]
