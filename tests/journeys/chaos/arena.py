"""The environment for faults: a stack whose workers follow orders, with carriers behind proxies and a broker of its own."""

import contextlib
import dataclasses
import json
import os
import signal
import ssl
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import redis
import requests
from celery import Celery
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.run import commands
from providers.state.account_state import CACHE_SECONDS
from tests.environment import EmbeddedValkey
from tests.journeys import proxy
from tests.journeys.chaos.table import ON_THE_WAY, Row, row_of
from tests.journeys.chaos.worker_orders import Orders
from tests.journeys.client import Client, Message, numbers
from tests.journeys.proxy import Proxy
from tests.journeys.smpp_accounts import BINDS, WINDOW, add_account
from tests.journeys.stack import Stack

CONNECT_TIMEOUT, READ_TIMEOUT, LEASE = 1.0, 1.5, 3.0
CONCURRENCY = 16
WORKERS = 2
SETTLED_SECONDS = 90.0
# Messages that even a busy machine sends in a second.
SLOWEST_PER_SECOND = 15
SWEEPS = 12
STOP_TRIES = 20
SOON_MS, NEVER_MS = 100, 3_600_000
GOOD, BAD, SMPP = "provider1", "provider2", "smpp"
CONNECTORS = 2
PACED_SIZE, PACED_SECONDS = 5, 2
EVERYBODY, BRITISH, GERMAN = "+1415200", "+44207946", "+4915112"

# The accounts of this stack: most messages go to the carrier that will fail.
SET_UP = """
import json
from messaging.services.installation import SANDBOX_FIELDS
from providers.services import upsert_account
for account in json.loads({accounts!r}):
    account["config"]["fields"] = SANDBOX_FIELDS
    upsert_account(backend="generic_http", **account)
"""


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


