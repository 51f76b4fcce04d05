"""Throughput and latency from acceptance to delivery, through real processes and the sandbox carriers.

    python -m benchmarks.send_messages [--messages 2000] [--clients 8] [--workers 2]

Runs on DATABASE_URL and REDIS_URL if set, else on SQLite and the embedded Valkey. Prints a table and writes
benchmarks/results/send_messages-<database>.json.
"""

import argparse
import functools
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from tests import environment
from tests.journeys.client import ON_THE_WAY, Client, in_parallel, numbers
from tests.journeys.stack import Stack

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with Stack(workers=arguments.workers, environment={"RATE_LIMIT_PER_TOKEN": "100000/s"}) as stack:
        row = run(Client(stack), arguments.messages, arguments.clients)
    database = "postgresql" if environment.GIVEN_DATABASE_URL else "sqlite"
    for name, value in row.items():
        print(f"{name:>28} {value:>10.1f}")
    RESULTS.mkdir(exist_ok=True)
    report = {"measured_at": datetime.now(UTC).isoformat(), "database": database, **vars(arguments), **row}
    (RESULTS / f"send_messages-{database}.json").write_text(json.dumps(report, indent=1) + "\n")


def run(client: Client, count: int, clients: int) -> dict[str, float]:
    recipients = numbers(count)
    latencies: list[float] = []
    send = functools.partial(_send_share, client, latencies)
    started = time.perf_counter()
    in_parallel([functools.partial(send, recipients[index::clients]) for index in range(clients)], threads=clients)
    accepted = time.perf_counter() - started
    client.wait_until_none_is(ON_THE_WAY, seconds=600)
    delivered = time.perf_counter() - started
    rows = client.messages().values()
    waits = [_seconds(row["created_at"], row["sent_at"]) for row in rows if row["sent_at"]]
    return {
        "accepted per second": count / accepted,
        "delivered per second": count / delivered,
        "POST median ms": statistics.median(latencies) * 1000,
        "POST 99th percentile ms": statistics.quantiles(latencies, n=100)[98] * 1000,
        "created to sent median ms": statistics.median(waits) * 1000,
        "created to sent 99th % ms": statistics.quantiles(waits, n=100)[98] * 1000,
    }


def _send_share(client: Client, latencies: list[float], share: list[str]) -> None:
    for number in share:
        started = time.perf_counter()
        client.send(number)
        latencies.append(time.perf_counter() - started)


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


if __name__ == "__main__":
    main()
