"""One child process: it ends with its supervisor, and its output is read line by line."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from config.run.commands import Command

LAUNCH = Path(__file__).with_name("launch.py")

Write = Callable[[str, str], None]
"""Called with (name of the process, line without the line end)."""


class Child:
    """A process in its own session: Ctrl-C in the terminal reaches only the supervisor, which stops all in order."""

    def __init__(self, command: Command, environment: Mapping[str, str], folder: Path, write: Write) -> None:
        self.command = command
        self._environment = {**environment, **command.environment, "PYTHONUNBUFFERED": "1"}
        self._folder = folder
        self._write = write
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        launch = (sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()))
        self._process = process = subprocess.Popen(  # noqa: S603
            (*launch, *self.command.argv),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """Return None while the process runs. After it has ended, kills what is left in its session."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            _kill_session(self._process)
        return code

    def terminate(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process and self._process.poll() is None:
            _kill_session(self._process)
            self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Return True if the process ends within that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        _kill_session(self._process)
        if self._reader:
            self._reader.join(timeout=1)
        return True

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            for line in output:
                self._write(self.name, line.decode(errors="replace").rstrip())


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    # Usually nothing is left; macOS then raises PermissionError for the group of an ended process.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
