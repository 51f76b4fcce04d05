"""The folder of one installation (`.local/`): data, secrets, the lock, and the values that `manage.py` needs."""

import json
import os
import secrets
import tempfile
from pathlib import Path
from types import ModuleType

from config.run.errors import StartError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: without a lock, and the start fails later with its own error
    fcntl = None

ADMIN_PASSWORD = "admin_password"  # noqa: S105 (names of files, here and below)
DEMO_TOKEN = "demo_token"  # noqa: S105
SECRET_KEY = "secret_key"  # noqa: S105
RUN = "run.json"
VALKEY_CONFIGURATION = "valkey.conf"


class LocalFolder:
    """Readable by its owner only. One supervisor at a time may lock it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    def prepare(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise StartError(f"cannot use {self.path} for the data: {error.strerror}") from error

    def lock(self) -> None:
        """Lock the folder itself until `unlock` or the end of the process. Raises `StartError` if it is locked."""
        if fcntl is None:
            return
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            where = self.read_run().get("public_url", "another terminal")
            raise StartError(f"already running with the data in {self.path} (see {where})") from error

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secret(self, name: str) -> str:
        """Return the secret with this name; the first call creates it."""
        path = self.path / name
        try:
            if kept := path.read_text().strip():
                return kept
        except FileNotFoundError:
            pass
        made = secrets.token_urlsafe(50)
        self.write(name, made + "\n")
        return made

    def write_run(self, values: dict[str, str]) -> None:
        self.write(RUN, json.dumps(values))

    def read_run(self) -> dict[str, str]:
        try:
            values: dict[str, str] = json.loads((self.path / RUN).read_text())
        except (OSError, ValueError):
            return {}
        return values

    def remove_run(self) -> None:
        """Delete the files that describe running processes."""
        for name in (RUN, VALKEY_CONFIGURATION):
            (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, text: str) -> Path:
        """Write atomically. The file is readable by its owner only (mkstemp creates it with mode 0600)."""
        descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}-")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        return Path(temporary).replace(self.path / name)
