"""The table of checks, and every path to a provider that runs it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from messaging.models import (
    CountrySenders,
    DeliveryAttempt,
    HoursRule,
    Message,
    PhoneNumber,
    PrefixRule,
    PumpingAlert,
    Suppression,
)
from messaging.policy.velocity import Counting, Limits
from messaging.services.errors import DomainError, RateExceeded
from messaging.services.limits import rules, velocity
from messaging.services.outbound import dispatch, eligibility, hours, recovery, retry, sender_rules
from messaging.services.outbound.dispatch.attempts import Attempt, start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.sending import Deferred, SendResult, send
from messaging.services.outbound.dispatch.settle import settle
from messaging.services.outbound.eligibility import CHECKS, Batch, Check, Ending, Moment
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from providers.errors import NotCalled, Unavailable
from tests.factories import NOW, AccountFactory, HoursRuleFactory, MessageFactory, UserFactory, lose_the_key
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, Carrier, Clock, dispatcher, result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
TO, FROM = "+14155550101", "+15005550006"
TOMORROW = NOW + timedelta(days=1)
# The numbers that the rows added by these tests refuse.
refused_numbers: set[str] = set()


class BudgetExceeded(DomainError):
    code = "budget_exceeded"


BUDGET = Check(
    code="budget_exceeded",
    detail="The month's budget is spent.",
    moments=frozenset(Moment),
    applies=lambda message, batch: message.to_number in batch.of(spent),
    error=BudgetExceeded,
)
HOURS = Check(
    code="later",
    detail="Not yet.",
    moments=frozenset({Moment.CLAIM, Moment.CALL}),
    applies=lambda message, batch: message.to_number in batch.of(spent),
    ends=Ending.DEFER,
    until=lambda _message, _batch: NOW + timedelta(hours=1),
)


def spent(_batch: Batch) -> set[str]:
    return refused_numbers


def opt_out(message: Message) -> None:
    Suppression.objects.create(number=message.to_number, sender="", source="keyword", created_at=NOW)


def change(**values) -> Callable[[Message], None]:
    return lambda message: Message.objects.filter(pk=message.pk).update(**values) and None


def at_night(message: Message) -> None:
    """At `NOW` it is 01:00 in California."""
    Message.objects.filter(pk=message.pk).update(category="marketing")
    if not HoursRule.objects.exists():
        HoursRuleFactory(id="night", hours=[[[120, 1440]]] * 7)
        hours.read()


def block_prefix(message: Message) -> None:
    rules.save(PrefixRule(prefix=message.to_number, is_allowed=False, reason="a test"), now=NOW)


def hold_prefix(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(category="otp")
    message.category = "otp"
    PumpingAlert.objects.get_or_create(
        prefix=message.to_number[:8], defaults={"since": NOW, "last_seen_at": NOW, "is_holding": True}
    )
    rules.read()


def exceed(**limits: int) -> Callable[[Message], None]:
    """The limit is used up by another text to the number; a stored message does not ask for it again."""

    def spoil(message: Message) -> None:
        rules.use(rules.LimitRules(default=Limits(**limits), read_at=1.0))
        other = Message(to_number=message.to_number)
        velocity.judge([other], rules=rules.current(), counting=Counting.RESERVE)

    return spoil


def from_a_name(message: Message) -> None:
    """To a country that takes none."""
    Message.objects.filter(pk=message.pk).update(from_number="ACME")
    if not CountrySenders.objects.exists():
        CountrySenders.objects.create(country="US", takes_names=False)
        sender_rules.expire()
        sender_rules.current()


# For each check, what makes it apply to a stored message.
SPOILS: dict[str, Callable[[Message], None]] = {
    "canceled": change(cancel_requested=True),
    "expired": change(expires_at=NOW),
    "erased": change(text="", erased_at=NOW),
    "recipient_inactive": lambda message: mark_inactive(message.to_number),
    "recipient_opted_out": opt_out,
    "sender_not_allowed_in_country": from_a_name,
    "text_unreadable": lose_the_key,
    "budget_exceeded": lambda message: refused_numbers.add(message.to_number),
    "later": lambda message: refused_numbers.add(message.to_number),
    "outside_hours": at_night,
    "verification_ended": change(verification_id=uuid4()),
    "prefix_blocked": block_prefix,
    "prefix_held": hold_prefix,
    "recipient_rate_exceeded": exceed(recipient_per_hour=1),
    "velocity_exceeded": exceed(calling_code_per_hour=1),
}
# Of checks that tell more about one message.
DETAILS = {
    "outside_hours": "Held until 02:00 America/Los_Angeles (22 Nov): marketing hours, rule night.",
    "prefix_blocked": f"Texts to this number are not allowed: {TO} is blocked: a test.",
    "prefix_held": f"Held: codes to {TO[:8]} wait until staff have looked at an alert of SMS pumping.",
    "sender_not_allowed_in_country": "US takes no names as senders, only numbers and short codes.",
}
# Of drafts: a text is never erased, and `test_sender_rules` has those from a name.
NOT_OF_DRAFTS = {"erased", "sender_not_allowed_in_country", "verification_ended"}
Spoil = Callable[[Message], None]


def explained(check: Check) -> str:
    return DETAILS.get(check.code, check.detail)


def mark_inactive(number: str) -> None:
    PhoneNumber.objects.update_or_create(pk=number, defaults={"status": PhoneNumber.Status.INACTIVE})


def make(**values) -> Message:
    return MessageFactory(**{"to_number": TO, "from_number": FROM, **values})


def stored(message: Message) -> Message:
    return Message.objects.defer("text").get(pk=message.pk)


def claim_all(**options) -> list[Message]:
    return claim(queue_name="express", limit=16, now=NOW, lease=LEASE, **options)


def start() -> list[Attempt]:
    return start_attempts(claim_all(), now=NOW, lease=LEASE)


def save_results(*results: SendResult) -> list[Attempt]:
    return settle(results, now=NOW, lease=LEASE, position=lambda: MIDDLE)


# Paths of messages: each creates one, makes a check apply, and does the next step of a worker, sweep or caller.


def at_claim(spoil: Spoil) -> Message:
    message = make()
    spoil(message)
    assert claim_all() == []
    return message


def at_claim_of_a_tick(spoil: Spoil) -> Message:
    message = make()
    spoil(message)
    assert claim_all(created_until=NOW) == []
    return message


def at_claim_after_a_retry(spoil: Spoil) -> Message:
    message = make(status="failed")
    retry.retry(message_id=message.pk, reason="asked for", actor=message.owner, now=NOW)
    spoil(message)
    assert claim_all() == []
    return message


def at_claim_after_a_lost_worker(spoil: Spoil) -> Message:
    message = make()
    claim_all()
    Message.objects.update(lease_until=NOW)
    spoil(message)
    recovery.return_expired_claims(now=NOW)
    assert claim_all() == []
    return message


def at_first_call(spoil: Spoil) -> Message:
    message = make()
    claimed = claim_all()
    spoil(message)
    assert start_attempts(claimed, now=NOW, lease=LEASE) == []
    assert not DeliveryAttempt.objects.exists()
    return message


def at_failover(spoil: Spoil) -> Message:
    message = make()
    carrier = Carrier(Unavailable("down"))
    carrier.before_response = lambda _call: spoil(message)
    dispatcher(carrier).run("express")
    assert len(carrier.calls) == 1
    return message


def at_delayed_call(spoil: Spoil) -> Message:
    """The rate limit delays the call for some seconds."""
    message = make()
    clock, asked = Clock(), []

    def call(call: Attempt) -> SendResult | Deferred:
        asked.append(call)
        if len(asked) == 1:
            clock.advance(2)
            spoil(message)
            return Deferred(call, 0.001)
        return result_of(call)

    dispatcher(call, clock=clock).run("express")
    assert len(asked) == 1
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.outcome, attempt.error_code) == ("unavailable", "provider_not_called")
    return message


def at_open_connection(spoil: Spoil) -> Message:
    message = make()
    [call] = start()
    spoil(message)
    result = send(replace(call, message=Message.objects.get(pk=message.pk)), clock=Clock())
    assert isinstance(result, SendResult)
    assert isinstance(result.error, NotCalled)
    assert save_results(result) == []
    return message


def at_end_of_validity(spoil: Spoil) -> Message:
    message = make(expires_at=NOW)
    spoil(message)
    assert recovery.expire(now=NOW) == 1
    return message


def at_return_of_the_claim(spoil: Spoil) -> Message:
    message = make(sending=True, attempts=0, lease_until=NOW)
    spoil(message)
    assert recovery.return_expired_claims(now=NOW) == 1
    return message


PATHS: dict[Moment, list[Callable[[Spoil], Message]]] = {
    Moment.CLAIM: [at_claim, at_claim_of_a_tick, at_claim_after_a_retry, at_claim_after_a_lost_worker],
    Moment.CALL: [at_first_call, at_failover, at_delayed_call],
    Moment.LEAVE: [at_open_connection],
    Moment.SWEEP: [at_end_of_validity, at_return_of_the_claim],
}


def applying() -> Iterator[pytest.param]:
    for check in (BUDGET, HOURS, *CHECKS):
        for moment in Moment:
            if moment in check.moments and moment is not Moment.ACCEPT:
                yield from (pytest.param(check, path, id=f"{check.code}-{path.__name__}") for path in PATHS[moment])


@pytest.fixture(autouse=True)
def _a_new_row(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the row that a test is about to the table."""
    callspec = getattr(request.node, "callspec", None)
    check = callspec.params.get("check") if callspec else None
    if check is not None and check not in CHECKS:
        monkeypatch.setattr(eligibility, "CHECKS", (check, *CHECKS))
    yield
    refused_numbers.clear()


