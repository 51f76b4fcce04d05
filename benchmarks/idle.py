"""What an idle `make run` costs: processor time and memory of each process, and the time of a start.

    python -m benchmarks.idle [--seconds 60] [--rounds 3] [--against /path/to/another/checkout]

Starts `python -m config.run` twice in a temporary folder with nothing set (SQLite and the embedded Valkey). The first start
fills the folder, the second is the one that users see; its processes are measured from five seconds after the banner.
With `--against` each round measures both checkouts in turn. Needs Linux. Prints a table of medians and writes
benchmarks/results/idle.json.
"""

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
LAST_LINE = "Ctrl-C stops everything; the data stays."
SETTLE_SECONDS = 5.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# A part of the command line, and the name of the process in `make run`. Granian has a parent and a child, which are added up.
NAMES = {
    "valkey-server": "valkey",
    "providers.simulator": "sandbox",
    "granian": "web",
    " beat ": "beat",
    " worker ": "worker",
    "config.run": "supervisor",
}

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the processes are watched")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", type=Path, help="a checkout of another revision")
    arguments = parser.parse_args()
    checkouts = {"this": HERE} | ({"other": arguments.against.resolve()} if arguments.against else {})
    rounds: dict[str, list[Row]] = {name: [] for name in checkouts}
    for _ in range(arguments.rounds):
        for name, checkout in checkouts.items():
            rounds[name].append(measure(checkout, arguments.seconds))
    report = {name: _medians(rows) for name, rows in rounds.items()}
    _print(report)
    RESULTS.mkdir(exist_ok=True)
    about = {"measured_at": datetime.now(UTC).isoformat(), "machine": platform.platform(), "cores": os.cpu_count()}
    asked = {"seconds": arguments.seconds, "rounds": arguments.rounds}
    (RESULTS / "idle.json").write_text(json.dumps({**about, **asked, **report}, indent=1) + "\n")


def measure(checkout: Path, seconds: float) -> Row:
    """Return `<process> cpu %` of one core, `<process> rss mb` and `pss mb`, and the seconds and CPU seconds of both starts."""
    with tempfile.TemporaryDirectory() as folder:
        row: Row = {}
        with _run(checkout, Path(folder)) as (_, wall, cpu):
            row |= {"first start s": wall, "first start cpu s": cpu}
        with _run(checkout, Path(folder)) as (supervisor, wall, cpu):
            row |= {"second start s": wall, "second start cpu s": cpu}
            time.sleep(SETTLE_SECONDS)
            row |= _watch(supervisor, seconds)
    return row


@contextmanager
def _run(checkout: Path, folder: Path) -> Iterator[tuple[int, float, float]]:
    """Yield the supervisor's pid, the seconds until its banner, and the CPU seconds that all processes used until then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    unset = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PUBLIC_URL", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "config.run"],
        cwd=checkout,
        env={**environment, "LOCAL_DIR": str(folder), "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout or ():
            if line.rstrip() == LAST_LINE:
                break
        else:
            raise RuntimeError(f"{checkout}: no banner")
        wall = time.monotonic() - started
        cpu = sum(_cpu_seconds(pid, with_ended=True) for pid in _family(process.pid))
        yield process.pid, wall, cpu
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def _watch(supervisor: int, seconds: float) -> Row:
    before = {pid: _cpu_seconds(pid) for pid in _family(supervisor)}
    started = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    row: Row = {}
    for pid, used in before.items():
        name = _name(pid)
        values = {"cpu %": (_cpu_seconds(pid) - used) / elapsed * 100, **_memory(pid)}
        for unit, value in values.items():
            for owner in (name, "all"):
                row[f"{owner} {unit}"] = row.get(f"{owner} {unit}", 0.0) + value
    return row


def _family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def _cpu_seconds(pid: int, *, with_ended: bool = False) -> float:
    """The time that the process has used, and, on request, its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11 : 15 if with_ended else 13]) / TICKS_PER_SECOND


def _memory(pid: int) -> Row:
    sizes = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {f"{name.lower()} mb": int(sizes[name].split()[0]) / 1024 for name in ("Rss", "Pss")}


def _name(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return next((name for part, name in NAMES.items() if part in command), "web")  # Granian's child renames itself


def _medians(rows: list[Row]) -> Row:
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def _print(report: dict[str, Row]) -> None:
    print(f"{'':>24}" + "".join(f"{name:>12}" for name in report))
    for name in report["this"]:
        print(f"{name:>24}" + "".join(f"{row.get(name, float('nan')):>12.2f}" for row in report.values()))


if __name__ == "__main__":
    main()
