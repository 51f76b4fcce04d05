"""Faults between the workers and a carrier that speaks SMPP: a connector dies, the link is cut at each step."""

from collections.abc import Callable

import requests

from tests.journeys.chaos.arena import GERMAN, SMPP, Arena, Run
from tests.journeys.chaos.table import Row
from tests.journeys.smpp_accounts import BINDS, WINDOW

LINKS = BINDS * WINDOW
"""Texts that can be written and unanswered at one moment."""
CUTS = 3
UNKNOWN_OUTCOME = "unknown"


def worker_killed(arena: Arena, run: Run) -> None:
    arena.orders.die("calling", after=2)
    run.send(prefix=GERMAN)
    arena.wait_for_a_death()


def connector_killed(arena: Arena, run: Run) -> None:
    run.send(prefix=GERMAN)
    run.wait_for_taken(run.count // 4)
    arena.stack.kill_connector(0)
    arena.stack.start_connector(0)


def cut_at(step: str) -> Callable[[Arena, Run], None]:
    """Cut about `CUTS` times at that step. The steps of a bind follow a link that was cut between two texts."""

    def act(arena: Arena, run: Run) -> None:
        every = 2 if step in {"bind", "bound"} else max(2, run.count // (CUTS + 1))
        arena.set_smpp(close_at=step, close_every=every)
        run.send(prefix=GERMAN)
        if step in {"bind", "bound"}:
            run.wait_for_taken(run.count // 4)
            requests.delete(f"{arena.stack.sandbox_url}/_links", timeout=10).raise_for_status()

    return act


def knows_what_was_answered(*, met: bool) -> Callable[[Arena, Run, Row], None]:
    """Messages went by SMPP, others by another account meanwhile; only those written without an answer are unknown.

    With `met`, there is at least one of them.
    """

    def check(_arena: Arena, run: Run, row: Row) -> None:
        by_smpp = sum(entry["carrier"] == SMPP for entry in run.log()["accepted"])
        assert by_smpp > run.count / 10, f"only {by_smpp} went by SMPP"
        outcomes = [attempt["outcome"] for attempt in run.attempts() if attempt["provider"] == SMPP]
        assert not met or UNKNOWN_OUTCOME in outcomes, "no call has met the fault"
        most = (CUTS + 2) * LINKS
        unknown = row.statuses.get("unknown", 0)
        assert unknown <= most, f"{unknown} are unknown, and {most} can have been written without an answer"

    return check
