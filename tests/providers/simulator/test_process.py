"""The sandbox as the process that it is."""

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.providers.simulator.conftest import Client

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "providers.simulator", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_and_ends_at_once_without_output(name: signal.Signals) -> None:
    with running("--hang-ms", "60000") as (process, line):
        url = line.removeprefix("sandbox carriers on ").strip()
        with closing(Client(url)) as client:
            assert client.call("GET", "/healthz")[0] == 200
        began = time.monotonic()

        process.send_signal(name)
        output, errors = process.communicate(timeout=5)

        assert (process.returncode, output, errors) == (0, "", "")
        assert time.monotonic() - began < 2


def test_with_a_port_for_it_the_smpp_carrier_takes_the_login_of_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("SANDBOX_SMPP_SYSTEM_ID", "carrier")
    monkeypatch.setenv("SANDBOX_SMPP_PASSWORD", "made-up")
    with running("--smpp-port", "0") as (process, _line):
        assert process.stdout is not None
        line = process.stdout.readline()
        login = b"carrier\0made-up\0\0\x34\0\0\0"
        bind = struct.pack(">LLLL", 16 + len(login), 9, 0, 1) + login
        with socket.create_connection(("127.0.0.1", int(line.rsplit(":", 1)[1])), timeout=5) as connection:
            connection.sendall(bind)
            answer = connection.recv(16, socket.MSG_WAITALL)

        process.terminate()
        output, errors = process.communicate(timeout=5)

    assert line.startswith("SMPP carrier on 127.0.0.1:")
    assert struct.unpack(">LLL", answer[4:]) == (0x80000009, 0, 1)
    assert (process.returncode, output, errors) == (0, "", "")


def test_it_writes_its_request_log_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with running("--latency-ms", "0", "--failure-rate2", "1", "--log", str(path)) as (_process, line):
        with closing(Client(line.split()[-1])) as client:
            client.send("provider1", reference="a")
            client.send("provider2", reference="b")

        written = [json.loads(text) for text in path.read_text().splitlines()]

    assert [(entry["outcome"], entry["carrier"], entry["reference"]) for entry in written] == [
        ("accepted", "provider1", "a"),
        ("refused", "provider2", "b"),
    ]
    assert "hello" not in path.with_suffix(".jsonl").read_text()


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with running() as (_process, line):
        port = line.rsplit(":", 1)[1].strip()
        command = [sys.executable, "-m", "providers.simulator", "--port", port]

        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)

    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "Address already in use" in second.stderr


def test_an_option_out_of_its_range_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "providers.simulator", "--port", "0", "--failure-rate1", "7"]

    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)

    assert (process.returncode, process.stderr) == (1, "sandbox carriers: failure_rate must be a number from 0 to 1\n")
