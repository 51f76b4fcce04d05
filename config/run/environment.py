"""Variables from `.env` and from the environment, which takes precedence."""

import os
from pathlib import Path

import environ

from config.run.errors import StartError

BASE_DIR = Path(__file__).resolve().parents[2]
DEFAULT_PORT = "8000"
LAST_PORT = 65535


def load_environment() -> None:
    if (BASE_DIR / ".env").is_file():
        environ.Env.read_env(BASE_DIR / ".env")


def local_dir() -> Path:
    return Path(os.environ.get("LOCAL_DIR") or BASE_DIR / ".local")


def port() -> int:
    return _port("PORT", os.environ.get("PORT") or DEFAULT_PORT)


def sandbox_smpp_port() -> int | None:
    """The port of the simulated SMPP carrier; None: it is not started."""
    value = os.environ.get("SANDBOX_SMPP_PORT") or ""
    return _port("SANDBOX_SMPP_PORT", value) if value else None


def _port(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= LAST_PORT:
        raise StartError(f"{name} must be a number from 1 to {LAST_PORT}, not {value!r}")
    return int(value)
