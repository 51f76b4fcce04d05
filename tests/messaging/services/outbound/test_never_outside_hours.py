"""The real dispatcher with a moving clock: no text reaches a carrier outside a rule or within quiet hours of that moment."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from messaging.models import DeliveryAttempt, HoursRevision, HoursRule, Message, OutboundQueue, OwnerPolicy, PrefixRule
from messaging.policy import zones
from messaging.services import installation
from messaging.services.limits import rules as rules_of_prefixes
from messaging.services.outbound import held, hours, hours_rules, owner_policies, queues, recovery
from messaging.services.outbound.eligibility import HELD_BY_HOURS
from messaging.services.outbound.submit import MessageInput, submit
from providers import registry, send_gate
from providers.contract.messages import Accepted, OutboundMessage
from providers.errors import Unavailable
from tests.contract.send_only import SendOnlyBackend
from tests.factories import AccountFactory, OwnerPolicyFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import Clock, dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
# The night in which Europe and, a week later, America set their clocks back; it ends with a Sunday and a holiday in France.
START = datetime(2026, 10, 31, 12, 0, tzinfo=UTC)
NUMBERS = {
    "+12105550123": ("us", "us-tx"),
    "+14015550123": ("us", "us-ri"),
    "+18005550123": ("us",),
    "+33612345678": ("fr",),
    "+919876543210": ("in",),
    "+61412345678": (),
    "+447400123456": (),
}
clock = Clock(START)
calls: list[tuple[str, str, datetime, frozenset[str]]] = []
# As in force when the call was made: of the owner and of the queue.
quiet_at_call: list[tuple[tuple[time, time], ...]] = []


class SlowCarrier(SendOnlyBackend):
    """Connecting takes it 15 seconds, and each third call fails."""

    def send(self, text: OutboundMessage) -> Accepted:
        clock.advance(15)
        send_gate.check_gate()
        enabled = frozenset(HoursRule.objects.filter(is_enabled=True).values_list("pk", flat=True))
        calls.append((text.to, text.category, clock.now, enabled))
        rows = [*OwnerPolicy.objects.all(), *OutboundQueue.objects.filter(name="express")]
        quiet_at_call.append(tuple((row.quiet_from, row.quiet_until) for row in rows if row.quiet_from))
        if len(calls) % 3 == 0:
            raise Unavailable("down")
        return Accepted(f"id-{len(calls)}")


@pytest.fixture(autouse=True)
def _carriers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.now = START
    calls.clear()
    quiet_at_call.clear()
    monkeypatch.setitem(registry.BACKENDS, "slow", SlowCarrier)  # type: ignore[arg-type]  # a dict at runtime
    AccountFactory.create_batch(2, backend="slow", config={"url": "http://127.0.0.1:9/"})
    installation.install()
    hours_rules.switch(rule_id="default", is_enabled=True, now=START)


def is_allowed(rule: HoursRule, number: str, at: datetime) -> bool:
    for name in zones.location_of(number).zones:
        wall = at.astimezone(ZoneInfo(name))
        minute = wall.hour * 60 + wall.minute
        is_holiday = bool(rule.holidays) and f"{wall:%d %b}" in {"01 Nov", "11 Nov"}
        if is_holiday or not any(opens <= minute < closes for opens, closes in rule.hours[wall.weekday()]):
            return False
    return True


def test_nothing_is_called_outside_the_hours() -> None:
    owner, runner = UserFactory(), dispatcher(None, clock=clock, concurrency=1)
    for step in range(72):
        for place, number in enumerate(NUMBERS):
            if (place + step) % 3 == 0:
                category = "otp" if step % 6 == 0 else "marketing"
                draft = MessageInput(to=number, text="Hi", valid_for=90_000, category=category)
                submit(owner=owner, draft=draft, default_queue="express", now=clock.now)
        if step in {20, 50}:
            hours_rules.switch(rule_id="us-tx", is_enabled=step == 50, now=clock.now)
        clock.now += timedelta(minutes=30)
        held.judge_anew(now=clock.now)
        recovery.release_due(now=clock.now)
        runner.run("express")

    rules = HoursRule.objects.in_bulk()
    assert {category for _, category, _, _ in calls} == {"marketing", "otp"}
    assert {number for number, category, _, _ in calls if category == "marketing"} == NUMBERS.keys()
    for number, category, at, enabled in calls:
        for rule in {"default", *NUMBERS[number]} & enabled if category == "marketing" else ():
            assert is_allowed(rules[rule], number, at), (number, rule, at)
    assert not Message.objects.filter(status__in=["failed", "unknown"]).exists()


def is_quiet(begins: time, ends: time, number: str, at: datetime) -> bool:
    """In one of the number's zones. Written without the rules of the product."""
    names = zones.location_of(number).zones or ("Pacific/Auckland",)
    walls = [at.astimezone(ZoneInfo(name)).time() for name in names]
    return any((begins <= wall < ends) if begins < ends else not (ends <= wall < begins) for wall in walls)