class Arena:
    """A context manager in which scenarios are played one after another."""

    def __init__(self) -> None:
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self._folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="switchboard-chaos-")))
            self.orders = Orders(self._folder)
            self.broker = EmbeddedValkey(self._folder)
            self.broker.start()
            cleanup.callback(self.broker.stop)
            self.stack = cleanup.enter_context(
                Stack(
                    workers=WORKERS,
                    environment=self._environment(),
                    worker_command=worker_with_orders,
                    broker=self.broker,
                    connectors=CONNECTORS,
                )
            )
            tls = wrong_name(self.orders.authority)
            self.good, self.bad = (cleanup.enter_context(Proxy(self.stack.sandbox_url)) for _ in range(2))
            self.tls = cleanup.enter_context(Proxy(self.stack.sandbox_url, tls=tls))
            self.stack.start_beat()  # a second one
            self.client = Client(self.stack)
            self._set_up()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _environment(self) -> dict[str, str]:
        return {
            "CHAOS_ORDERS": str(self._folder),
            "PROVIDER_CONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
            "PROVIDER_READ_TIMEOUT": str(READ_TIMEOUT),
            "CLAIM_LEASE_SECONDS": str(LEASE),
            "DISPATCH_CONCURRENCY": str(CONCURRENCY),
            "RATE_LIMIT_PER_TOKEN": "10000/s",
        }

    def _set_up(self) -> None:
        accounts = [
            {"slug": "sandbox1", "weight": 30, "config": {"url": f"{self.good.url}/{GOOD}"}},
            {"slug": "sandbox2", "weight": 70, "config": {"url": f"{self.bad.url}/{BAD}"}},
            {
                "slug": "wrong-name",
                "weight": 900,
                "config": {"url": f"{self.tls.url}/{BAD}", "allowed_prefixes": [BRITISH[:3]]},
            },
        ]
        self.stack.manage("shell", "--command", SET_UP.format(accounts=json.dumps(accounts)))
        options = {"allowed_prefixes": [GERMAN], "binds": BINDS, "window": WINDOW, "response_timeout": READ_TIMEOUT}
        add_account(self.stack, SMPP, port=self.stack.smpp_port, prefix=GERMAN, **options)
        self.stack.wait_until(lambda: self.stack.smpp_sessions() == BINDS, seconds=90)
        change = {"batch_size": PACED_SIZE, "interval_seconds": PACED_SECONDS}
        answer = self.client.session.patch(self.stack.url("queues/paced/"), json=change, timeout=30)
        assert answer.status_code == 200, answer.text

    # --- Between scenarios --------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """No fault, all workers, closed circuits."""
        self.orders.cancel()
        was_faulty = False
        for each in (self.good, self.bad, self.tls):
            was_faulty |= each.visits > 0 or not each.is_listening
            each.fault = proxy.passed
            each.visits = 0
            each.listen()
        self.set_carriers(latency_ms=50, receipt_delay_ms=SOON_MS, failure_rate=0)
        self.set_smpp(latency_ms=50, receipt_delay_ms=SOON_MS, failure_rate=0, close_every=0)
        for _ in range(WORKERS - len(self.workers())):
            self.stack.start_worker()
        self.stack.wait_until(lambda: self.stack.smpp_sessions() == BINDS, seconds=60)
        with self.redis() as client:
            for key in client.scan_iter("switchboard:provider:*"):
                client.delete(key)
        if was_faulty:
            time.sleep(CACHE_SECONDS)  # each worker caches the circuits it has read for this long

    def set_carriers(self, *, only: str = "", **settings: float) -> None:
        self.stack.change_sandbox({carrier: settings for carrier in (GOOD, BAD) if only in {"", carrier}})

    def set_smpp(self, **settings: Any) -> None:
        self.stack.change_sandbox({SMPP: settings})

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.broker.url)

    # --- Workers ------------------------------------------------------------------------------------------------------

    def workers(self) -> list[int]:
        """The indices of the running workers."""
        return [index for index, worker in enumerate(self.stack.workers) if worker.exit_code() is None]

    def pids(self) -> list[int]:
        return [self.stack.workers[index].pid for index in self.workers()]

    def wait_for_a_death(self) -> None:
        """Wait for a worker to die, then start replacements, which takes a while."""
        self.stack.wait_until(lambda: len(self.workers()) < WORKERS, seconds=30, pause=0.02)
        for _ in range(WORKERS - len(self.workers())):
            self.stack.start_worker()

    @contextlib.contextmanager
    def suspended(self, pids: Iterable[int]) -> Iterator[None]:
        """Stop these workers, as if their machine were suspended."""
        pids = list(pids)
        self._stop_outside_transactions(pids)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    def _stop_outside_transactions(self, pids: list[int]) -> None:
        """A process that is stopped within a transaction locks the rows of other messages for as long as it is stopped."""
        for _ in range(STOP_TRIES):
            with self.stack.writes_blocked():
                _signal(pids, signal.SIGSTOP)
            if not self.stack.has_stuck_transaction():
                return
            _signal(pids, signal.SIGCONT)
            time.sleep(0.05)
        raise AssertionError("the workers were within a transaction each time")

    def memory(self) -> int:
        """Resident memory of the largest worker in bytes."""
        pids = ",".join(map(str, self.pids()))
        done = subprocess.run(["ps", "-o", "rss=", "-p", pids], capture_output=True, text=True, check=True)
        return max(int(line) for line in done.stdout.split()) * 1024

    # --- One scenario -------------------------------------------------------------------------------------------------

    def play(self, name: str, act: Callable[["Arena", "Run"], None], *, count: int) -> tuple[Row, "Run"]:
        self.calm()
        run = Run(self, name, count=count)
        act(self, run)
        run.wait_until_settled()
        seconds = time.monotonic() - run.started
        row = row_of(name, ids=run.ids, messages=run.messages(), taken=run.taken(), seconds=seconds)
        return row, run


