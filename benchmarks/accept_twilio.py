"""How fast Twilio's Messages API accepts, beside our own API in the same web processes.

    python -m benchmarks.accept_twilio [--rounds 5] [--seconds 3]

As `benchmarks.accept`: 16 connections; each message has a new Idempotency-Key and a new number; what is accepted stays queued.
Both sides send the same texts from the same sender, one as a form and one as JSON.
"""

import base64
import contextlib
import functools
import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from benchmarks import load
from benchmarks.accept import CONNECTIONS, HIGHEST_RATE
from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "accept_twilio"
# The sender of the sandbox (`installation.SANDBOX_SENDER`).
SANDBOX_SENDER = "+15005550006"
TEXT = "Your code is 123456"

Requests = Iterator[bytes]


def measure(bench: Bench) -> Report:
    if why := load.missing():
        return Report(left_out={"all": why})
    report, numbers = Report(), itertools.count()
    with contextlib.ExitStack() as opened:
        url = opened.enter_context(bench.now.copy())
        sid, token = issued(bench.now, url)
        run = opened.enter_context(bench.now.run("web", database_url=url))
        makers: dict[str, Callable[[int], Requests]] = {
            "rest": functools.partial(rest, run.token, numbers),
            "twilio": functools.partial(twilio, sid, token, numbers),
        }
        sides = {
            name: functools.partial(accept, run, make, seconds=bench.options.seconds) for name, make in makers.items()
        }
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
    found = report.rounds.medians()
    report.rows = {
        "twilio_to_rest": {"now": ratio(found["twilio"]["per_second"], found["rest"]["per_second"])},
        "twilio_cpu_to_rest": {"now": ratio(found["twilio"]["cpu_ms"], found["rest"]["cpu_ms"])},
    }
    return report


def issued(build: Build, url: str) -> tuple[str, str]:
    """An account SID and its auth token."""
    environment = {**os.environ, **build.variables, "DATABASE_URL": url, "REDIS_URL": build.redis_url}
    done = subprocess.run(
        [sys.executable, "manage.py", "issue_twilio_credential", "benchmark"],
        cwd=build.checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    sid, token = done.stdout.split()
    return sid, token


def rest(token: str, numbers: Iterator[int], count: int) -> Requests:
    headers, prefix = {"Authorization": f"Bearer {token}"}, uuid.uuid4().hex
    for index in itertools.islice(numbers, count):
        body = {"to": f"+1415{2_000_000 + index}", "from": SANDBOX_SENDER, "message": TEXT}
        yield load.request("POST", "/api/v1/messages/", body, headers | {"Idempotency-Key": f"{prefix}-{index}"})


def twilio(sid: str, token: str, numbers: Iterator[int], count: int) -> Requests:
    login = base64.b64encode(f"{sid}:{token}".encode()).decode()
    prefix = uuid.uuid4().hex
    for index in itertools.islice(numbers, count):
        form = urlencode({"To": f"+1415{2_000_000 + index}", "From": SANDBOX_SENDER, "Body": TEXT}).encode()
        head = (
            f"POST /2010-04-01/Accounts/{sid}/Messages.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {login}\r\n"
            f"Idempotency-Key: {prefix}-{index}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        )
        yield head.encode() + form


def accept(run: Run, make: Callable[[int], Requests], *, seconds: float) -> Measured:
    before = run.cpu()
    prepared = make(round(HIGHEST_RATE * seconds))
    done = load.send(run.url, prepared, connections=CONNECTIONS, seconds=seconds)
    spent = run.cpu().since(before)
    return {
        "per_second": done.per_second,
        "cpu_ms": spent["web"] / done.requests * 1000,
        "postgresql_cpu_ms": spent["postgresql"] / done.requests * 1000,
    }


if __name__ == "__main__":
    command(NAME, measure, __doc__)
