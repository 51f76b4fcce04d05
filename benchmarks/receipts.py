"""How fast the status webhook takes receipts, beside a bare Django view with one insert.

    python -m benchmarks.receipts [--against REV] [--rounds 5] [--seconds 3]

First a worker sends the messages, so that each has an attempt, a provider's id and a signed callback address as in reality.
Then only the web processes run, and each receipt is that of another message: 16 connections, the Procfile's command.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.accept import CONNECTIONS, insert
from benchmarks.bare import bare_view
from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.carrier import Call
from benchmarks.processes import wait_until
from benchmarks.queued import dispatching, queued
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "receipts"
RECEIPTS = 400
"""In one round."""
LONGEST_SECONDS = 60


def measure(bench: Bench) -> Report:
    if why := load.missing():
        return Report(left_out={"all": why})
    report, receipts = Report(), bench.options.few(RECEIPTS)
    with contextlib.ExitStack() as opened:
        sides: dict[str, Callable[[], Measured]] = {}
        for build in bench.builds:
            url = opened.enter_context(queued(build, receipts * (bench.options.rounds + 1)))
            prepared = iter(send_all(bench, build, url))
            run = opened.enter_context(build.run("web", database_url=url))
            sides[build.name] = functools.partial(post, run, prepared, count=receipts)
        bare = opened.enter_context(bare_view())
        sides["bare"] = functools.partial(insert, bare, seconds=bench.options.seconds)
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
    found = report.rounds.medians()
    rate = {side: measures["per_second"] for side, measures in found.items()}
    cpu = {side: measures["cpu_ms"] for side, measures in found.items()}
    report.rows = {
        "receipts_to_bare": bench.by_build(lambda side: ratio(rate[side], rate["bare"])),
        "receipts_cpu_to_bare": bench.by_build(lambda side: ratio(cpu[side], cpu["bare"])),
    }
    return report


def send_all(bench: Bench, build: Build, url: str) -> list[bytes]:
    """A worker sends all that is queued; returns the requests with the receipts."""
    with dispatching(bench, build, url) as run:
        none_left = functools.partial(_is_sent, run)
        wait_until(none_left, seconds=240, what=f"{build.name}: all messages are sent", pause=0.5)
    return [receipt(number, call) for number, call in enumerate(bench.carrier.calls(), start=1)]


def receipt(number: int, call: Call) -> bytes:
    """The request with the receipt for the call that the carrier received as this one, counted from 1."""
    callback = urlsplit(call.content["callback_url"])
    body = {"message_id": f"carrier-{number}", "status": "delivered"}
    return load.request("POST", f"{callback.path}?{callback.query}", body)


def post(run: Run, prepared: Iterator[bytes], *, count: int) -> Measured:
    """Raises `RuntimeError` if a receipt has delivered no message."""
    delivered = run.count("delivered")
    mine = list(itertools.islice(prepared, count))
    before = run.cpu()
    done = load.send(run.url, mine, connections=CONNECTIONS, seconds=LONGEST_SECONDS)
    spent = run.cpu().since(before)
    if (found := run.count("delivered") - delivered) != count:
        raise RuntimeError(f"{count} receipts have delivered {found} messages")
    return {
        "per_second": done.per_second,
        "cpu_ms": spent["web"] / done.requests * 1000,
        "postgresql_cpu_ms": spent["postgresql"] / done.requests * 1000,
    }


def _is_sent(run: Run) -> bool:
    return run.count("queued") == run.count("sending") == 0


if __name__ == "__main__":
    command(NAME, measure, __doc__)
