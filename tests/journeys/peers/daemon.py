"""A process of a gateway, its output in a file."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 5.0
LOG_CHARACTERS = 20_000


class Daemon:
    """Runs as soon as it is made, with `environment` alone: Jasmin would take our REDIS_URL."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], **environment},
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_port(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, f"stopped by itself\n{self.output()}"
            assert time.monotonic() < deadline, f"nothing listens on port {port}\n{self.output()}"
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)

    def output(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_CHARACTERS:]

    def stop(self) -> None:
        """SIGTERM to its group, SIGKILL if that does not end it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(STOP_SECONDS)