@pytest.fixture(autouse=True)
def _accounts(db) -> None:
    AccountFactory.create_batch(2)


@pytest.mark.parametrize(("check", "path"), list(applying()))
def test_a_message_is_refused_with_code_and_detail_on_every_path(
    check: Check, path: Callable[[Spoil], Message]
) -> None:
    message = stored(path(SPOILS[check.code]))

    assert message.status == check.ends
    assert (message.claim_id, message.lease_until) == (None, None)
    assert not DeliveryAttempt.objects.filter(outcome="calling").exists()
    event = message.events.last()
    if check.ends is Ending.CANCEL:
        assert (message.error_code, event.detail) == ("", check.detail)
        return
    assert message.error_code == check.code
    assert message.error_detail.startswith(DETAILS.get(check.code, check.detail).rstrip("."))
    if check.ends is Ending.DEFER:
        assert NOW < message.next_attempt_at <= NOW + timedelta(hours=1)
    else:
        assert (event.to_status, event.detail, message.next_attempt_at) == ("failed", check.code, None)


def test_every_row_of_the_table_is_tested_above() -> None:
    assert {check.code for check in CHECKS} == SPOILS.keys() - {BUDGET.code, HOURS.code}


# Velocity limits have tests of their own (limits/test_velocity.py): a repeat is judged by what was counted, a retry is not.
REFUSING = [c for c in (BUDGET, *CHECKS) if c.error and not issubclass(c.error, RateExceeded)]


