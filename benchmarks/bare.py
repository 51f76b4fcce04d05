"""The bare view as a running server, under the web command of our Procfile."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import databases
from benchmarks.against import HERE
from benchmarks.builds import BIN, command
from benchmarks.load import request
from benchmarks.processes import cpu_of_sessions, free_port, running

PATH = "/rows/"


class BareView:
    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def cpu(self) -> float:
        """CPU seconds of its processes so far."""
        return cpu_of_sessions([self._pid])

    @staticmethod
    def request(index: int) -> bytes:
        return request("POST", PATH, {"to": f"+1415{2_000_000 + index}", "message": "Your code is 123456"})


@contextlib.contextmanager
def bare_view() -> Iterator[BareView]:
    with databases.database() as url:
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
            "DATABASE_URL": url,
            "PORT": str(port := free_port()),
        }
        subprocess.run([sys.executable, "-m", "benchmarks.bare_view.asgi"], cwd=HERE, env=environment, check=True)
        argv = command(HERE, "web", application="benchmarks.bare_view.asgi:application")
        with running(argv, name="bare view", environment=environment, port=port) as child:
            yield BareView(f"http://127.0.0.1:{port}", child.pid or 0)