def test_nothing_but_an_otp_is_called_in_quiet_hours() -> None:
    """They are set, changed and removed while texts wait, are claimed and are tried again."""
    owner, runner = UserFactory(), dispatcher(None, clock=clock, concurrency=1)
    numbers = [*NUMBERS, "+88213123456"]
    rules_of_prefixes.save(PrefixRule(prefix="+882", is_allowed=True, reason="a ship"), now=clock.now)
    clock.now -= timedelta(seconds=10)  # a claim ten seconds before quiet hours begin; the connection is there in them
    owner_policies.change(owner=owner, changes={"default_time_zone": "Pacific/Auckland"}, now=clock.now)
    changes = {
        0: {"quiet_from": time(21), "quiet_until": time(8)},
        30: {"quiet_from": time(12, 30), "quiet_until": time(14)},
        50: {"quiet_from": None, "quiet_until": None},
        60: {"quiet_from": time(22), "quiet_until": time(0)},
    }
    for step in range(96):
        for place, number in enumerate(numbers):
            if (place + step) % 4 == 0:
                category = ("transactional", "transactional", "otp", "marketing")[(place + step // 4) % 4]
                draft = MessageInput(to=number, text="Hi", valid_for=90_000, category=category)
                submit(owner=owner, draft=draft, default_queue="express", now=clock.now)
        if step in changes:
            owner_policies.change(owner=owner, changes=changes[step], now=clock.now)
        if step in {20, 40}:
            begins, ends = (time(17), time(19)) if step == 20 else (None, None)
            queues.change(name="express", changes={"quiet_from": begins, "quiet_until": ends})
            HoursRevision.objects.update(changed_at=clock.now)  # the service knows only the real time
        clock.now += timedelta(minutes=30)
        held.judge_anew(now=clock.now)
        recovery.release_due(now=clock.now)
        runner.run("express")

    checked = 0
    for (number, category, at, _), spans in zip(calls, quiet_at_call, strict=True):
        for begins, ends in spans if category != "otp" else ():
            checked += 1
            assert not is_quiet(begins, ends, number, at), (number, category, begins, at)
    sent = {(number, category) for number, category, _, _ in calls}
    assert checked > 50
    assert {number for number, category in sent if category == "transactional"} == set(numbers)
    assert any(
        is_quiet(begins, ends, number, at)
        for (number, category, at, _), spans in zip(calls, quiet_at_call, strict=True)
        for begins, ends in spans
        if category == "otp"
    )
    assert not Message.objects.filter(status__in=["failed", "unknown"]).exists()


def test_hours_that_end_while_the_connection_is_made() -> None:
    """At the claim it was 20:59:50; the connection is there at 21:00:05."""
    clock.now = datetime(2026, 11, 6, 2, 59, 50, tzinfo=UTC)
    draft = MessageInput(to="+12105550123", text="Hi", valid_for=3600, category="marketing")
    message = submit(owner=UserFactory(), draft=draft, default_queue="express", now=clock.now)
    hours.read()

    dispatcher(None, clock=clock, concurrency=1).run("express")

    message.refresh_from_db()
    assert calls == []
    attempt = DeliveryAttempt.objects.last()
    assert (attempt.error_code, attempt.error_detail) == ("provider_not_called", HELD_BY_HOURS.detail)
    assert (message.status, message.error_code, message.rounds_failed) == ("queued", "outside_hours", 0)
    assert message.next_attempt_at == datetime(2026, 11, 6, 15, 0, tzinfo=UTC)


def test_quiet_hours_that_begin_while_the_connection_is_made() -> None:
    clock.now = datetime(2026, 11, 6, 2, 59, 50, tzinfo=UTC)
    owner = OwnerPolicyFactory(quiet_from=time(21), quiet_until=time(8)).owner
    draft = MessageInput(to="+12105550123", text="Hi", valid_for=3600)
    message = submit(owner=owner, draft=draft, default_queue="express", now=clock.now)
    assert message.error_code == ""

    dispatcher(None, clock=clock, concurrency=1).run("express")

    message.refresh_from_db()
    assert calls == []
    assert (message.status, message.error_code, message.rounds_failed) == ("queued", "outside_hours", 0)
    assert message.error_detail == "Held until 08:00 America/Chicago (6 Nov): quiet hours, rule quiet-owner."
