"""The checks before a start: the folder, the port, the addresses."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from config.run import commands, environment, services, start
from config.run.banner import banner
from config.run.errors import StartError
from config.run.folder import SECRET_KEY, LocalFolder
from config.run.signals import SAME_REQUEST_SECONDS, StopSignals
from config.run.supervisor import Supervisor


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    made = LocalFolder(tmp_path / "local")
    made.prepare()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_the_folder_and_its_secrets_are_only_for_their_owner(folder: LocalFolder) -> None:
    folder.secret(SECRET_KEY)
    folder.write_run({"redis_url": "redis://127.0.0.1:1/0"})

    assert mode(folder.path) == 0o700
    assert mode(folder.path / SECRET_KEY) == 0o600
    assert mode(folder.path / "run.json") == 0o600


def test_a_secret_is_made_once(folder: LocalFolder) -> None:
    first = folder.secret(SECRET_KEY)

    assert folder.secret(SECRET_KEY) == first
    assert len(first) >= 50


def test_files_about_a_run_are_deleted_after_it_and_the_rest_is_kept(folder: LocalFolder) -> None:
    folder.secret(SECRET_KEY)
    folder.write_run({"public_url": "http://127.0.0.1:8000"})

    folder.remove_run()

    assert [path.name for path in folder.path.iterdir()] == [SECRET_KEY]
    assert folder.read_run() == {}


def test_a_damaged_run_file_is_ignored(folder: LocalFolder) -> None:
    (folder.path / "run.json").write_text("{")

    assert folder.read_run() == {}


def test_one_supervisor_at_a_time_locks_the_folder(folder: LocalFolder) -> None:
    folder.lock()
    folder.write_run({"public_url": "http://127.0.0.1:8000"})
    second = LocalFolder(folder.path)

    with pytest.raises(StartError, match=r"already running .* \(see http://127\.0\.0\.1:8000\)"):
        second.lock()

    folder.unlock()
    second.lock()
    second.unlock()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError, match=r"cannot use .*/file/local for the data: Not a directory"):
        LocalFolder(tmp_path / "file" / "local").prepare()


# --- the port ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "8000.0", "٨"])
def test_a_port_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", value)

    with pytest.raises(StartError, match="PORT must be a number from 1 to 65535"):
        environment.port()


@pytest.mark.parametrize(("value", "port"), [("", 8000), ("8123", 8123)])
def test_the_port_is_8000_unless_set(value: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", value)

    assert environment.port() == port


@pytest.mark.parametrize(("value", "port"), [("", None), ("2775", 2775)])
def test_the_smpp_carrier_has_no_port_unless_set(value: str, port: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_SMPP_PORT", value)

    assert environment.sandbox_smpp_port() == port


def test_a_wrong_port_of_the_smpp_carrier_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_SMPP_PORT", "smpp")

    with pytest.raises(StartError, match="SANDBOX_SMPP_PORT must be a number from 1 to 65535, not 'smpp'"):
        environment.sandbox_smpp_port()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_port_in_use_is_refused(address: str) -> None:
    with socket.create_server((address, 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StartError, match=f"port {port} is in use"):
            services.check_port(port)

    services.check_port(port)


# --- database and broker ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nonsense", "must name a PostgreSQL database"),
        ("mysql://root@127.0.0.1/test", "must name a PostgreSQL database"),
        ("postgresql://postgres@127.0.0.1:abc/test", "is not the address of a database"),
        ("postgresql://postgres@127.0.0.1", "does not name a database"),
    ],
)
def test_a_database_address_that_cannot_be_one_is_refused(url: str, line: str) -> None:
    with pytest.raises(StartError, match=line) as refused:
        services.check_database_address(url)

    assert "\n" not in str(refused.value)


def test_a_database_that_does_not_answer_is_one_clear_line() -> None:
    closed = services.free_port()

    with pytest.raises(StartError, match=r"\ADATABASE_URL: .*Connection refused\Z"):
        services.check_database({"NAME": "test", "HOST": "127.0.0.1", "PORT": closed, "USER": "postgres"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "127.0.0.1:6379", "redis://127.0.0.1:abc/0"])
def test_a_broker_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(StartError, match=r"REDIS_URL is not an address of a Redis or Valkey server"):
        services.check_broker(url)


def test_a_broker_that_does_not_answer_is_one_clear_line() -> None:
    with pytest.raises(StartError, match=r"\AREDIS_URL: .*Connection refused.\Z"):
        services.check_broker(f"redis://127.0.0.1:{services.free_port()}/0")


def test_a_broker_that_answers_is_accepted() -> None:
    services.check_broker(os.environ["REDIS_URL"])


def test_without_a_wheel_for_the_broker_redis_url_is_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(StartError, match=r"\AREDIS_URL is needed on this machine"):
        commands.valkey(tmp_path / "valkey.conf")


# --- the rest ---------------------------------------------------------------------------------------------------------


def shown(*, smpp: str = "", **faults: str) -> str:
    return banner(
        address="http://127.0.0.1:8000",
        password="secret",
        token="tok'en",
        database="here",
        broker="there",
        folder=Path("/data"),
        faults=faults,
        smpp=smpp,
    )


def test_the_commands_of_the_banner_can_be_pasted() -> None:
    text = shown()

    send, watch = (line for line in text.splitlines() if line.startswith("curl"))
    words = json.loads(
        subprocess.run(
            [
                "sh",
                "-c",
                send.replace("curl", f"{sys.executable} -c 'import json,sys; print(json.dumps(sys.argv))'", 1),
            ],
            capture_output=True,
            check=True,
        ).stdout
    )
    assert words[-1] == '{"to": "+14155550101", "message": "Hello from Switchboard"}'
    assert "Authorization: Bearer tok'en" in words
    assert "http://127.0.0.1:8000/api/v1/messages/ID/events/" in watch


def test_the_banner_names_the_smpp_server_only_where_it_is_started() -> None:
    assert "SMPP" not in shown()
    assert "  SMPP      127.0.0.1:2775  (" in shown(smpp="127.0.0.1:2775")


def test_the_banner_lists_failed_checks_if_there_are_any() -> None:
    assert "http://127.0.0.1:8000/healthz/system" not in shown()

    lines = shown(beat="no tick yet", oldest_due="a message has been due for 400 s").splitlines()

    at = lines.index("Some checks failed (see http://127.0.0.1:8000/healthz/system):")
    assert lines[at + 1 : at + 3] == ["  beat: no tick yet", "  oldest_due: a message has been due for 400 s"]


class Web(BaseHTTPRequestHandler):
    """Responds to `/healthz/system` with one state after the other; repeats the last one."""

    states: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        assert self.path == "/healthz/system"
        checks = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        body = json.dumps({"checks": checks}).encode()
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[int]:
    """Its port."""
    with HTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server.server_port
        server.shutdown()


def test_the_banner_waits_for_beat_and_workers_and_for_nothing_else(web: int) -> None:
    overdue = "a message has been due for 400 s"
    Web.states = [
        {"beat": "no tick yet", "workers": "no worker", "oldest_due": "ok"},
        {"beat": "no tick yet", "workers": "ok", "oldest_due": "ok"},
        {"beat": "ok", "workers": "ok", "oldest_due": overdue},
    ]

    assert start._faults(web, Supervisor(print), StopSignals()) == {"oldest_due": overdue}


def test_a_beat_that_does_not_start_is_reported_after_a_while(web: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "HEALTHY_SECONDS", 0)
    Web.states = [{"beat": "no tick yet", "workers": "ok"}]

    assert start._faults(web, Supervisor(print), StopSignals()) == {"beat": "no tick yet"}


def test_a_second_signal_at_once_repeats_the_first_and_a_later_one_forces_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    signals = StopSignals()
    assert not signals.stop_requested()

    signals._received(2, None)
    signals._received(15, None)
    at_once = signals.forced()
    now += SAME_REQUEST_SECONDS + 0.1
    signals._received(2, None)

    assert signals.stop_requested()
    assert not at_once
    assert signals.forced()
