"""The product as real processes, for journeys: web, workers, beat and sandbox over a fresh database and broker."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import redis
import requests
from requests.adapters import HTTPAdapter

from config.run import commands, services
from config.run.child import Child
from config.run.environment import BASE_DIR
from tests.environment import (
    GIVEN_DATABASE_URL,
    GIVEN_REDIS_URL,
    JOURNEYS_DATABASE,
    EmbeddedValkey,
    redis_database,
)
from tests.journeys.databases import migrated_database

PATIENCE = 120.0  # seconds to wait for what takes one on an idle machine
CONNECTIONS = 64
SHOWN_CHARACTERS = 20_000
SANDBOX_PASSWORD = "PROVIDER_SANDBOX_SMPP_PASSWORD"  # the name of a variable

running: list["Stack"] = []
"""The running stacks; a failed test shows their logs."""


class Stack:
    """Use as a context manager. `environment` is added to that of every process; `sandbox_options` go to the simulator.

    The accounts `sandbox1` and `sandbox2` send to the simulator, or to `carriers_url` if a test acts as the carriers.
    `worker_command` takes a name and the concurrency. A given `broker` is started and stopped by the test.
    With `live`, the live process runs beside the web process, at `live_url`. With `connectors`, that many processes hold the
    binds of SMPP accounts, and the simulator has a carrier that speaks SMPP, at `smpp_port`. With `smpp_server`, clients can
    bind at `smpp_server_port`.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        worker_concurrency: int = 8,
        web_workers: int = 1,
        environment: Mapping[str, str] | None = None,
        sandbox_options: tuple[str, ...] = (),
        carriers_url: str = "",
        worker_command: Callable[..., commands.Command] = commands.worker,
        broker: EmbeddedValkey | None = None,
        live: bool = False,
        connectors: int = 0,
        smpp_server: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="switchboard-journey-"))
        self.workers: list[Child] = []
        self._first_workers = workers
        self._worker_concurrency = worker_concurrency
        self._web_workers = web_workers
        self._extra = dict(environment or {})
        self._sandbox_options = sandbox_options
        self._carriers_url = carriers_url
        self._worker_command = worker_command
        self._broker = broker
        self._live_port = services.free_port() if live else 0
        self.live_url = f"http://127.0.0.1:{self._live_port}" if live else ""
        self._connector_ports = [services.free_port() for _ in range(connectors)]
        self.smpp_port = services.free_port() if connectors else 0
        self.connectors: list[Child] = []
        self.smpp_server_port = services.free_port() if smpp_server else 0
        self._others: list[Child] = []
        self._cleanup = contextlib.ExitStack()
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            sys.stderr.write(self.last_lines())
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        running.append(self)
        web_port, sandbox_port = services.free_port(), services.free_port()
        self.base_url, self.sandbox_url = f"http://127.0.0.1:{web_port}", f"http://127.0.0.1:{sandbox_port}"
        self.environment = {
            **os.environ,
            "DATABASE_URL": self._database_url(),
            "REDIS_URL": self._fresh_broker(),
            "LOCAL_DIR": str(self.folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PUBLIC_URL": self.base_url,
            **self._smpp_environment(),
            **self._extra,
        }
        self._run("-m", "config.run.prepare", self._carriers_url or self.sandbox_url)
        smpp_options = ("--smpp-port", str(self.smpp_port)) if self.smpp_port else ()
        self._start(commands.sandbox(sandbox_port, *smpp_options, *self._sandbox_options))
        for index in range(len(self._connector_ports)):
            self.start_connector(index)
        for _ in range(self._first_workers):
            self.start_worker()
        self._start(commands.deployed_web(web_port, workers=self._web_workers))
        if self._live_port:
            self.start_live()
        if self.smpp_server_port:
            self.start_smpp_server()
        self.start_beat()
        self.session = self.new_session((self.folder / "demo_token").read_text().strip())
        self.wait_until(self._is_ready)

    def stop(self) -> None:
        if self not in running:
            return
        running.remove(self)
        if hasattr(self, "session"):
            self.session.close()
        children = (*reversed(self._others), *self.workers, *self.connectors)
        for child in children:
            child.terminate()
        for child in children:
            if not child.wait(child.command.stop_seconds):
                child.kill()
        self._cleanup.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Talking to it ------------------------------------------------------------------------------------------------

    def url(self, path: str) -> str:
        """`messages/` becomes the absolute URL under `/api/v1/`; a path that begins with `/` is used unchanged."""
        return self.base_url + (path if path.startswith("/") else f"/api/v1/{path}")

    def token(self, user: str) -> str:
        """The token of that service user (groups `API sender` and `API operator`), issued once."""
        if user not in self._tokens:
            self._tokens[user] = self.manage("issue_token", user).strip()
        return self._tokens[user]

    def new_session(self, token: str) -> requests.Session:
        """A session for one client; threads may share it if they only send requests."""
        session = requests.Session()
        session.trust_env = False  # no proxy
        session.mount("http://", HTTPAdapter(pool_connections=2, pool_maxsize=CONNECTIONS))
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def manage(self, *arguments: str, standard_input: str = "") -> str:
        """Standard output of `manage.py`; an error contains both outputs."""
        return self._run("manage.py", *arguments, standard_input=standard_input)

    def _run(self, *arguments: str, standard_input: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            input=standard_input,
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def sandbox_log(self, since: int = 0) -> dict[str, Any]:
        """`{"accepted": [...], "refused": [...], "next": index}`, as the carriers saw it."""
        answer = requests.get(f"{self.sandbox_url}/_log", params={"since": since}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def sandbox_settings(self) -> dict[str, dict[str, float]]:
        answer = requests.get(f"{self.sandbox_url}/_settings", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def change_sandbox(self, settings: dict[str, Any]) -> None:
        answer = requests.patch(f"{self.sandbox_url}/_settings", json=settings, timeout=10)
        answer.raise_for_status()

    def receipts_posted(self) -> int:
        """The number of receipts that the sandbox carriers have posted so far."""
        answer = requests.get(f"{self.sandbox_url}/healthz", timeout=10)
        answer.raise_for_status()
        return answer.json()["receipts"]["posted"]

    def start_live(self) -> Child:
        """Return when it responds."""
        child = self._start(commands.deployed_live(self._live_port))

        def live_answers() -> bool:
            try:
                return requests.get(f"{self.live_url}/healthz", timeout=2).ok
            except requests.RequestException:
                return False

        self.wait_until(live_answers)
        return child

    def stop_live(self) -> None:
        self._stop("live")

    def start_smpp_server(self) -> None:
        """Return when it accepts connections."""
        self._start(commands.smpp_server(self.smpp_server_port))

        def accepts() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.smpp_server_port), timeout=1).close()
            except OSError:
                return False
            return True

        self.wait_until(accepts)

    def stop_smpp_server(self) -> None:
        self._stop("smpp-server")

    def start_beat(self) -> Child:
        return self._start(commands.beat())

    def beats(self) -> list[Child]:
        return [child for child in self._others if child.name == "beat"]

    # --- SMPP connectors ----------------------------------------------------------------------------------------------

    def start_connector(self, index: int) -> None:
        """The same address again for one that has ended."""
        command = commands.smpp(self._connector_ports[index], f"smpp{index}")
        # It claims nothing, but its system checks would refuse the short leases of some tests.
        child = self._child(dataclasses.replace(command, environment={"CLAIM_LEASE_SECONDS": "30"}))
        child.start()
        self.connectors[index : index + 1] = [child]

    def kill_connector(self, index: int) -> None:
        """SIGKILL: no unbind, and its leases stay until they end."""
        os.kill(self.connectors[index].pid, signal.SIGKILL)
        assert self.connectors[index].wait(10)

    def stop_connector(self, index: int) -> None:
        connector = self.connectors[index]
        connector.terminate()
        assert connector.wait(connector.command.stop_seconds), f"{connector.name} does not stop"

    def smpp_sessions(self) -> int:
        """The number of sessions that are bound to the simulated carrier."""
        answer = requests.get(f"{self.sandbox_url}/healthz", timeout=10)
        answer.raise_for_status()
        return answer.json()["smpp"]["sessions"]

    def deliver_reply(self, *, sender: str, to: str, text: str) -> None:
        """The simulated SMPP carrier delivers a text from a phone."""
        reply = {"from": sender, "to": to, "message": text}
        requests.post(f"{self.sandbox_url}/_replies", json=reply, timeout=10).raise_for_status()

    def _smpp_environment(self) -> dict[str, str]:
        if not self._connector_ports:
            return {}
        urls = ",".join(f"http://127.0.0.1:{port}" for port in self._connector_ports)
        return {"SMPP_CONNECTOR_URL": urls, SANDBOX_PASSWORD: "sandbox"}

    # --- Workers ------------------------------------------------------------------------------------------------------

    def start_worker(self) -> int:
        """The new worker's index."""
        name = f"worker{len(self.workers)}"
        self.workers.append(self._child(self._worker_command(name, concurrency=self._worker_concurrency)))
        self.workers[-1].start()
        return len(self.workers) - 1

    def kill_worker(self, index: int) -> None:
        """SIGKILL: the worker cannot finish or report anything."""
        os.kill(self.workers[index].pid, signal.SIGKILL)
        assert self.workers[index].wait(10)

    def stop_worker(self, index: int) -> None:
        """SIGTERM, and wait until it has settled its calls in flight."""
        worker = self.workers[index]
        worker.terminate()
        assert worker.wait(worker.command.stop_seconds), f"{worker.name} does not stop"

    @contextlib.contextmanager
    def writes_blocked(self) -> Iterator[None]:
        """On SQLite, hold the single write lock meanwhile: a suspended worker that holds it would block every process.

        On PostgreSQL this does nothing, see `has_stuck_transaction`.
        """
        if GIVEN_DATABASE_URL:
            yield
            return
        with contextlib.closing(sqlite3.connect(self.folder / "switchboard.sqlite3", timeout=30)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def has_stuck_transaction(self) -> bool:
        """Whether a transaction on PostgreSQL stays open: a suspended process keeps its locks, and others wait for them.

        Whatever its state is: the server may still execute the last statement of a process that does not read the result.
        """
        if not GIVEN_DATABASE_URL:
            return False
        query = """
            SELECT pid, xact_start FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        """
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            before = set(connection.execute(query).fetchall())
            time.sleep(0.5)
            return bool(before & set(connection.execute(query).fetchall()))

    # --- Waiting and looking ------------------------------------------------------------------------------------------

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = PATIENCE, pause: float = 0.1) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {getattr(condition, '__name__', condition)}")
            time.sleep(pause)

    def logs(self) -> str:
        """All output of all processes so far."""
        return "\n".join(self._outputs().values())

    def last_lines(self) -> str:
        """The end of each process's output, to show with a failure."""
        return "\n".join(f"--- {name}\n{output[-SHOWN_CHARACTERS:]}" for name, output in self._outputs().items())

    def _outputs(self) -> dict[str, str]:
        return {file.stem: file.read_text() for file in sorted((self.folder / "logs").glob("*.log"))}

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _start(self, command: commands.Command) -> Child:
        child = self._child(command)
        child.start()
        self._others.append(child)
        return child

    def _stop(self, name: str) -> None:
        """SIGTERM, and wait until it has stopped."""
        [child] = [child for child in self._others if child.name == name]
        self._others.remove(child)
        child.terminate()
        assert child.wait(child.command.stop_seconds), f"{name} does not stop"

    def _child(self, command: commands.Command) -> Child:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)

        def write(name: str, line: str) -> None:
            with (logs / f"{name}.log").open("a") as file:
                file.write(line + "\n")

        return Child(command, self.environment, BASE_DIR, write)

    def _database_url(self) -> str:
        if "DATABASE_URL" in self._extra:
            return self._extra["DATABASE_URL"]
        return self._cleanup.enter_context(migrated_database(self.folder))

    def _fresh_broker(self) -> str:
        if self._broker:
            return self._broker.url
        if GIVEN_REDIS_URL:
            url = redis_database(GIVEN_REDIS_URL, JOURNEYS_DATABASE)
            with redis.Redis.from_url(url) as client:
                client.flushdb()
            return url
        folder = self.folder / "valkey"
        folder.mkdir()
        valkey = EmbeddedValkey(folder)
        valkey.start()
        self._cleanup.callback(valkey.stop)
        return valkey.url

    def _is_ready(self) -> bool:
        for child in self._others:
            assert child.exit_code() is None, f"{child.name} stopped by itself"
        try:
            return requests.get(f"{self.base_url}/healthz/system", timeout=2).status_code == requests.codes.ok
        except requests.RequestException:
            return False
