"""Time from a provider's receipt to the client's webhook endpoint, through real processes.

    python -m benchmarks.deliver_callbacks [--messages 200] [--workers 2]

A fake carrier posts one receipt after another; the time runs from the start of its request to the arrival of
`message.delivered` at a fake receiver. Runs on DATABASE_URL and REDIS_URL if set, else on SQLite and the embedded
Valkey. Prints a table and writes benchmarks/results/deliver_callbacks-<database>.json.
"""

import argparse
import json
import statistics
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from tests import environment
from tests.journeys.carrier import Carrier, ReceivedCall, post_receipt
from tests.journeys.client import Client, numbers
from tests.journeys.stack import Stack

RESULTS = Path(__file__).parent / "results"


class Receiver(Carrier):
    """A client's endpoint, which records when the delivery of each message was reported."""

    def __init__(self) -> None:
        super().__init__(self._receive)
        self.delivered_at: dict[str, float] = {}
        self.arrived = threading.Condition()

    def _receive(self, call: ReceivedCall) -> tuple[int, dict[str, object]]:
        with self.arrived:
            if call.content["type"] == "message.delivered":
                self.delivered_at[call.content["data"]["id"]] = time.perf_counter()
            self.arrived.notify_all()
        return 200, {}

    def wait_for(self, message_id: str) -> float:
        with self.arrived:
            if not self.arrived.wait_for(lambda: message_id in self.delivered_at, timeout=60):
                raise TimeoutError("no webhook within a minute")
        return self.delivered_at[message_id]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    settings = {"CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8", "RATE_LIMIT_PER_TOKEN": "100000/s"}
    with (
        Carrier() as carrier,
        Receiver() as receiver,
        Stack(workers=arguments.workers, environment=settings, carriers_url=carrier.url) as stack,
    ):
        row = run(Client(stack), carrier, receiver, arguments.messages)
    database = "postgresql" if environment.GIVEN_DATABASE_URL else "sqlite"
    for name, value in row.items():
        print(f"{name:>36} {value:>10.1f}")
    RESULTS.mkdir(exist_ok=True)
    report = {"measured_at": datetime.now(UTC).isoformat(), "database": database, **vars(arguments), **row}
    (RESULTS / f"deliver_callbacks-{database}.json").write_text(json.dumps(report, indent=1) + "\n")


def run(client: Client, carrier: Carrier, receiver: Receiver, count: int) -> dict[str, float]:
    response = client.post("webhook-endpoints/", {"url": f"{receiver.url}/hook"})
    response.raise_for_status()
    client.send_batch(numbers(count))
    client.wait_until_none_is(("queued", "sending"), seconds=300)
    provider_ids = {row["id"]: row["provider_message_id"] for row in client.messages().values()}
    latencies, receipts = [], []
    for call in list(carrier.calls):
        message_id = call.content["reference"]
        started = time.perf_counter()
        post_receipt(call.content["callback_url"], provider_ids[message_id], "delivered").raise_for_status()
        receipts.append((time.perf_counter() - started) * 1000)
        latencies.append((receiver.wait_for(message_id) - started) * 1000)
    return {
        "receipt to receiver median ms": statistics.median(latencies),
        "receipt to receiver 95th percentile ms": statistics.quantiles(latencies, n=20)[18],
        "receipt to receiver longest ms": max(latencies),
        "receipt answered median ms": statistics.median(receipts),
    }


if __name__ == "__main__":
    main()
