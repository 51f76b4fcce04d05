"""How fast one worker process and one connector send a full queue by SMPP, beside a bare smpplib loop with the same window.

    python -m benchmarks.smpp_dispatch [--rounds 5] [--seconds 3]

Both send to the sandbox's SMPP carrier, which sends no receipts meanwhile. It responds at once, with a window of 50, or after
50 ms, as carriers over a network do, with the window of 10 that an account has by default. What counts on our side is messages
that are stored as sent. The loop keeps a window of messages unanswered, in one thread.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import requests
import smpplib.client  # type: ignore[import-untyped]

from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.dispatch import sent_in
from benchmarks.processes import free_port, running, wait_until
from benchmarks.queued import queued
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "smpp_dispatch"
MESSAGES = 5_000
FIRST_SECONDS = 60.0
NEVER_MS = 3_600_000
PASSWORD = "PROVIDER_SMPP_PASSWORD"  # noqa: S105 (the name of a variable)
ACCOUNT = {
    "host": "127.0.0.1",
    "system_id": "sandbox",
    "password": {"env": PASSWORD},
    "from_number": "+15005550006",
}


@dataclass(frozen=True)
class Distance:
    """A carrier that responds after `latency_ms`, and the window that both sides use with it."""

    latency_ms: int
    window: int


INSTANT, FAR = Distance(0, 50), Distance(50, 10)


def measure(bench: Bench) -> Report:
    report = Report()
    with contextlib.ExitStack() as opened:
        queue = opened.enter_context(queued(bench.now, bench.options.few(MESSAGES)))
        sides: dict[str, Callable[[], Measured]] = {}
        for name, distance in (("", INSTANT), ("_far", FAR)):
            port = opened.enter_context(carrier(distance))
            sides |= {
                f"now{name}": functools.partial(dispatch, bench, queue=queue, port=port, window=distance.window),
                f"smpplib{name}": functools.partial(loop, port, distance.window, seconds=bench.options.seconds),
            }
        report.rounds = interleaved(sides, rounds=bench.options.rounds, warm_up=0)
    found = report.rounds.medians()
    rate = {side: measures["per_second"] for side, measures in found.items()}
    report.rows = {
        "smpp_dispatch_to_loop": {"now": ratio(rate["now"], rate["smpplib"])},
        "smpp_dispatch_far": {"now": ratio(rate["now_far"], rate["smpplib_far"])},
        "smpp_dispatch_cpu_ms": {"now": found["now"]["cpu_ms"]},
    }
    return report


@contextlib.contextmanager
def carrier(distance: Distance) -> Iterator[int]:
    """The port of the sandbox's SMPP carrier."""
    port, smpp_port = free_port(), free_port()
    options = ("--port", str(port), "--smpp-port", str(smpp_port), "--receipt-delay-ms", str(NEVER_MS))
    with running([sys.executable, "-m", "providers.simulator", *options], port=smpp_port):
        answer = requests.patch(
            f"http://127.0.0.1:{port}/_settings", json={"smpp": {"latency_ms": distance.latency_ms}}, timeout=10
        )
        answer.raise_for_status()
        yield smpp_port


def dispatch(bench: Bench, *, queue: str, port: int, window: int) -> Measured:
    build, connector_port = bench.now, free_port()
    environment = {
        PASSWORD: "sandbox",
        "SMPP_CONNECTOR_PORT": str(connector_port),
        "SMPP_CONNECTOR_URL": f"http://127.0.0.1:{connector_port}",
    }
    with build.copy(of=queue) as url:
        _use_smpp(build, url, {"port": port, "window": window}, environment)
        with build.run("worker", "beat", "smpp", database_url=url, environment=environment) as run:
            wait_until(lambda: run.count("sent") > 0, seconds=FIRST_SECONDS, what="a message is sent by SMPP")
            return _with_connector(run, sent_in(run, seconds=bench.options.seconds))


def _with_connector(run: Run, measured: Measured) -> Measured:
    """CPU of the connector is small beside the worker's; it is reported as the part of all that it used so far."""
    used = run.cpu().by_process
    return {**measured, "connector_to_worker_cpu": used["smpp"] / used["worker"]}


def _use_smpp(build: Build, url: str, link: dict[str, int], environment: dict[str, str]) -> None:
    config = json.dumps({**ACCOUNT, **link})
    for arguments in (
        ("upsert_provider", "smpp", "--backend", "smpp", "--weight", "1000", "--config", config),
        ("upsert_provider", "sandbox1", "--disable"),
        ("upsert_provider", "sandbox2", "--disable"),
    ):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=build.checkout.folder,
            env={**os.environ, **build.variables, **environment, "DATABASE_URL": url, "REDIS_URL": build.redis_url},
            check=True,
            stdout=subprocess.DEVNULL,
        )


def loop(port: int, window: int, *, seconds: float) -> Measured:
    """Messages a second that one smpplib client has answered, and CPU of this process for each."""
    client = smpplib.client.Client("127.0.0.1", port, timeout=10)
    answered = 0

    def note(**_: object) -> None:
        nonlocal answered
        answered += 1

    client.set_message_sent_handler(note)
    client.connect()
    client.bind_transceiver(system_id="sandbox", password="sandbox")  # noqa: S106 (everybody knows it)
    sent, begun, cpu = 0, time.monotonic(), time.process_time()
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent - answered < window:
            client.send_message(
                source_addr="15005550006",
                destination_addr=f"1415{2_000_000 + sent}",
                short_message=b"Your code is 123456",
                registered_delivery=True,
            )
            sent += 1
        client.read_once()
        client.poll()
    measured = {"per_second": answered / elapsed, "cpu_ms": (time.process_time() - cpu) / answered * 1000}
    while answered < sent:
        client.read_once()
    client.unbind()
    client.disconnect()
    return measured


if __name__ == "__main__":
    command(NAME, measure, __doc__)
