"""A revision of the product, prepared once, and runs of its processes by the commands of its own Procfile.

Each build has a broker of its own, and each run a copy of the build's database: rounds begin alike and do not meet.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import redis
import requests

from benchmarks import databases
from benchmarks.against import Checkout
from benchmarks.processes import cpu_of_sessions, free_port, running, wait_until
from config.run.child import Child
from tests.environment import EmbeddedValkey

HIGH_LIMIT = "1000000/s"
APPLICATION = "config.asgi:application"
BIN = str(Path(sys.executable).parent)
START_SECONDS = 60.0


def command(folder: Path, name: str, *, application: str = APPLICATION) -> tuple[str, ...]:
    """That line of the Procfile, on loopback. It takes its options from the environment, so a shell runs it."""
    lines = dict(line.split(": ", 1) for line in (folder / "Procfile").read_text().splitlines() if ": " in line)
    line = lines[name].replace("--host 0.0.0.0", "--host 127.0.0.1").replace(APPLICATION, application)
    return ("sh", "-c", f"exec {line}")


@dataclass(frozen=True)
class Cpu:
    """CPU seconds since the processes started; `backends` by server process of PostgreSQL."""

    by_process: dict[str, float]
    backends: dict[int, float]
    redis: float

    def since(self, earlier: Self) -> dict[str, float]:
        """CPU seconds by process, with `postgresql` (its backends for this database) and `redis`."""
        spent = {name: seconds - earlier.by_process[name] for name, seconds in self.by_process.items()}
        spent["postgresql"] = sum(s - earlier.backends.get(pid, 0.0) for pid, s in self.backends.items())
        spent["redis"] = self.redis - earlier.redis
        return spent


class Run:
    """Running processes of a build. `url` is where its web process listens, if it runs."""

    def __init__(self, url: str, database_url: str, redis_url: str, token: str) -> None:
        self.url, self.database_url, self.token = url, database_url, token
        self.processes: dict[str, Child] = {}
        self._redis = redis.Redis.from_url(redis_url)
        self._database = psycopg.connect(database_url, autocommit=True)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def cpu(self) -> Cpu:
        by_process = {name: cpu_of_sessions([child.pid or 0]) for name, child in self.processes.items()}
        used = self._redis.info("cpu")
        return Cpu(
            by_process,
            databases.cpu_of_backends(self._database),
            float(used["used_cpu_user"]) + float(used["used_cpu_sys"]),
        )

    def count(self, status: str) -> int:
        """The number of messages with this status."""
        row = self._database.execute("SELECT count(*) FROM messaging_message WHERE status = %s", [status]).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        self.session.close()
        self._database.close()
        self._redis.close()


class Build:
    """A context manager. `database_url` is the database that runs copy; `path` of a message's requests is `/api/v1/…`."""

    def __init__(self, name: str, checkout: Checkout, *, carrier_url: str) -> None:
        self.name, self.checkout = name, checkout
        self._carrier_url = carrier_url
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self._folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="switchboard-bench-")))
            self._broker = EmbeddedValkey(self._folder)
            self._broker.start()
            opened.callback(self._broker.stop)
            self.redis_url = self._broker.url
            self.database_url = opened.enter_context(databases.database())
            self._environment = {
                **self.checkout.environment,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "LOCAL_DIR": str(self._folder),
                "SECRET_KEY": secrets.token_urlsafe(50),
                "PUBLIC_URL": "http://127.0.0.1:1",
                "RATE_LIMIT_PER_TOKEN": HIGH_LIMIT,
                "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            }
            environment = self._environment | {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
            prepare = [sys.executable, "-m", "config.run.prepare", self._carrier_url]
            subprocess.run(prepare, cwd=self.checkout.folder, env=environment, check=True)
            self.token = (self._folder / "demo_token").read_text().strip()
            databases.vacuum(self.database_url)
            self._cleanup = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def variables(self) -> dict[str, str]:
        """What all its processes have in their environment, besides the addresses of their servers."""
        return dict(self._environment)

    @contextlib.contextmanager
    def copy(self, *, of: str = "") -> Iterator[str]:
        """The address of a copy of the prepared database, or of a database that a run has filled."""
        with databases.database(template=of or self.database_url) as url:
            yield url

    @contextlib.contextmanager
    def run(
        self,
        *names: str,
        database_url: str,
        database_proxy: str = "",
        redis_proxy: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Run]:
        """Start these lines of the Procfile; return when `web` responds. Processes reach their servers through the proxies."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()
        port = free_port()
        variables = {
            **self._environment,
            "DATABASE_URL": database_proxy or database_url,
            "REDIS_URL": redis_proxy or self.redis_url,
            "PORT": str(port),
            **(environment or {}),
        }
        run = Run(f"http://127.0.0.1:{port}", database_url, self.redis_url, self.token)
        with contextlib.closing(run), contextlib.ExitStack() as opened:
            for name in names:
                argv = command(self.checkout.folder, name)
                running_one = running(
                    argv,
                    name=f"{self.name}: {name}",
                    folder=self.checkout.folder,
                    environment=variables,
                    port=port if name == "web" else 0,
                )
                run.processes[name] = opened.enter_context(running_one)
            if "web" in names:
                wait_until(lambda: _responds(run), seconds=START_SECONDS, what=f"{self.name}: web responds")
            yield run


def _responds(run: Run) -> bool:
    try:
        return run.session.get(f"{run.url}/healthz", timeout=2).ok
    except requests.RequestException:
        return False
