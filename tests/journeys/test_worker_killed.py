"""A worker dies, or the broker loses all data, during a run: nothing is lost or sent twice.

The carriers respond slowly, so that a killed worker has calls in flight. Their receipts arrive after the sweep, so that
messages in flight become `unknown` before their receipts settle them.
"""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from tests.journeys.client import Client, Message, numbers, statuses
from tests.journeys.stack import Stack

CONNECT_TIMEOUT, READ_TIMEOUT, LEASE = "1", "4", "6"
CONCURRENCY = 16
WORKERS = 2
TASKS = "celery"  # the broker's list
MESSAGES, FEWER = 600, 200
UNSENT = ("queued", "sending")
AFTER_SWEEP, SOON = 16_000, 200  # the sweep runs every five seconds


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    environment = {
        "PROVIDER_CONNECT_TIMEOUT": CONNECT_TIMEOUT,
        "PROVIDER_READ_TIMEOUT": READ_TIMEOUT,
        "CLAIM_LEASE_SECONDS": LEASE,
        "DISPATCH_CONCURRENCY": str(CONCURRENCY),
    }
    options = ("--latency-ms", "300", "--latency-jitter-ms", "150", "--receipt-delay-ms", str(SOON))
    with Stack(workers=WORKERS, environment=environment, sandbox_options=options) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(autouse=True)
def _all_workers(stack: Stack) -> None:
    for _ in range(WORKERS - len(alive(stack))):
        stack.start_worker()


def alive(stack: Stack) -> list[int]:
    """The indices of the running workers."""
    return [index for index, worker in enumerate(stack.workers) if worker.exit_code() is None]


@contextlib.contextmanager
def paused(stack: Stack, indices: list[int]) -> Iterator[None]:
    """Stop these workers meanwhile, as if their machine were frozen."""
    pids = [stack.workers[index].pid for index in indices]
    try:
        with stack.writes_blocked():
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            for pid in pids:
                os.waitpid(pid, os.WUNTRACED)  # returns when it has stopped
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Run:
    """The messages of one journey, and the records of the carriers about them."""

    def __init__(self, client: Client, reference: str, *, count: int) -> None:
        self.client = client
        self.reference = reference
        self._since = client.stack.sandbox_log()["next"]
        self.ids = client.send_batch(numbers(count), reference=reference)
        self._ids_set = set(self.ids)

    def accepted(self) -> Counter[str]:
        """How often the carriers accepted each message."""
        calls = self.client.stack.sandbox_log(self._since)["accepted"]
        return Counter(call["reference"] for call in calls if call["reference"] in self._ids_set)

    def wait_for_accepted(self, count: int) -> None:
        self.client.stack.wait_until(lambda: len(self.accepted()) >= count, pause=0.05)

    def messages(self) -> list[Message]:
        found = self.client.messages()
        return [found[message_id] for message_id in self.ids]

    def wait_until_settled(self) -> None:
        """No message is in flight, and every accepted message has its receipt."""

        def settled() -> bool:
            taken = self.accepted()
            return self.client.count(UNSENT) == 0 and all(
                message["status"] == "delivered" or message["id"] not in taken for message in self.messages()
            )

        self.client.stack.wait_until(settled, pause=0.5)


def set_receipt_delay(stack: Stack, milliseconds: int) -> None:
    stack.change_sandbox({carrier: {"receipt_delay_ms": milliseconds} for carrier in ("provider1", "provider2")})


def working_worker(run: Run) -> int:
    """A worker that is certainly calling, because it was briefly the only one running."""
    *others, chosen = alive(run.client.stack)
    with paused(run.client.stack, others):
        run.wait_for_accepted(len(run.accepted()) + 3 * CONCURRENCY)
    return chosen


def test_a_killed_worker_loses_nothing_and_nothing_is_sent_twice(client: Client) -> None:
    stack = client.stack
    set_receipt_delay(stack, AFTER_SWEEP)
    run = Run(client, "killed", count=MESSAGES)
    victim = working_worker(run)
    run.wait_for_accepted(MESSAGES // 4)

    stack.kill_worker(victim)

    assert len(run.accepted()) < MESSAGES, "the run was over before the worker was killed"
    client.wait_until_none_is(UNSENT)
    taken = run.accepted()
    in_flight = [message["id"] for message in run.messages() if message["status"] == "unknown"]
    run.wait_until_settled()
    set_receipt_delay(stack, SOON)

    messages = run.messages()
    assert set(taken.values()) == {1}
    assert 1 <= len(in_flight) <= CONCURRENCY
    assert {message["id"] for message in messages if message["status"] == "delivered"} == taken.keys()
    assert {message["id"] for message in messages if message["status"] != "delivered"} <= set(in_flight)
    assert statuses(messages).keys() <= {"delivered", "unknown"}
    assert run.accepted() == taken
    for message_id in in_flight:
        assert client.steps(message_id)[:3] == ["queued", "sending", "unknown"]
        [attempt] = client.attempts(message_id)
        assert (attempt["outcome"], attempt["error"]["code"]) == ("unknown", "worker_lost")


def test_after_all_workers_were_killed_new_workers_send_the_rest(client: Client) -> None:
    stack = client.stack
    run = Run(client, "all killed", count=FEWER)
    run.wait_for_accepted(3 * CONCURRENCY)

    killed = alive(stack)
    for index in killed:
        stack.kill_worker(index)
    waiting = client.count(["queued"])
    for _ in killed:
        stack.start_worker()
    run.wait_until_settled()

    taken = run.accepted()
    assert waiting > 0
    assert set(taken.values()) == {1}
    assert {message["id"] for message in run.messages() if message["status"] == "delivered"} == taken.keys()
    assert len(taken) >= FEWER - CONCURRENCY * len(killed)


def test_a_broker_that_loses_all_data_only_causes_delay(client: Client) -> None:
    stack = client.stack
    with redis.Redis.from_url(stack.environment["REDIS_URL"]) as broker:
        with paused(stack, alive(stack)):
            # Each worker may hold one task that it received before it was paused; new tasks stay in the broker.
            stack.wait_until(lambda: broker.llen(TASKS) > 0)
            run = Run(client, "forgotten", count=FEWER)
            assert broker.llen(TASKS) > 0
            broker.flushdb()
        run.wait_for_accepted(2 * CONCURRENCY)
        broker.flushdb()
    run.wait_until_settled()

    assert run.accepted() == dict.fromkeys(run.ids, 1)
    assert statuses(run.messages()) == {"delivered": FEWER}
