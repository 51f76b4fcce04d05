"""Many open live streams in one process: their cost while they wait, and the time until all have an event.

    python -m benchmarks.hold_streams [--streams 500] [--seconds 30] [--messages 20]

Each stream is its own connection to a real `live` process, on DATABASE_URL and REDIS_URL if set, else on SQLite and the
embedded Valkey. Prints a table and writes benchmarks/results/hold_streams-<database>.json.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests import environment
from tests.journeys.client import Client, numbers
from tests.journeys.stack import Stack

RESULTS = Path(__file__).parent / "results"
PATH = "/api/v1/live/events/"
OPENING_AT_ONCE = 50
MEGABYTE = 1024
TICKS = os.sysconf("SC_CLK_TCK")


class StreamClient:
    """Reads while it is open; `arrived` are the times at which events arrived."""

    def __init__(self) -> None:
        self.arrived: list[float] = []
        self.heartbeats = 0
        self.is_open = False

    async def open(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port)
        self._writer.write(f"GET {PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        status = await self._reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(status.decode())
        while not (await self._reader.readline()).startswith(b"id: "):
            pass
        self.is_open = True

    async def read(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"data: "):
                self.arrived.append(time.perf_counter())
            self.heartbeats += line == b":\n"
        self.is_open = False

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


class Process:
    """All processes of the `live` server: its parent and its worker."""

    def __init__(self, session: int) -> None:
        stats = ((path, path.read_text()) for path in Path("/proc").glob("[0-9]*/stat"))
        self._folders = [path.parent for path, text in stats if int(text.rpartition(")")[2].split()[3]) == session]

    def status(self, name: str) -> int:
        lines = [line for folder in self._folders for line in (folder / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    @property
    def megabytes(self) -> float:
        return self.status("VmRSS") / MEGABYTE

    @property
    def cpu_seconds(self) -> float:
        fields = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in self._folders]
        return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30, help="duration of the idle phase")
    parser.add_argument("--messages", type=int, default=20)
    arguments = parser.parse_args()
    extra = {"RATE_LIMIT_PER_TOKEN": "100000/s", "LIVE_STREAMS_PER_USER": str(arguments.streams)}
    with Stack(live=True, environment=extra) as stack:
        row = asyncio.run(run(stack, arguments))
    database = "postgresql" if environment.GIVEN_DATABASE_URL else "sqlite"
    for name, value in row.items():
        print(f"{name:>44} {value:>10.1f}")
    RESULTS.mkdir(exist_ok=True)
    report = {"measured_at": datetime.now(UTC).isoformat(), "database": database, **vars(arguments), **row}
    (RESULTS / f"hold_streams-{database}.json").write_text(json.dumps(report, indent=1) + "\n")


async def run(stack: Stack, arguments: argparse.Namespace) -> dict[str, float]:
    [live] = [child for child in stack._others if child.name == "live"]  # noqa: SLF001
    if live.pid is None:
        raise SystemExit("the live process is not running")
    process = Process(live.pid)
    token = (stack.folder / "demo_token").read_text().strip()
    streams = [StreamClient() for _ in range(arguments.streams)]
    before = {
        "RSS before, MB": process.megabytes,
        "threads before": process.status("Threads"),
        **await asyncio.to_thread(connections_of, stack, "before"),
    }

    started = time.perf_counter()
    for start in range(0, len(streams), OPENING_AT_ONCE):
        await asyncio.gather(
            *(stream.open(stack.live_url, token) for stream in streams[start : start + OPENING_AT_ONCE])
        )
    opened = time.perf_counter() - started
    reading = [asyncio.create_task(stream.read()) for stream in streams]

    cpu = process.cpu_seconds
    await asyncio.sleep(arguments.seconds)
    idle = {
        "opened per second": len(streams) / opened,
        "RSS while they wait, MB": process.megabytes,
        "threads while they wait": process.status("Threads"),
        **await asyncio.to_thread(connections_of, stack, "while they wait"),
        "CPU while they wait, % of a core": 100 * (process.cpu_seconds - cpu) / arguments.seconds,
        "fewest heartbeats of a stream": min(stream.heartbeats for stream in streams),
    }

    firsts, lasts = await asyncio.to_thread(send_all, Client(stack), streams, arguments.messages)
    sent = {
        "events to each stream": 2 * arguments.messages,
        "first to last stream, median ms": 1000 * statistics.median(b - a for a, b in zip(firsts, lasts, strict=True)),
        "RSS after all events, MB": process.megabytes,
        "streams still open": sum(stream.is_open for stream in streams),
    }
    for stream in streams:
        await stream.close()
    await asyncio.gather(*reading, return_exceptions=True)
    return {**before, **idle, **sent}


def send_all(client: Client, streams: list[StreamClient], count: int) -> tuple[list[float], list[float]]:
    """The times at which each event was at the first and at the last stream."""

    def have_all(events: int) -> bool:
        return all(len(stream.arrived) >= events for stream in streams)

    for sent, number in enumerate(numbers(count), start=1):
        client.send(number)
        client.stack.wait_until(partial(have_all, 2 * sent), seconds=60, pause=0.01)
    times = list(zip(*(stream.arrived for stream in streams), strict=True))
    return [min(each) for each in times], [max(each) for each in times]


def connections_of(stack: Stack, when: str) -> dict[str, int]:
    """The pooled connections of all processes together, on PostgreSQL only."""
    url = stack.environment["DATABASE_URL"]
    if not url:
        return {}
    with psycopg.connect(url) as connection:
        [[count]] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return {f"pooled database connections {when}": count}


if __name__ == "__main__":
    main()
