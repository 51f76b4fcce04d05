"""Submissions that our SMPP server takes, beside Jasmin's, and the memory of its idle sessions.

    python -m benchmarks.smpp_server [--rounds 5] [--seconds 3]

The client is the one of the library smpp34: `SESSIONS` transceivers, each with `WINDOW` unanswered messages. Both sides take a
message before a carrier has it; ours answers after the commit. No worker runs, and Jasmin is bound to a carrier that takes all.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import smpp34

from benchmarks import peers
from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.processes import cpu_of_sessions, free_port, wait_until
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio
from tests.journeys.peers import jasmin as jasmin_process
from tests.journeys.peers.smsc import Smsc

NAME = "smpp_server"
SESSIONS, WINDOW = 2, 32
IDLE_SESSIONS = 100
TEXT = b"Your code is 123456"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Login:
    port: int
    system_id: str
    password: str


def measure(bench: Bench) -> Report:
    report = Report()
    with contextlib.ExitStack() as opened:
        run, login = opened.enter_context(ours(bench.now, max_sessions=IDLE_SESSIONS))
        server = run.processes["smpp-server"].pid or 0
        sides: dict[str, Callable[[], Measured]] = {
            "now": functools.partial(submit, login, server, seconds=bench.options.seconds)
        }
        if why := peers.jasmin_missing():
            report.left_out["jasmin"] = why
        else:
            gateway, other = opened.enter_context(jasmin())
            sides["jasmin"] = functools.partial(submit, other, gateway.pids[0], seconds=bench.options.seconds)
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
        report.details["idle_sessions_mb"] = idle_memory(login, server)
    found = report.rounds.medians()
    jasmins = found.get("jasmin", {}).get("per_second")
    report.rows = {
        "smpp_server_to_jasmin": {"now": ratio(found["now"]["per_second"], jasmins)},
        "smpp_sessions_mb": {"now": report.details["idle_sessions_mb"]},
    }
    return report


@contextlib.contextmanager
def ours(build: Build, *, max_sessions: int) -> Iterator[tuple[Run, Login]]:
    port = free_port()
    with build.copy() as url:
        environment = {**os.environ, **build.variables, "DATABASE_URL": url, "REDIS_URL": build.redis_url}
        issue = ("issue_gateway_credential", "benchmark", "--max-sessions", str(max_sessions))
        done = subprocess.run(
            [sys.executable, "manage.py", *issue],
            cwd=build.checkout.folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        system_id, password = done.stdout.split()
        with build.run("smpp-server", database_url=url, environment={"SMPP_SERVER_PORT": str(port)}) as run:
            login = Login(port, system_id, password)
            wait_until(lambda: _accepts(login), seconds=START_SECONDS, what="our SMPP server accepts a bind")
            yield run, login


@contextlib.contextmanager
def jasmin() -> Iterator[tuple[jasmin_process.Jasmin, Login]]:
    with (
        tempfile.TemporaryDirectory(prefix="jasmin-") as folder,
        Smsc() as smsc,
        jasmin_process.Jasmin(Path(folder), smsc_port=smsc.port) as gateway,
    ):
        gateway.start(replies=peers.NO_REPLIES)
        wait_until(lambda: smsc.is_bound, seconds=peers.BIND_SECONDS, what="Jasmin is bound to its carrier")
        login = Login(gateway.smpp_server_port, gateway.username, gateway.password)
        wait_until(lambda: _accepts(login), seconds=START_SECONDS, what="Jasmin accepts a bind")
        yield gateway, login


def _accepts(login: Login) -> bool:
    async def bind() -> None:
        smsc = await _client(login).connect()
        await smsc.unbind()

    try:
        asyncio.run(bind())
    except (OSError, smpp34.SmppError):
        return False
    return True


def _client(login: Login) -> smpp34.Client:
    return smpp34.Client("127.0.0.1", login.port, login.system_id, login.password, window_size=WINDOW)


def submit(login: Login, leader: int, *, seconds: float) -> Measured:
    """Accepted messages a second, and CPU of the server's process for each."""
    before = cpu_of_sessions([leader])
    count, elapsed = asyncio.run(_submit(login, seconds))
    return {"per_second": count / elapsed, "cpu_ms": (cpu_of_sessions([leader]) - before) / count * 1000}


async def _submit(login: Login, seconds: float) -> tuple[int, float]:
    sessions = [await _client(login).connect() for _ in range(SESSIONS)]
    numbers = itertools.count(2_000_000)
    begun = time.monotonic()

    async def one_after_the_other(session: smpp34.Smsc) -> int:
        count = 0
        while time.monotonic() - begun < seconds:
            response = await session.submit_sm(
                f"1415{next(numbers)}", TEXT, dest_addr_ton=1, dest_addr_npi=1, registered_delivery=0
            )
            if not response.is_success:
                raise RuntimeError(f"a message was refused with status {response.command_status}")
            count += 1
        return count

    counts = await asyncio.gather(*(one_after_the_other(session) for session in sessions for _ in range(WINDOW)))
    elapsed = time.monotonic() - begun
    for session in sessions:
        await session.unbind()
    return sum(counts), elapsed


def idle_memory(login: Login, leader: int) -> float:
    """Megabytes that `IDLE_SESSIONS` bound sessions add to the server's resident memory."""

    async def measured() -> float:
        before = _resident(leader)
        sessions = [await _client(login).connect() for _ in range(IDLE_SESSIONS)]
        await asyncio.sleep(1)
        used = _resident(leader) - before
        for session in sessions:
            await session.unbind()
        return used

    return asyncio.run(measured())


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    command(NAME, measure, __doc__)
