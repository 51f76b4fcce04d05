"""`make run` as a user sees it: `python -m config.run` in its own folder, over real HTTP."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import psycopg
import pytest
import requests

from config.run import services
from config.run.environment import BASE_DIR
from tests.environment import GIVEN_DATABASE_URL, GIVEN_REDIS_URL, JOURNEYS_DATABASE, redis_database
from tests.journeys.databases import copy_migrated_file, fresh_database, migrated_database
from tests.journeys.stack import PATIENCE

LAST_LINE = "Ctrl-C stops everything; the data stays."


class Run:
    """One start. Its output is collected as it arrives; `environment` overrides the environment of the tests."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = services.free_port()
        self.lines: list[str] = []
        ours = {"LOCAL_DIR": str(folder), "PORT": str(self.port)}
        inherited = {name: value for name, value in os.environ.items() if name not in SET_BY_A_START}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "config.run"],
            cwd=BASE_DIR,
            env={**inherited, "DATABASE_URL": "", "REDIS_URL": "", **ours, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while line not in self.lines:
            assert self._process.poll() is None, f"it stopped:\n{self.text()}"
            assert time.monotonic() < deadline, f"not within {PATIENCE} s:\n{self.text()}"
            time.sleep(0.05)

    def command(self, containing: str) -> str:
        return next(line for line in self.lines if line.startswith("curl") and containing in line)

    def stop(self, number: int = signal.SIGINT) -> int:
        """The exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self._process.wait(PATIENCE)
        self._reader.join(5)
        if not self._process.stderr.closed:
            self.errors = self._process.stderr.read()
            self._process.stderr.close()
        return code

    def _read(self) -> None:
        with contextlib.closing(self._process.stdout) as output:
            for line in output:
                self.lines.append(line.rstrip())


SET_BY_A_START = {"SECRET_KEY", "PUBLIC_URL", "DJANGO_SETTINGS_MODULE", "LOCAL_DIR", "PORT"}


@pytest.fixture
def migrated_folder(tmp_path: Path) -> Path:
    """For a start that need not migrate an empty database, which takes longer than all else that it does."""
    folder = tmp_path / "local"
    folder.mkdir(mode=0o700)
    copy_migrated_file(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    environment = {"SANDBOX_SMPP_PORT": str(services.free_port()), "SMS_CARRIER_PASSWORD": "sandbox"}
    with Run(tmp_path_factory.mktemp("run") / "local", environment) as started:
        started.wait_for(LAST_LINE)
        yield started


def children_of(pid: int) -> list[int]:
    """All descendants."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = dict(zip(map(int, table[::2]), map(int, table[1::2]), strict=True))
    found = [pid]
    for parent in found:
        found.extend(child for child, its_parent in parents.items() if its_parent == parent)
    return found[1:]


def are_gone(pids: list[int]) -> bool:
    alive = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False
    ).stdout.split()
    return all(state.startswith("Z") for state in alive)


def one_line(run: Run) -> str:
    """The output of a refused start: one line and nothing else."""
    assert run.ended() == 1
    assert run.lines == []
    assert run.errors.count("\n") == 1, run.errors
    return run.errors.strip()


