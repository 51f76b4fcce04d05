"""Programs on node-smpp, and on other packages of npm."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from tests.journeys.peers import node_packages

VERSION = "0.5.1"
SCRIPTS = Path(__file__).parent / "node"
EVENT_SECONDS = 120.0


def missing() -> str:
    """Why node-smpp cannot be used here; "" if it can."""
    return node_packages.missing("smpp", VERSION)


def decode(pdus: Iterable[bytes]) -> list[dict[str, Any]]:
    """What node-smpp reads in whole PDUs."""
    lines = "".join(f"{pdu.hex()}\n" for pdu in pdus)
    done = subprocess.run(
        ["node", str(SCRIPTS / "decode.js")],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        env=node_packages.environment("smpp", VERSION),
        timeout=EVENT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class NodeProgram:
    """A context manager: a script of the folder `node`, its configuration, and the events that it has printed."""

    def __init__(self, script: str, settings: dict[str, Any], *, package: tuple[str, str] = ("smpp", VERSION)) -> None:
        self._script, self._settings, self._package = script, settings, package
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", str(SCRIPTS / self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=node_packages.environment(*self._package),
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.order(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._thread.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], *, count: int = 1) -> list[dict[str, Any]]:
        """The events that are wanted, as soon as there are that many."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events if wanted(event)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, EVENT_SECONDS), self.events
            return found()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