class TestAcceptance:
    @pytest.fixture
    def owner(self):
        return UserFactory()

    @pytest.fixture
    def spoil(self, check: Check) -> Callable[[], None]:
        return lambda: SPOILS[check.code](Message(to_number=TO))

    of_drafts = pytest.mark.parametrize(
        "check",
        [c for c in REFUSING if c.code not in NOT_OF_DRAFTS],
        ids=lambda check: check.code,
    )
    of_all = pytest.mark.parametrize("check", REFUSING, ids=lambda check: check.code)

    @of_drafts
    def test_a_draft_is_refused(self, owner, check: Check, spoil) -> None:
        spoil()
        draft = MessageInput(to=TO, text="Hi", valid_for=60)

        with pytest.raises(check.error) as refused:
            submit(owner=owner, draft=draft, default_queue="express", now=NOW)
        [again, good] = submit_many(
            owner=owner, drafts=[draft, replace(draft, to="+14155550102")], default_queue="express", now=NOW
        )

        assert refused.value.detail == again.detail == explained(check)
        assert Message.objects.get() == good

    @of_all
    def test_a_retry_is_refused(self, owner, check: Check) -> None:
        message = make(status="failed")
        SPOILS[check.code](message)

        with pytest.raises(check.error) as refused:
            retry.retry(message_id=message.pk, reason="asked for", actor=owner, now=NOW)
        report = retry.retry_many(messages=Message.objects.all(), reason="asked for", actor=owner, now=NOW)

        assert refused.value.detail == explained(check)
        assert (report.changed, dict(report.refused)) == (0, {(check.error.code, explained(check)): 1})
        detail = DETAILS.get(check.code, check.detail)
        assert refused.value.detail == detail
        assert (report.changed, dict(report.refused)) == (0, {(check.error.code, detail): 1})
        assert stored(message).status == "failed"

    def test_a_retry_ignores_an_earlier_cancel_request_or_expiry(self, owner) -> None:
        message = make(status="failed", cancel_requested=True, expires_at=NOW)

        retry.retry(message_id=message.pk, reason="asked for", actor=owner, now=NOW)

        assert [row.pk for row in claim_all()] == [message.pk]