class Run:
    """The messages of one scenario, and the records of the carriers about them."""

    def __init__(self, arena: Arena, name: str, *, count: int) -> None:
        self.arena = arena
        self.client = arena.client
        self.count = count
        self.ids: list[str] = []
        self._by_recipient: dict[str, str] = {}
        self.on_the_way = ON_THE_WAY
        self.started = time.monotonic()
        self._reference = f"{name} {time.time():.0f}"
        self._since = arena.stack.sandbox_log()["next"]
        self.memory_before = 0
        self.answers: list[tuple[str, Any]] = []
        self._sweeps = Celery(broker=arena.broker.url)

    def send(self, count: int | None = None, *, prefix: str = EVERYBODY, **more: Any) -> None:
        """Send in one request; without `count`, all messages of the run."""
        start = len(self.ids)
        recipients = numbers(start + (count or self.count), prefix=prefix)[start:]
        ids = self.client.send_batch(recipients, reference=self._reference, **more)
        self.ids += ids
        self._by_recipient |= dict(zip(recipients, ids, strict=True))

    def log(self) -> dict[str, Any]:
        """What the carriers accepted and refused. SMPP carries no reference of ours: there the recipient names the message."""
        wanted = set(self.ids)
        log = self.client.stack.sandbox_log(self._since)
        for entry in (*log["accepted"], *log["refused"]):
            if entry["carrier"] == SMPP:
                entry["reference"] = self._by_recipient.get(entry["to"], "")
        return {
            kind: [entry for entry in log[kind] if entry["reference"] in wanted] for kind in ("accepted", "refused")
        }

    def taken(self) -> Counter[str]:
        """How often the carriers accepted each message."""
        return Counter(entry["reference"] for entry in self.log()["accepted"])

    def wait_for_taken(self, count: int) -> None:
        self.arena.stack.wait_until(lambda: len(self.taken()) >= count, seconds=SETTLED_SECONDS, pause=0.02)

    def sweep_until(self, condition: Callable[[], bool]) -> None:
        def swept() -> bool:
            self._sweeps.send_task("messaging.recover")
            return condition()

        swept.__name__ = condition.__name__
        self.arena.stack.wait_until(swept, seconds=SETTLED_SECONDS, pause=0.2)

    def retry(self, ids: Iterable[str]) -> None:
        """Retry as an operator would after asking the carrier."""
        for message_id in ids:
            answer = self.client.post(f"messages/{message_id}/retry/", {"reason": "the carrier never got it"})
            assert answer.status_code == 200, answer.text

    def sweep_during_calls(self) -> None:
        """Sweep often enough for both workers to run it while a first call waits for its response."""
        self.arena.stack.wait_until(lambda: "sending" in self.statuses(), seconds=SETTLED_SECONDS, pause=0.02)
        for _ in range(SWEEPS):
            self._sweeps.send_task("messaging.recover")

    def statuses(self) -> set[str]:
        return {message["status"] for message in self.messages().values()}

    def messages(self) -> dict[str, Message]:
        found: dict[str, Message] = {}
        page = self.client.get("messages/", cursor="", limit=100, reference=self._reference)
        while True:
            found |= {message["id"]: message for message in page["results"]}
            if page["next"] is None:
                return found
            page = self.client.session.get(page["next"], timeout=60).json()

    def attempts(self) -> Iterator[dict[str, Any]]:
        for message_id in self.ids:
            yield from self.client.attempts(message_id)

    def wait_until_settled(self) -> None:
        """Wait until no message is in flight and all prompt receipts have arrived; the table shows the rest."""
        with contextlib.suppress(AssertionError):
            seconds = SETTLED_SECONDS + self.count / SLOWEST_PER_SECOND
            self.arena.stack.wait_until(self._is_settled, seconds=seconds, pause=0.2)

    def _is_settled(self) -> bool:
        self._sweeps.send_task(
            "messaging.recover"
        )  # beat does this every five seconds, which is too slow for this test
        settings = self.arena.stack.sandbox_settings()
        soon = {carrier for carrier, values in settings.items() if values["receipt_delay_ms"] == SOON_MS}
        accepted = self.log()["accepted"]
        due = {entry["reference"] for entry in accepted if entry["carrier"] in soon}
        # A receipt by SMPP names its message by the id in a response, which may have been lost.
        lost = {entry["reference"] for entry in accepted if entry["carrier"] == SMPP}
        try:
            messages = self.messages()
        except (AssertionError, requests.RequestException):  # right after the database was unavailable
            return False
        return all(
            message["status"] not in self.on_the_way
            and (message["status"] == "delivered" or pk not in due or (pk in lost and message["status"] == "unknown"))
            for pk, message in messages.items()
        )


def worker_with_orders(name: str, *, concurrency: int) -> commands.Command:
    command = commands.worker(name, concurrency=concurrency)
    argv = tuple("tests.journeys.chaos.worker" if word == "config" else word for word in command.argv)
    return dataclasses.replace(command, argv=argv)


def wrong_name(authority: Path) -> ssl.SSLContext:
    """A server-side TLS context with a certificate that the workers trust, but for another host name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "carrier.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("carrier.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = authority.with_name("server.pem")
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + authority.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context
