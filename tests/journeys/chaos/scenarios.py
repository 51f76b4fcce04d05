"""The table of faults: what is broken, the statuses that messages may end in, and further checks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.environment import GIVEN_DATABASE_URL
from tests.journeys import proxy
from tests.journeys.chaos.arena import (
    BAD,
    BRITISH,
    CONCURRENCY,
    CONNECT_TIMEOUT,
    GOOD,
    NEVER_MS,
    PACED_SECONDS,
    PACED_SIZE,
    READ_TIMEOUT,
    WORKERS,
    Arena,
    Run,
)
from tests.journeys.chaos.outages import database_read_only, database_unavailable
from tests.journeys.chaos.postgresql_faults import beats_cut, beats_lived, failed_over, was_answered
from tests.journeys.chaos.smpp_faults import connector_killed, cut_at, knows_what_was_answered, worker_killed
from tests.journeys.chaos.table import TAKEN, Row
from tests.journeys.proxy import Fault

Act = Callable[[Arena, Run], None]
Check = Callable[[Arena, Run, Row], None]

BUSY_SECONDS = 2.0  # tolerance for the duration of a call on a busy machine
MEMORY = 48 * 1024 * 1024
AHEAD_SECONDS = 3600
SLOW_MS = 300
# Long enough for a sweep with another clock to run while calls are in flight, and shorter than their time-out.
LONG_MS = 1000
EACH_SECOND = 25
BROKER_SECONDS, DATABASE_SECONDS, HANG_SECONDS = 2.0, 3.0, 4.0
READ_ONLY_SECONDS = 5.0  # longer than a lease
# More open calls of dead workers than one sweep handles in a chunk.
MANY_LOST = 1500
# Outcomes of attempts.
NOT_ACCEPTED, UNKNOWN_OUTCOME = "unavailable", "unknown"


@dataclass(frozen=True)
class Scenario:
    """`ends` are the allowed final statuses; `few` messages are sent in the test suite, `many` in `make chaos`.

    `only_by_hand` is for scenarios that take long or resemble another one. `not_on_sqlite` says why SQLite has no such fault.
    """

    name: str
    act: Act
    ends: frozenset[str] = frozenset({"delivered"})
    check: Check = lambda _arena, _run, _row: None
    few: int = 40
    many: int = 200
    only_by_hand: bool = False
    not_on_sqlite: str = ""

    def left_out(self) -> str:
        """The reason why it cannot be played on this database; empty if it can."""
        return "" if GIVEN_DATABASE_URL else self.not_on_sqlite


# --- Workers that die -------------------------------------------------------------------------------------------------
# No receipts: only the sweep decides about the claims of dead workers.


def killed_at(step: str, *, after: int = 1) -> Act:
    def act(arena: Arena, run: Run) -> None:
        arena.set_carriers(receipt_delay_ms=NEVER_MS)
        arena.orders.die(step, after=after)
        run.send()
        arena.wait_for_a_death()

    return act


def all_killed_before_the_answer(arena: Arena, run: Run) -> None:
    arena.set_carriers(receipt_delay_ms=NEVER_MS)
    arena.bad.fault = proxy.killing(arena.pids())
    run.send()
    arena.wait_for_a_death()


# A worker that dies after the carriers responded and before it saved the results, which are in the result cache.
LOST = """
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from django.utils import timezone
from messaging.models import Message
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.sending import send
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.record_results import record_results
lease = timedelta(minutes=5)
attempts = []
while claimed := claim(queue_name="express", limit=100, now=timezone.now(), lease=lease):
    attempts += start_attempts(claimed, now=timezone.now(), lease=lease)
with ThreadPoolExecutor(16) as executor:
    results = list(executor.map(send, attempts))
