"""One child process: started so that it cannot outlive us, its output read line by line, stopped with patience."""

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
"""Takes a line of output: (name of the process, text without the line end)."""


class Child:
    """Lives in a session of its own: Ctrl-C in the terminal reaches only the supervisor, which stops in order."""

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
        """None while it runs. Once it has ended, what it may have left in its session is ended too."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self._kill_session()
        return code

    def terminate(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._kill_session()
            self._process.wait()

    def wait(self, seconds: float) -> bool:
        """True when it has ended within that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._kill_session()
        if self._reader:
            self._reader.join(timeout=1)
        return True

    def _kill_session(self) -> None:
        # Most often nothing is left (macOS says "not permitted" for a group of ended processes).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout:
            self._write(self.name, line.decode(errors="replace").rstrip())
        process.stdout.close()
