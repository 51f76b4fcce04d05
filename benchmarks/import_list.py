"""Import a list of 200,000 rows on SQLite, now and at an older revision in one run, while messages are posted.

    python -m benchmarks.import_list [--rows 200000] [--against 09ac2f1] [--rounds 1]

The web processes of each revision run by their own Procfile, with the embedded database. The list is one CSV upload to
`POST /schedules/{id}/recipients/`; meanwhile another connection posts a message every 100 ms, and each must be accepted (202).
Prints rows a second, the CPU of the web processes, how many messages were refused and the slowest one, and writes
benchmarks/results/import_list.json.
"""

import argparse
import contextlib
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from benchmarks.against import Checkout, checkout, current
from benchmarks.builds import BIN, HIGH_LIMIT, command
from benchmarks.processes import cpu_of_sessions, free_port, running
from tests.environment import EmbeddedValkey

RESULTS = Path(__file__).parent / "results" / "import_list.json"
TODAY = "09ac2f1"
"""The commit before lists were read as people have them, which the goal of issue 17 is compared with."""
PAUSE = 0.1
WARM_UP = 20
NUMBERS = 1_000_003  # a prime, so that the numbers are not in the order of the index


@dataclass(frozen=True)
class Found:
    """Seconds of the upload, CPU seconds of the web processes, and the messages that were posted meanwhile."""

    seconds: float
    cpu: float
    posted: int
    refused: int
    slowest: float


class Poster(threading.Thread):
    """Posts messages until it is stopped, on a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        self._stop_requested = threading.Event()
        self.seconds: list[float] = []
        self.refused = 0

    def run(self) -> None:
        body = {"to": "+14155550101", "message": "Your code is 123456"}
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop_requested.wait(PAUSE):
                started = time.perf_counter()
                response = session.post(f"{self._url}/api/v1/messages/", json=body, headers=self._headers, timeout=120)
                self.seconds.append(time.perf_counter() - started)
                self.refused += response.status_code != 202

    def stop(self) -> None:
        self._stop_requested.set()
        self.join()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--against", default=TODAY)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    content = csv_of(options.rows)
    found: dict[str, list[Found]] = {}
    with checkout(options.against) as older:
        for _ in range(options.rounds):
            for side in (older, current()):
                found.setdefault(side.revision, []).append(measure(side, content, options.rows))
                show(side.revision, found[side.revision][-1], options.rows)
    old, new = (statistics.median(each.seconds for each in rounds) for rounds in found.values())
    print(f"time ÷ the older build: {new / old:.2f}")
    result = {
        "measured_at": datetime.now(UTC).isoformat(),
        "rows": options.rows,
        "ratio": new / old,
        "rounds": {revision: [asdict(each) for each in rounds] for revision, rounds in found.items()},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def csv_of(rows: int) -> bytes:
    lines = (
        b"+49 1511 %07d,Ada %d,10:%02d\n" % (1_000_000 + row * 7_919 % NUMBERS, row, row % 60) for row in range(rows)
    )
    return b"to,name,time\n" + b"".join(lines)


def measure(side: Checkout, content: bytes, rows: int) -> Found:
    with served(side) as (url, token, pid):
        poster, headers = Poster(url, token), {"Authorization": f"Bearer {token}"}
        schedule = {
            "name": "benchmark",
            "message": "Hello {name}, see you at {time}. Reply STOP to opt out.",
            "run_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        with requests.Session() as session:
            session.trust_env = False
            made = session.post(f"{url}/api/v1/schedules/", json=schedule, headers=headers, timeout=60)
            made.raise_for_status()
            warm_up(url, headers)
            address = f"{url}/api/v1/schedules/{made.json()['id']}/recipients/"
            poster.start()
            cpu, started = cpu_of_sessions([pid]), time.perf_counter()
            response = session.post(address, files={"file": ("list.csv", content)}, headers=headers, timeout=3_600)
            seconds, cpu = time.perf_counter() - started, cpu_of_sessions([pid]) - cpu
            poster.stop()
        response.raise_for_status()
        if response.json()["added"] != rows:
            raise RuntimeError(f"{response.json()['added']} of {rows} rows were added")
    return Found(seconds, cpu, len(poster.seconds), poster.refused, max(poster.seconds, default=0.0))


def warm_up(url: str, headers: dict[str, str]) -> None:
    """Let each web process load what a message needs: each connection is accepted by one of them."""
    for _ in range(WARM_UP):
        body = {"to": "+14155550101", "message": "Hello"}
        requests.post(f"{url}/api/v1/messages/", json=body, headers=headers, timeout=60).raise_for_status()


@contextlib.contextmanager
def served(side: Checkout) -> Iterator[tuple[str, str, int]]:
    """Yield the address of its web processes, a token, and the process id of their leader."""
    with tempfile.TemporaryDirectory(prefix="switchboard-bench-") as name, contextlib.ExitStack() as opened:
        folder, port = Path(name), free_port()
        broker = EmbeddedValkey(folder)
        broker.start()
        opened.callback(broker.stop)
        environment = {
            **side.environment,
            "DATABASE_URL": "",
            "PATH": f"{BIN}:{side.environment['PATH']}",
            "LOCAL_DIR": name,
            "REDIS_URL": broker.url,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "PUBLIC_URL": "http://127.0.0.1:1",
            "RATE_LIMIT_PER_TOKEN": HIGH_LIMIT,
            "PORT": str(port),
        }
        prepare = [sys.executable, "-m", "config.run.prepare", "http://127.0.0.1:1"]
        subprocess.run(prepare, cwd=side.folder, env=environment, check=True)
        token = (folder / "demo_token").read_text().strip()
        web = running(command(side.folder, "web"), folder=side.folder, environment=environment, port=port)
        child = opened.enter_context(web)
        yield f"http://127.0.0.1:{port}", token, child.pid or 0


def show(revision: str, found: Found, rows: int) -> None:
    print(
        f"{revision:>10}: {found.seconds:6.1f} s, {rows / found.seconds:7,.0f} rows/s, CPU {found.cpu:5.1f} s;"
        f" {found.posted} messages posted, {found.refused} not accepted, the slowest after {found.slowest:.2f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
