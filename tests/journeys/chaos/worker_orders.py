"""Writes the orders that `worker` follows: files in a folder that all workers read."""

import json
from pathlib import Path


class Orders:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def authority(self) -> Path:
        """The certificate authority that workers trust."""
        return self._folder / "authority.pem"

    def die(self, step: str, *, after: int) -> None:
        """The first worker that has passed the step `after` times is killed the next time."""
        self._write("die", json.dumps({"step": step, "after": after}))

    def hold(self, step: str, *, after: int) -> None:
        """The first worker that has passed the step `after` times waits there, with all its calls, until `let_go`."""
        self._write("hold", json.dumps({"step": step, "after": after}))

    def held(self) -> list[int]:
        """The pids of the waiting processes."""
        return [int(file.suffix[1:]) for file in self._folder.glob("held.*")]

    def let_go(self) -> None:
        for file in self._folder.glob("held.*"):
            file.unlink()

    def live_ahead(self, pid: int, seconds: float) -> None:
        self._write(f"clock.{pid}", str(seconds))

    def cancel(self) -> None:
        for pattern in ("die", "clock.*", "hold", "held.*"):
            for file in self._folder.glob(pattern):
                file.unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        written = self._folder / f"new.{name}"
        written.write_text(text)
        written.rename(self._folder / name)  # atomic, so that no worker reads a partial file