record_results(results, now=timezone.now())
Message.objects.filter(pk__in=[attempt.message.pk for attempt in attempts]).update(lease_until=timezone.now())
"""


def many_lost(arena: Arena, run: Run) -> None:
    arena.set_carriers(receipt_delay_ms=NEVER_MS)
    first, *others = arena.pids()
    with arena.suspended(others):  # one sweep after the other
        with arena.suspended([first]):
            run.send()
            arena.stack.manage("shell", "--command", LOST)
        arena.stack.wait_until(lambda: "sending" not in run.statuses(), seconds=60)


def suspended_before_the_calls(arena: Arena, run: Run) -> None:
    """A worker is suspended between the commit of its attempts and their calls, until its leases have expired and an operator
    has retried the messages that the carrier did not receive.
    """
    arena.set_carriers(receipt_delay_ms=NEVER_MS)
    # From the first call on: one that was between its check and its first byte would leave as soon as the worker resumes.
    arena.orders.hold("calling", after=0)
    run.send()
    arena.stack.wait_until(lambda: bool(arena.orders.held()), seconds=30, pause=0.02)
    with arena.suspended(arena.orders.held()):
        run.sweep_until(lambda: run.statuses() <= SENT_OR_NOT)
        known = run.taken()
        again = [pk for pk, message in run.messages().items() if message["status"] == "unknown" and not known[pk]]
        run.retry(again)
        run.sweep_until(lambda: {run.messages()[pk]["status"] for pk in again} <= {"sent"})
        arena.orders.let_go()

    def has_resumed() -> bool:
        return all(run.client.attempts(pk)[0]["outcome"] != UNKNOWN_OUTCOME for pk in again)

    arena.stack.wait_until(has_resumed, seconds=90)


# --- Carriers that misbehave ------------------------------------------------------------------------------------------


def answering(fault: Fault, *, receipts: bool = True) -> Act:
    """Without receipts, a message whose response was not understood stays `unknown`; with receipts it is settled."""

    def act(arena: Arena, run: Run) -> None:
        arena.bad.fault = fault
        if not receipts:
            arena.set_carriers(only=BAD, receipt_delay_ms=NEVER_MS)
        run.send()

    return act


def refusing(arena: Arena, run: Run) -> None:
    arena.bad.refuse()
    run.send()


def wrong_name(_arena: Arena, run: Run) -> None:
    run.send(prefix=BRITISH)


def both_unwell(arena: Arena, run: Run) -> None:
    arena.good.fault = arena.bad.fault = proxy.server_error
    run.send(valid_for=4)


def flooding(arena: Arena, run: Run) -> None:
    run.memory_before = arena.memory()
    answering(proxy.flooded, receipts=False)(arena, run)


def mostly_failing(arena: Arena, run: Run) -> None:
    arena.set_carriers(only=BAD, failure_rate=0.6)
    while len(run.ids) < run.count:
        run.send(min(EACH_SECOND, run.count - len(run.ids)))
        time.sleep(1)


# --- Broker, database, clocks, beats ----------------------------------------------------------------------------------


def broker_restarted(arena: Arena, run: Run) -> None:
    """The broker loses all data, and half of the messages are accepted while it is down."""
    arena.set_carriers(latency_ms=SLOW_MS)
    run.send(run.count // 2)
    run.wait_for_taken(1)
    arena.broker.stop()
    run.send(run.count - run.count // 2)
    time.sleep(BROKER_SECONDS)
    arena.broker.start()


def broker_hanging(arena: Arena, run: Run) -> None:
    """Half of the messages are accepted one by one while it hangs, and receipts for the others arrive."""
    arena.set_carriers(latency_ms=SLOW_MS)
    run.send(run.count // 2)
    run.wait_for_taken(1)
    arena.broker.hang()
    try:
        started = time.monotonic()
        for _ in range(run.count - run.count // 2):
            run.send(1)
        time.sleep(max(0.0, started + HANG_SECONDS - time.monotonic()))
    finally:
        arena.broker.go_on()


def database_restarted(arena: Arena, run: Run) -> None:
    arena.set_carriers(latency_ms=SLOW_MS)
    run.send()
    run.wait_for_taken(1)
    with database_unavailable(arena.stack):
        time.sleep(DATABASE_SECONDS)


def database_switched_over(arena: Arena, run: Run) -> None:
    arena.set_carriers(latency_ms=SLOW_MS)
    run.send()
    run.wait_for_taken(1)
    database_read_only(arena.stack, seconds=READ_ONLY_SECONDS)


def clock_moved(seconds: float) -> Act:
    """One worker considers the leases of the other expired and sweeps while calls are in flight.

    No worker dies, so every response still arrives and replaces the `unknown` that the sweep set.
    """

    def act(arena: Arena, run: Run) -> None:
        arena.set_carriers(latency_ms=LONG_MS, receipt_delay_ms=NEVER_MS)
        arena.orders.live_ahead(arena.pids()[0], seconds)
        run.on_the_way |= {"unknown"}
        run.send()
        run.sweep_during_calls()

    return act


def two_beats(_arena: Arena, run: Run) -> None:
    run.send(queue="paced")


# --- What else must hold ----------------------------------------------------------------------------------------------


def was_met(outcome: str) -> Check:
    """Calls met the fault, none exceeded its time-out, and each has the expected outcome."""

    def check(arena: Arena, run: Run, _row: Row) -> None:
        bad = [attempt for attempt in run.attempts() if attempt["provider"] != "sandbox1"]
        assert outcome in {attempt["outcome"] for attempt in bad}, "no call has met the fault"
        assert {attempt["outcome"] for attempt in bad} <= {outcome, "accepted"}
        longest = max(attempt["latency_ms"] or 0 for attempt in bad) / 1000
        assert longest < CONNECT_TIMEOUT + READ_TIMEOUT + BUSY_SECONDS

    return check


def knows_all_but(most: int) -> Check:
    """Only messages that were in flight may be `unknown`."""

    def check(_arena: Arena, _run: Run, row: Row) -> None:
        unknown = row.statuses.get("unknown", 0)
        assert unknown <= most, f"{unknown} are unknown, and {most} can have been in flight"

    return check


def stayed_uncalled(_arena: Arena, run: Run, row: Row) -> None:
    """The suspended worker made none of those calls."""
    ONE_WORKERS(_arena, run, row)
    assert any((attempt["error"] or {}).get("code") == "provider_not_called" for attempt in run.attempts())


def was_small(arena: Arena, run: Run, row: Row) -> None:
    was_met(UNKNOWN_OUTCOME)(arena, run, row)
    assert arena.memory() - run.memory_before < MEMORY


def kept_the_pace(_arena: Arena, run: Run, _row: Row) -> None:
    times = sorted(entry["at"] for entry in run.log()["accepted"])
    firsts = times[::PACED_SIZE]
    assert all(later - earlier > PACED_SECONDS / 2 for earlier, later in pairwise(firsts))


def was_avoided(_arena: Arena, run: Run, _row: Row) -> None:
    """Messages are accepted in the first round, and after a minute almost no call goes to the failing carrier."""
    # A round calls each carrier at most once, so a third attempt belongs to a second round.
    messages = run.messages().values()
    at_once = [
        message for message in messages if message["status"] in TAKEN and message["attempts"] <= len((GOOD, BAD))
    ]
    assert len(at_once) >= 0.97 * run.count, f"only {len(at_once)} of {run.count} at the first pass"
    calls = sorted((entry["at"], entry["carrier"]) for entries in run.log().values() for entry in entries)
    later = [carrier for at, carrier in calls if at > calls[0][0] + 60]
    share = later.count(BAD) / len(later)
    assert share < 0.10, f"{share:.0%} of the calls after a minute went to the bad carrier"


KNOWN_OR_NOT = frozenset({"delivered", "unknown"})
SENT_OR_NOT = frozenset({"sent", "unknown"})
ONE_WORKERS, ALL_WORKERS = knows_all_but(CONCURRENCY), knows_all_but(CONCURRENCY * WORKERS)

SCENARIOS = (
    # Killed at its first claim, when none of its calls are in flight.
    Scenario("worker killed while it claimed", killed_at("claimed", after=0), frozenset({"sent"}), only_by_hand=True),
    Scenario("worker killed after the attempt was written", killed_at("begun"), SENT_OR_NOT, ONE_WORKERS),
    Scenario("worker killed before the request left", killed_at("calling", after=8), SENT_OR_NOT, ONE_WORKERS),
    Scenario("workers killed when the carrier had accepted", all_killed_before_the_answer, SENT_OR_NOT, ALL_WORKERS),
    Scenario("worker killed before it settled", killed_at("answered"), SENT_OR_NOT, ONE_WORKERS, only_by_hand=True),
    Scenario(
        "worker killed while it settled",
        killed_at("settling", after=2),
        SENT_OR_NOT,
        ONE_WORKERS,
        only_by_hand=True,
    ),
    Scenario("worker killed after it had settled", killed_at("settled"), SENT_OR_NOT, ONE_WORKERS, only_by_hand=True),
    Scenario("worker suspended before its calls", suspended_before_the_calls, SENT_OR_NOT, stayed_uncalled),
    Scenario(
        "worker died with many unsaved results",
        many_lost,
        frozenset({"sent"}),
        few=MANY_LOST,
        many=MANY_LOST,
        only_by_hand=True,
    ),
    Scenario("carrier answers 500", answering(proxy.server_error), check=was_met(NOT_ACCEPTED)),
    Scenario(
        "carrier answers 429, Retry-After", answering(proxy.slow_down), check=was_met(NOT_ACCEPTED), only_by_hand=True
    ),
    Scenario("carrier refuses connections", refusing, check=was_met(NOT_ACCEPTED)),
    Scenario("carrier has the wrong TLS name", wrong_name, check=was_met(NOT_ACCEPTED), only_by_hand=True),
    Scenario(
        "carrier accepts and hangs up",
        answering(proxy.disconnected, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
    ),
    Scenario(
        "the same, and receipts come", answering(proxy.disconnected), check=was_met(UNKNOWN_OUTCOME), only_by_hand=True
    ),
    Scenario(
        "carrier accepts and resets",
        answering(proxy.reset, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario("answer trickles", answering(proxy.trickled, receipts=False), KNOWN_OR_NOT, was_met(UNKNOWN_OUTCOME)),
    Scenario(
        "answer is garbage",
        answering(proxy.garbage, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario(
        "answer is a web page",
        answering(proxy.web_page, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario(
        "answer is a redirect",
        answering(proxy.redirected, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario("answer is 10 MB", flooding, KNOWN_OR_NOT, was_small),
    Scenario("answer is empty", answering(proxy.empty), check=was_met(UNKNOWN_OUTCOME)),
    Scenario(
        "proxy answers 502 after the carrier accepted",
        answering(proxy.bad_gateway, receipts=False),
        KNOWN_OR_NOT,
        was_met(UNKNOWN_OUTCOME),
    ),
    Scenario(
        "proxy answers 504, and receipts come",
        answering(proxy.gateway_timeout),
        check=was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario(
        "proxy answers 524, and receipts come",
        answering(proxy.origin_timeout),
        check=was_met(UNKNOWN_OUTCOME),
        only_by_hand=True,
    ),
    Scenario("both carriers answer 500", both_unwell, frozenset({"failed"})),
    Scenario("broker loses all data and restarts", broker_restarted),
    Scenario("broker hangs", broker_hanging),
    Scenario("database restarted", database_restarted, KNOWN_OR_NOT),
    Scenario(
        "database fails over, requests meanwhile",
        failed_over,
        KNOWN_OR_NOT,
        was_answered,
        not_on_sqlite="SQLite is a file: no server fails over, and no connection is cut",
    ),
    Scenario(
        "beats cut while they read all tasks, paced queue",
        beats_cut,
        check=beats_lived,
        few=PACED_SIZE,
        many=3 * PACED_SIZE,
        not_on_sqlite="SQLite is a file: no connection is cut",
    ),
    Scenario(
        "database read-only for a moment",
        database_switched_over,
        not_on_sqlite="SQLite has no server that could switch over",
        only_by_hand=True,
    ),
    Scenario("a worker's clock an hour ahead", clock_moved(AHEAD_SECONDS), frozenset({"sent"})),
    Scenario("a worker's clock an hour behind", clock_moved(-AHEAD_SECONDS), frozenset({"sent"}), only_by_hand=True),
    Scenario("two beats, paced queue", two_beats, check=kept_the_pace, few=3 * PACED_SIZE, many=3 * PACED_SIZE),
    Scenario(
        "carrier fails 60 % of calls, for long",
        mostly_failing,
        KNOWN_OR_NOT | {"sent"},
        was_avoided,
        many=2000,
        only_by_hand=True,
    ),
)


SCENARIOS += tuple(
    Scenario(f"SMPP: {name}", act, KNOWN_OR_NOT, knows_what_was_answered(met=met), many=2000, only_by_hand=by_hand)
    for name, act, met, by_hand in (
        ("worker killed with texts handed over", worker_killed, False, True),
        ("connector killed", connector_killed, False, False),
        ("link cut at the bind", cut_at("bind"), False, True),
        ("link cut after the bind", cut_at("bound"), False, True),
        ("link cut before the carrier took the text", cut_at("submit"), True, True),
        ("link cut between text and response", cut_at("accepted"), True, False),
        ("link cut after the response", cut_at("answered"), False, True),
        ("link cut in a receipt", cut_at("receipt"), False, True),
    )
)


def play(arena: Arena, scenario: Scenario, *, count: int) -> tuple[Row, list[str]]:
    """The row, and the promises it breaks."""
    row, run = arena.play(scenario.name, scenario.act, count=count)
    wrong = []
    if row.lost or row.twice:
        wrong.append(f"{row.lost} lost, {row.twice} sent twice")
    if not row.statuses.keys() <= scenario.ends:
        wrong.append(f"ends {dict(row.statuses)}, not only {', '.join(sorted(scenario.ends))}")
    try:
        scenario.check(arena, run, row)
    except AssertionError as error:
        wrong.append(f"{error}".strip() or "the check failed")
    return row, wrong