class TestAutomaticReply:
    def test_the_reply_to_a_stop_also_fails_over(self) -> None:
        message = make(is_automatic=True)
        opt_out(message)
        carrier = Carrier(Unavailable("down"))
        carrier.before_response = lambda _call: setattr(carrier, "default", None) if carrier.calls[1:] else None

        dispatcher(carrier).run("express")

        assert (stored(message).status, len(carrier.calls)) == ("sent", 2)

    def test_but_not_to_a_number_that_became_inactive(self) -> None:
        message = make(is_automatic=True)
        claimed = claim_all()
        mark_inactive(TO)

        assert start_attempts(claimed, now=NOW, lease=LEASE) == []

        assert stored(message).error_code == "recipient_inactive"


class TestExplanations:
    @pytest.mark.parametrize("path", [at_claim, at_first_call, at_end_of_validity], ids=lambda path: path.__name__)
    def test_an_expired_message_keeps_the_last_provider_error(self, path) -> None:
        message = path(change(expires_at=NOW, error_code="http_500", error_detail="answered 500"))

        assert (stored(message).error_code, stored(message).error_detail) == ("expired", "answered 500")

    def test_a_canceled_message_keeps_its_error(self) -> None:
        message = at_failover(change(cancel_requested=True))

        assert (stored(message).status, stored(message).error_code) == ("canceled", "")

    def test_a_deferral_ends_with_the_validity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(eligibility, "CHECKS", (HOURS, *CHECKS))
        soon = NOW + timedelta(minutes=5)

        message = at_claim(lambda row: change(expires_at=soon)(row) or SPOILS["later"](row))

        assert stored(message).next_attempt_at == soon

    def test_checks_that_end_a_message_come_before_those_that_defer_it(self) -> None:
        message = at_claim(
            lambda row: [SPOILS[code](row) for code in ("text_unreadable", "recipient_opted_out")] and None
        )

        assert stored(message).error_code == "recipient_opted_out"