def paste(command: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_banner_is_complete_and_nothing_warns(run: Run) -> None:
    text = run.text()

    assert f"Switchboard is ready at http://127.0.0.1:{run.port}" in text
    assert re.search(r"user: admin  password: \S{12,}", text)
    assert f"Database  {run.folder}/switchboard.sqlite3" in text
    assert not re.search(r"warning|error|traceback", text, re.IGNORECASE)


@pytest.mark.skipif(bool(GIVEN_DATABASE_URL), reason="the embedded default, whatever database is given to the tests")
def test_the_pasted_commands_send_a_message_and_show_it_delivered(run: Run) -> None:
    body, code = paste(run.command("POST") + " -w '\\n%{http_code}'").splitlines()
    watch = run.command("/events/").replace("/ID/", f"/{json.loads(body)['id']}/")

    deadline = time.monotonic() + 10
    while (steps := [event["to"] for event in json.loads(paste(watch))])[-1] != "delivered":
        assert time.monotonic() < deadline, steps
        time.sleep(0.2)

    assert code == "202"
    assert steps == ["queued", "sending", "sent", "delivered"]


def test_the_admin_can_log_in_with_the_password_of_the_banner(run: Run) -> None:
    password = re.search(r"password: (\S+)", run.text()).group(1)

    answer = requests.post(f"http://127.0.0.1:{run.port}/api/v1/auth/token/", auth=("admin", password), timeout=10)

    assert answer.status_code == 201


def test_a_token_can_be_issued_while_it_runs_and_only_the_token_is_printed(run: Run) -> None:
    environment = {**os.environ, "LOCAL_DIR": str(run.folder), "DATABASE_URL": "", "REDIS_URL": "", "SECRET_KEY": ""}

    done = subprocess.run(
        [sys.executable, "manage.py", "issue_token", "shop"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    assert done.stderr == ""
    answer = requests.get(
        f"http://127.0.0.1:{run.port}/api/v1/messages/",
        headers={"Authorization": f"Bearer {done.stdout.strip()}"},
        timeout=10,
    )
    assert answer.status_code == 200
    assert answer.json()["count"] == 0


def test_the_first_smpp_account_starts_the_connector(run: Run) -> None:
    line = next(each for each in run.lines if "SMPP carrier on" in each)
    config = {"host": "127.0.0.1", "port": int(line.rpartition(":")[2]), "system_id": "sandbox"}
    config["password"] = {"env": "SMS_CARRIER_PASSWORD"}
    manage(run, "upsert_provider", "smpp", "--backend", "smpp", "--config", json.dumps(config))
    run.wait_for("An SMPP account is enabled: starting the connector")

    token = (run.folder / "demo_token").read_text().strip()
    deadline = time.monotonic() + 30
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        address = f"http://127.0.0.1:{run.port}/api/v1/providers/smpp/"
        while [bind["state"] for bind in session.get(address, timeout=10).json()["binds"]] != ["bound"]:
            assert time.monotonic() < deadline, run.text()
            time.sleep(0.2)
    tried = manage(run, "try_provider", "smpp", "+14155550101")
    assert "verdict: accepted" in tried
    manage(run, "upsert_provider", "smpp", "--disable")


def manage(run: Run, *arguments: str) -> str:
    environment = {"LOCAL_DIR": str(run.folder), "DATABASE_URL": "", "REDIS_URL": "", "SECRET_KEY": ""}
    environment["SMS_CARRIER_PASSWORD"] = "sandbox"
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=BASE_DIR, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_its_single_server_serves_live_requests_too(run: Run) -> None:
    address = f"http://127.0.0.1:{run.port}/api/v1"
    token = (run.folder / "demo_token").read_text().strip()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        body = {"to": "+14155550199", "message": "Your code is 123456"}
        message = session.post(f"{address}/messages/", json=body, timeout=10).json()
        answer = session.get(f"{address}/live/messages/{message['id']}/wait/?after=queued", timeout=40)
        stream = session.get(f"{address}/live/messages/{message['id']}/", timeout=40, stream=True)
        lines = itertools.islice(stream.iter_lines(chunk_size=None), 5)

        assert answer.status_code == 200
        assert answer.json()["status"] != "queued"
        assert b"event: message.sent" in list(lines)
        stream.close()


def test_a_second_start_in_the_same_folder_is_refused(run: Run) -> None:
    line = one_line(Run(run.folder))

    assert line == (f"switchboard: already running with the data in {run.folder} (see http://127.0.0.1:{run.port})")
    assert requests.get(f"http://127.0.0.1:{run.port}/healthz", timeout=5).status_code == 200


def test_a_port_in_use_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    line = one_line(Run(tmp_path / "other", {"PORT": str(run.port)}))

    assert line == f"switchboard: port {run.port} is in use by another program; choose another with PORT=…"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/test"}, r"DATABASE_URL: .*Connection refused"),
        ({"DATABASE_URL": "mysql://root@127.0.0.1/test"}, r"DATABASE_URL must name a PostgreSQL database.*"),
        ({"DATABASE_URL": "nonsense"}, r"DATABASE_URL must name a PostgreSQL database.*"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, r"REDIS_URL: .*Connection refused\."),
        ({"REDIS_URL": "http://127.0.0.1:1/0"}, r"REDIS_URL is not an address of a Redis or Valkey server.*"),
        ({"PUBLIC_URL": "example.org"}, r"PUBLIC_URL must be an absolute http\(s\) address.*"),
        ({"PORT": "http"}, r"PORT must be a number from 1 to 65535, not 'http'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(environment: dict[str, str], expected: str, tmp_path: Path) -> None:
    line = one_line(Run(tmp_path / "local", environment))

    assert re.fullmatch("switchboard: " + expected, line)
    assert not (tmp_path / "local" / "switchboard.sqlite3").exists()
    assert not (tmp_path / "local" / "run.json").exists()


@pytest.mark.skipif(not GIVEN_DATABASE_URL, reason="needs DATABASE_URL")
def test_a_missing_database_is_one_clear_line(tmp_path: Path) -> None:
    with fresh_database() as url:
        pass

    line = one_line(Run(tmp_path / "local", {"DATABASE_URL": url}))

    assert re.fullmatch(r"switchboard: DATABASE_URL: .*FATAL:  database \"\w+\" does not exist", line)


def messages(run: Run) -> dict[str, dict]:
    token = (run.folder / "demo_token").read_text().strip()
    answer = requests.get(
        f"http://127.0.0.1:{run.port}/api/v1/messages/?limit=100",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    return {message["id"]: message for message in answer.json()["results"]}


def send_to_a_dead_number(run: Run) -> list[str]:
    """Send eight messages; returns when the first one waits for its next round and the others wait behind it."""
    send = run.command("POST").replace("+14155550101", "+15005559903")
    ids = [json.loads(paste(send))["id"] for _ in range(8)]
    wait_until(lambda: messages(run)[ids[0]]["error"] is not None)
    return ids


def age_by_six_minutes(folder: Path) -> None:
    """Move all times of the messages back by six minutes."""
    with contextlib.closing(sqlite3.connect(folder / "switchboard.sqlite3")) as connection, connection:
        connection.execute(
            "UPDATE messaging_message SET "
            "created_at = strftime('%Y-%m-%d %H:%M:%f', created_at, '-6 minutes'),"
            "updated_at = strftime('%Y-%m-%d %H:%M:%f', updated_at, '-6 minutes'),"
            "next_attempt_at = strftime('%Y-%m-%d %H:%M:%f', next_attempt_at, '-6 minutes')"
        )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_stop_leaves_nothing_behind_and_a_second_start_has_the_data(migrated_folder: Path, tmp_path: Path) -> None:
    """Also from a copy of the folder, which is the backup of such a run; messages to a dead number are not a fault."""
    folder = migrated_folder
    with Run(folder) as first:
        first.wait_for(LAST_LINE)
        children = children_of(first.pid)
        send = first.command("POST")
        first_id = json.loads(paste(send))["id"]
        stuck = send_to_a_dead_number(first)

        assert len(children) >= 6
        assert first.stop(signal.SIGTERM) == 0
        assert are_gone(children)
        assert first.errors == ""
        assert first.lines[-1] == f"Stopped. The data stays in {folder}"
        kept = {path.name for path in folder.iterdir()}
        assert not {"run.json", "valkey.conf", "switchboard.sqlite3-wal"} & kept
    age_by_six_minutes(folder)
    backup = shutil.copytree(folder, tmp_path / "backup")

    with Run(backup) as second:
        second.wait_for(LAST_LINE)
        watch = second.command("/events/").replace("/ID/", f"/{first_id}/")

        assert json.loads(paste(watch))[0]["to"] == "queued"
        # They are due by now, so that their next round may just be under way.
        wait_until(lambda: {messages(second)[pk]["status"] for pk in stuck} == {"queued"})
        assert "Some checks failed" not in second.text()
        for path in ("/readyz", "/healthz/system"):
            assert requests.get(f"http://127.0.0.1:{second.port}{path}", timeout=5).status_code == 200
        other = json.loads(paste(second.command("POST")))["id"]
        wait_until(lambda: messages(second)[other]["status"] == "delivered")
        assert f"password: in {backup}/admin_password" in second.text()
        assert second.command("POST").split(" -H ")[1:] == send.split(" -H ")[1:]


def test_processes_do_not_outlive_a_killed_supervisor(migrated_folder: Path) -> None:
    with Run(migrated_folder) as run:
        run.wait_for(LAST_LINE)
        children = children_of(run.pid)

        run.stop(signal.SIGKILL)

        deadline = time.monotonic() + PATIENCE
        while not are_gone(children):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_dead_process_is_restarted(migrated_folder: Path) -> None:
    with Run(migrated_folder) as run:
        run.wait_for(LAST_LINE)
        web = next(pid for pid in children_of(run.pid) if b"granian" in Path(f"/proc/{pid}/cmdline").read_bytes())

        os.kill(web, signal.SIGKILL)

        run.wait_for("web ended (signal 9); restarting it in 1 s")
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{run.port}/healthz", timeout=1).ok:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.skipif(not (GIVEN_DATABASE_URL and GIVEN_REDIS_URL), reason="needs DATABASE_URL and REDIS_URL")
def test_given_a_database_and_a_broker_those_are_used(tmp_path: Path) -> None:
    with migrated_database(tmp_path) as url:
        given = {"DATABASE_URL": url, "REDIS_URL": redis_database(GIVEN_REDIS_URL, JOURNEYS_DATABASE)}
        with Run(tmp_path / "local", given) as run:
            run.wait_for(LAST_LINE)
            message = json.loads(paste(run.command("POST")))
            with psycopg.connect(url) as connection:
                stored = connection.execute("SELECT id::text FROM messaging_message").fetchall()

            assert stored == [(message["id"],)]
            assert sorted(path.name for path in run.folder.iterdir()) == [
                "admin_password",
                "demo_token",
                "run.json",
                "secret_key",
            ]
            assert run.stop() == 0
