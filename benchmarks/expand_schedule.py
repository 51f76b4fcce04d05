"""Speed and peak memory of reading a CSV of N recipients and of expanding the schedule to messages.

    DATABASE_URL=postgresql://… python -m benchmarks.expand_schedule [--sizes 1000 100000 1000000]

Each size runs in its own process, because a process's peak memory never falls, and against its own database, which is
dropped afterwards. Prints a table and writes benchmarks/results/expand_schedule.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

RESULTS = Path(__file__).parent / "results" / "expand_schedule.json"
DEFAULT_DATABASE = "postgresql://postgres@127.0.0.1:5432/postgres"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments.one)))
        return
    rows = [in_own_process(size) for size in arguments.sizes]
    print(f"{'recipients':>10} {'CSV rows/s':>11} {'messages/s':>11} {'CSV peak MB':>12} {'expansion peak MB':>18}")
    for row in rows:
        print(
            f"{row['recipients']:>10} {row['csv_rows_per_second']:>11.0f} {row['messages_per_second']:>11.0f}"
            f" {row['csv_peak_mb']:>12.1f} {row['expansion_peak_mb']:>18.1f}"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"measured_at": datetime.now(UTC).isoformat(), "rows": rows}, indent=1) + "\n")


def in_own_process(size: int) -> dict[str, float]:
    """Use a new database; one process stores the list and another expands it, as in a deployment."""
    server = os.environ.get("DATABASE_URL") or DEFAULT_DATABASE
    name = f"switchboard_bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "benchmark",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    try:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=environment, check=True)
        command = [sys.executable, "-m", "benchmarks.expand_schedule", "--one", str(size)]
        stored = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        environment["BENCHMARK_PHASE"] = "expand"
        expanded = json.loads(
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        )
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    return {"recipients": size, **stored, **expanded}


def run(size: int) -> dict[str, float]:
    import django

    django.setup()
    return expand() if os.environ.get("BENCHMARK_PHASE") == "expand" else store(size)


def store(size: int) -> dict[str, float]:
    from django.contrib.auth import get_user_model

    from messaging.services import installation
    from scheduling.recipients_csv import ListFormat
    from scheduling.services import recipients, schedules
    from scheduling.services.schedules import ScheduleInput

    installation.install()
    now = datetime.now(UTC)
    draft = ScheduleInput(
        name="benchmark",
        text="Hello {name}, see you at {time}. Reply STOP to opt out.",
        run_at=now + timedelta(hours=1),
        time_zone="UTC",
        recurrence=None,
        queue="express",
        sender=None,
        valid_for=14_400,
    )
    owner = get_user_model().objects.create(username="benchmark")
    schedule = schedules.create(owner=owner, draft=draft, recipients=[], default_queue="express", now=now)
    with tempfile.TemporaryFile() as file:
        file.write(b"to,name,time\n")
        file.writelines(b"+1415%07d,Ada %d,10:%02d\n" % (2_000_000 + row, row, row % 60) for row in range(size))
        file.seek(0)
        started = time.perf_counter()
        report = recipients.add_csv(schedule_id=schedule.pk, stream=file, now=now, form=ListFormat())
        seconds = time.perf_counter() - started
    assert report.added == size, report  # noqa: S101
    return {"csv_rows_per_second": size / seconds, "csv_peak_mb": peak_mb()}


def expand() -> dict[str, float]:
    from messaging.models import Message
    from scheduling.services import expansion, runs

    due = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    runs.start_due(now=due, max_lateness=timedelta(hours=1))
    [run_id] = expansion.unfinished(now=due)
    started = time.perf_counter()
    made = expansion.expand(run_id)
    seconds = time.perf_counter() - started
    assert made == Message.objects.count(), made  # noqa: S101
    return {"messages_per_second": made / seconds, "expansion_peak_mb": peak_mb()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