class TestCost:
    """The number of queries depends neither on the size of a batch nor on how many messages are refused."""

    def batches(self) -> Iterator[list[Message]]:
        owner = UserFactory()
        for size in (1, 5):
            yield [
                MessageFactory(owner=owner, from_number=sender)
                for _ in range(size)
                for sender in (FROM, "")
                for _ in range(len(CHECKS) + 1)
            ]

    def spoil(self, messages: list[Message]) -> None:
        """Make each check apply to one message in turn, and none to the last."""
        for place, message in enumerate(messages):
            if (which := place % (len(CHECKS) + 1)) < len(CHECKS):
                SPOILS[CHECKS[which].code](message)

    @pytest.mark.parametrize("moment", Moment)
    def test_checking(self, moment: Moment) -> None:
        costs = []
        for messages in self.batches():
            self.spoil(messages)
            rows = list(Message.objects.filter(pk__in=[message.pk for message in messages]))
            with CaptureQueriesContext(connection) as queries:
                Batch(rows, now=NOW).refusals(moment)
            costs.append(len(queries))
        assert costs[0] == costs[1] == (0 if moment in {Moment.LEAVE, Moment.SWEEP} else 4)

    def test_checking_messages_with_a_sender_takes_one_query(self) -> None:
        messages = [make(), make(to_number="+14155550102")]
        opt_out(messages[0])
        with CaptureQueriesContext(connection) as queries:
            refused = Batch(messages, now=NOW).refusals(Moment.CALL)
        assert (list(refused), len(queries)) == ([messages[0].pk], 1)

    def test_claiming(self) -> None:
        costs = []
        for messages in self.batches():
            self.spoil(messages)
            with CaptureQueriesContext(connection) as queries:
                claimed = claim(queue_name="express", limit=len(messages), now=NOW, lease=LEASE)
            costs.append((len(queries), len(messages) // len(claimed)))
            Message.objects.update(status="failed", claim_id=None, lease_until=None)
        assert costs[0] == costs[1]

    def test_calling(self) -> None:
        costs = []
        for messages in self.batches():
            claimed = claim(queue_name="express", limit=len(messages), now=NOW, lease=LEASE)
            self.spoil(messages)
            with CaptureQueriesContext(connection) as queries:
                calls = start_attempts(claimed, now=NOW, lease=LEASE)
            costs.append((len(queries), len(messages) // len(calls)))
            Message.objects.update(status="failed", claim_id=None, lease_until=None)
        assert costs[0] == costs[1]

    def test_failing_over(self) -> None:
        costs = []
        for messages in self.batches():
            calls = start_attempts(
                claim(queue_name="express", limit=len(messages), now=NOW, lease=LEASE), now=NOW, lease=LEASE
            )
            self.spoil(messages)
            with CaptureQueriesContext(connection) as queries:
                following = save_results(*(result_of(call, Unavailable("down")) for call in calls))
            costs.append((len(queries), len(messages) // len(following)))
            Message.objects.update(status="failed", claim_id=None, lease_until=None)
        assert costs[0] == costs[1]

    def test_a_look_up_runs_once_for_all_checks_that_use_it(self) -> None:
        looked: list[int] = []

        def fetch_status(batch: Batch) -> int:
            looked.append(len(batch.messages))
            return len(looked)

        batch = Batch([make(), make()], now=NOW)

        assert [batch.of(fetch_status), batch.of(fetch_status)] == [1, 1]
        assert looked == [2]


class TestDelayedCalls:
    """Delayed calls are checked again together, at most once a second."""

    @pytest.fixture
    def rechecks(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The number of calls of each repeated check."""
        batch_sizes: list[int] = []
        real = dispatch.dispatcher.ineligible_since

        def note(calls, **values):
            batch_sizes.append(len(calls))
            return real(calls, **values)

        monkeypatch.setattr(dispatch.dispatcher, "ineligible_since", note)
        return batch_sizes

    def deliver(self, clock: Clock, *, seconds: float, messages: int) -> Carrier:
        """Delay each call once, by `seconds` in total."""
        delayed: set = set()
        carrier = Carrier()
        for number in range(messages):
            make(to_number=f"+1415555{number:04d}")

        def call(call: Attempt) -> SendResult | Deferred:
            if call.attempt_id in delayed:
                return carrier(call)
            delayed.add(call.attempt_id)
            if len(delayed) == messages:
                clock.advance(seconds)
            return Deferred(call, 0.001)

        dispatcher(call, clock=clock).run("express")
        return carrier

    def test_calls_that_wait_together_are_checked_together(self, rechecks) -> None:
        carrier = self.deliver(Clock(), seconds=1, messages=5)

        assert (len(carrier.calls), rechecks) == (5, [5])

    def test_a_call_that_starts_soon_is_not_checked_again(self, rechecks) -> None:
        carrier = self.deliver(Clock(), seconds=0.9, messages=5)

        assert (len(carrier.calls), rechecks) == (5, [])

    def test_a_refused_call_does_not_delay_the_others(self) -> None:
        clock = Clock()
        mark_late = SPOILS["recipient_opted_out"]
        clock_advance = clock.advance

        def advance(seconds: float) -> None:
            clock_advance(seconds)
            mark_late(Message(to_number="+14155550002"))

        clock.advance = advance

        carrier = self.deliver(clock, seconds=1, messages=5)

        assert len(carrier.calls) == 4
        states = Message.objects.order_by("to_number").values_list("status", "error_code")
        assert list(states) == [("sent", "")] * 2 + [("failed", "recipient_opted_out")] + [("sent", "")] * 2

    def test_no_call_is_made_while_the_database_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unavailable(*_args: object, **_values: object) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr(dispatch.dispatcher, "ineligible_since", unavailable)
        monkeypatch.setattr(dispatch.dispatcher, "drop_connection", lambda: None)

        carrier = self.deliver(Clock(), seconds=1, messages=2)

        outcomes = DeliveryAttempt.objects.order_by("number").values_list("outcome", "error_code")
        assert list(outcomes) == [("unavailable", "provider_not_called")] * 2 + [("accepted", "")] * 2
        assert [call.number for call in carrier.calls] == [2, 2]


class TestTable:
    def test_a_check_at_acceptance_needs_an_error(self) -> None:
        with pytest.raises(ValueError, match="at acceptance"):
            replace(eligibility.EXPIRED, moments=frozenset({Moment.ACCEPT}))

    def test_a_check_that_defers_needs_a_time(self) -> None:
        with pytest.raises(ValueError, match="defers"):
            replace(eligibility.EXPIRED, ends=Ending.DEFER)

    def test_only_a_refusal_at_acceptance_has_an_error(self) -> None:
        message = make(expires_at=NOW)
        [refusal] = Batch([message], now=NOW).refusals(Moment.CLAIM).values()

        with pytest.raises(ValueError, match="expired does not run at acceptance"):
            refusal.as_error()

    def test_codes_are_unique(self) -> None:
        assert len({check.code for check in CHECKS}) == len(CHECKS)
