"""Requests over HTTP, fast enough that the server is what is measured: by wrk, each prepared request once."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).with_name("wrk.lua")
GRACE_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """`requests` were answered, all with 2xx; `per_second` is the rate while every connection was busy."""

    requests: int
    per_second: float


def missing() -> str:
    """Why no load can be made here; "" if it can."""
    return "" if shutil.which("wrk") else "wrk is not installed (apt-get install wrk)"


def request(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A request as it is sent; the body, if there is one, as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = {"Host": "127.0.0.1", **(headers or {})}
    if content:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def send(url: str, prepared: Iterable[bytes], *, connections: int, seconds: float) -> Load:
    """Send each once, until `seconds` are over or none is left. Raises `RuntimeError` if one was refused.

    There must be more requests than connections.
    """
    with tempfile.NamedTemporaryFile(prefix="requests-") as file:
        for each in prepared:
            file.write(b"%d\n%b" % (len(each), each))
        file.flush()
        environment = {
            **os.environ,
            "BENCH_REQUESTS": file.name,
            "BENCH_SECONDS": str(seconds),
            "BENCH_CONNECTIONS": str(connections),
        }
        limits = ("--duration", f"{round(seconds) + GRACE_SECONDS}s", "--timeout", f"{GRACE_SECONDS}s")
        target = urlsplit(url)._replace(path="/", query="").geturl()
        command = ["wrk", "--threads", "1", "--connections", str(connections), *limits, "--script", str(SCRIPT), target]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1:]
    if not last or not last[0].startswith("{"):
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    found = json.loads(last[0])
    if found["refused"]:
        raise RuntimeError(f"{found['refused']} of {found['requests']} requests were refused")
    return Load(found["requests"], found["counted"] / found["seconds"])
