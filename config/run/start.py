"""The order of a start: check, start the broker, prepare the database, start the processes, wait, print the banner."""

import contextlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.run import commands, prepared, probes, services
from config.run.banner import banner
from config.run.checks import check_settings
from config.run.child import Child
from config.run.environment import BASE_DIR, load_environment, local_dir, port, sandbox_smpp_port
from config.run.errors import StartError, StopRequested
from config.run.folder import ADMIN_PASSWORD, DEMO_TOKEN, SECRET_KEY, VALKEY_CONFIGURATION, LocalFolder
from config.run.signals import StopSignals
from config.run.smpp_accounts import SmppAccounts
from config.run.supervisor import Supervisor
from config.run.terminal import say, say_for

READY_SECONDS = 90.0
# Beat and the worker start together with the web server. The banner waits at most this long for them, and for nothing else.
HEALTHY_SECONDS = 15.0
STARTING = {"beat", "workers"}
POLL_SECONDS = 0.2
START_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Plan:
    """The parameters of a start. `environment` is passed to every process.

    `smpp_port` is for the SMPP connector, once an account needs it, and reserved until then; None if SMPP_CONNECTOR_URL names
    others.
    """

    port: int
    sandbox_smpp_port: int | None
    folder: LocalFolder
    environment: Mapping[str, str]
    redis_url: str
    valkey: commands.Command | None
    first_start: bool
    smpp_port: int | None
    smpp_reserved: socket.socket | None


def run(signals: StopSignals) -> None:
    """Start everything and return after an orderly stop. Raises `StartError`."""
    load_environment()
    web_port, sandbox_port = port(), sandbox_smpp_port()
    folder = LocalFolder(local_dir())
    folder.prepare()
    folder.lock()
    try:
        services.check_port(web_port)
        if sandbox_port is not None:
            services.check_port(sandbox_port, variable="SANDBOX_SMPP_PORT")
        _run(_plan(web_port, sandbox_port, folder), signals)
    finally:
        folder.remove_run()
        folder.unlock()


def _run(plan: Plan, signals: StopSignals) -> None:
    supervisor = Supervisor(say)
    say("Switchboard is starting …")
    try:
        _start(plan, supervisor, signals)
        _keep_running(plan, supervisor, signals)
    except StopRequested:
        pass
    finally:
        say("\nStopping …")
        supervisor.stop(forced=signals.forced)
        services.close_database()
        say(f"Stopped. The data stays in {plan.folder.path}" if settings.EMBEDDED else "Stopped.")


def _plan(web_port: int, sandbox_port: int | None, folder: LocalFolder) -> Plan:
    first_start = not (folder.path / ADMIN_PASSWORD).exists()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "LOCAL_DIR": str(folder.path)}
    environment["SECRET_KEY"] = os.environ.get("SECRET_KEY") or folder.secret(SECRET_KEY)
    environment["PUBLIC_URL"] = os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{web_port}"
    redis_url = os.environ.get("REDIS_URL", "")
    valkey = None
    if not redis_url:
        redis_url, valkey = _embedded_broker(folder)
    environment["REDIS_URL"] = redis_url
    smpp_port, smpp_reserved = None, None
    if not os.environ.get("SMPP_CONNECTOR_URL"):
        smpp_reserved, smpp_port = services.reserve_port()
        environment["SMPP_CONNECTOR_URL"] = f"http://127.0.0.1:{smpp_port}"
    os.environ.update(environment)  # this process reads the settings, too
    check_settings()
    if settings.ENABLE_SMPP_SERVER:
        services.check_port(settings.SMPP_SERVER_PORT, variable="SMPP_SERVER_PORT")
    if valkey is None:
        services.check_broker(redis_url)
    return Plan(web_port, sandbox_port, folder, environment, redis_url, valkey, first_start, smpp_port, smpp_reserved)


def _embedded_broker(folder: LocalFolder) -> tuple[str, commands.Command]:
    password, broker_port = secrets.token_urlsafe(24), services.free_port()
    data, log = folder.path / "valkey", folder.path / "valkey.log"
    data.mkdir(mode=0o700, exist_ok=True)
    log.unlink(missing_ok=True)  # each start begins a new log, so it cannot grow without limit
    text = commands.valkey_configuration(port=broker_port, password=password, data=data, log=log)
    command = commands.valkey(folder.write(VALKEY_CONFIGURATION, text))
    return f"redis://:{password}@127.0.0.1:{broker_port}/0", command


def _start(plan: Plan, supervisor: Supervisor, signals: StopSignals) -> None:
    if plan.valkey:
        broker = _child(plan, plan.valkey)
        supervisor.add(broker)
        services.wait_for_broker(broker, plan.redis_url, stop_requested=signals.stop_requested)
    sandbox_port = _prepare_if_needed(plan, signals)
    public_url = plan.environment["PUBLIC_URL"]
    run_values = {"redis_url": plan.redis_url, "secret_key": plan.environment["SECRET_KEY"], "public_url": public_url}
    if plan.smpp_port is not None:
        run_values["smpp_connector_url"] = plan.environment["SMPP_CONNECTOR_URL"]
    plan.folder.write_run(run_values)
    sandbox = commands.sandbox(sandbox_port, *_smpp_options(plan.sandbox_smpp_port))
    for command in (sandbox, commands.worker(), commands.web(plan.port), commands.beat()):
        supervisor.add(_child(plan, command))
    if settings.ENABLE_SMPP_SERVER:
        supervisor.add(_child(plan, commands.smpp_server(settings.SMPP_SERVER_PORT)))
    _wait_until_ready(plan.port, supervisor, signals)
    say(_banner(plan, _faults(plan.port, supervisor, signals)))


def _child(plan: Plan, command: commands.Command) -> Child:
    return Child(command, plan.environment, BASE_DIR, say_for)


def _smpp_options(port: int | None) -> tuple[str, ...]:
    return () if port is None else ("--smpp-port", str(port))


def _prepare_if_needed(plan: Plan, signals: StopSignals) -> int:
    """Return the port of the sandbox, which the prepared accounts name."""
    if not settings.EMBEDDED:
        sandbox_port = services.free_port()
        _prepare(plan, f"http://127.0.0.1:{sandbox_port}", signals)
        return sandbox_port
    kept = prepared.read_port(plan.folder)
    if kept is not None and services.is_free(kept):
        return kept
    prepared.forget(plan.folder)
    sandbox_port = services.free_port()
    _prepare(plan, f"http://127.0.0.1:{sandbox_port}", signals)
    prepared.write(plan.folder, sandbox_port=sandbox_port)
    return sandbox_port


def _prepare(plan: Plan, sandbox_url: str, signals: StopSignals) -> None:
    lines: list[str] = []
    command = commands.Command("prepare", (sys.executable, "-m", "config.run.prepare", sandbox_url))
    child = Child(command, plan.environment, BASE_DIR, lambda _name, line: lines.append(line))
    child.start()
    while not child.wait(POLL_SECONDS):
        if signals.stop_requested():
            child.terminate()
            if not child.wait(command.stop_seconds):
                child.kill()
            raise StopRequested
    if child.exit_code() != 0:
        raise StartError("the database cannot be prepared: " + "\n".join(lines))


def _wait_until_ready(port: int, supervisor: Supervisor, signals: StopSignals) -> None:
    deadline = time.monotonic() + READY_SECONDS
    state = "no response"
    while time.monotonic() < deadline:
        _check(supervisor, signals)
        with contextlib.suppress(OSError):
            response = probes.get(port, "/readyz", seconds=2)
            if response.ok:
                return
            state = response.body.decode(errors="replace").strip()
        time.sleep(START_POLL_SECONDS)
    raise StartError(f"not ready after {READY_SECONDS:.0f} s: {state}")


def _faults(port: int, supervisor: Supervisor, signals: StopSignals) -> dict[str, str]:
    """Return the failed checks of `/healthz/system`. They are printed and do not end the start: the web server is ready."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    faults = {"health": "no response"}
    while True:
        _check(supervisor, signals)
        with contextlib.suppress(OSError, ValueError, LookupError):
            response = probes.get(port, "/healthz/system", seconds=5)
            faults = {name: result for name, result in json.loads(response.body)["checks"].items() if result != "ok"}
            if not STARTING & faults.keys():
                return faults
        if time.monotonic() > deadline:
            return faults
        time.sleep(START_POLL_SECONDS)


def _keep_running(plan: Plan, supervisor: Supervisor, signals: StopSignals) -> None:
    if plan.smpp_port is not None:
        with contextlib.closing(SmppAccounts()) as accounts:
            while not accounts.exist():
                _check(supervisor, signals)
                time.sleep(POLL_SECONDS)
        if plan.smpp_reserved is not None:
            plan.smpp_reserved.close()
        say("An SMPP account is enabled: starting the connector")
        supervisor.add(_child(plan, commands.smpp(plan.smpp_port)))
    while True:
        _check(supervisor, signals)
        time.sleep(POLL_SECONDS)


def _check(supervisor: Supervisor, signals: StopSignals) -> None:
    if signals.stop_requested():
        raise StopRequested
    if not supervisor.check():
        raise StartError("a process keeps ending; see its output above")


def _banner(plan: Plan, faults: Mapping[str, str]) -> str:
    path = plan.folder.path
    database = settings.DATABASES["default"]
    name = str(database["NAME"]) if settings.EMBEDDED else f"PostgreSQL, {database['NAME']}"
    return banner(
        address=plan.environment["PUBLIC_URL"].rstrip("/"),
        password=_password(path / ADMIN_PASSWORD, first_start=plan.first_start),
        token=(path / DEMO_TOKEN).read_text().strip(),
        database=name,
        broker=f"embedded Valkey, {path / 'valkey'}" if plan.valkey else "the one at REDIS_URL",
        folder=path,
        smpp=f"127.0.0.1:{settings.SMPP_SERVER_PORT}" if settings.ENABLE_SMPP_SERVER else "",
        faults=faults,
    )


def _password(file: Path, *, first_start: bool) -> str:
    """Show the password once; later banners say where it is stored. Without a file, the admin existed before `make run`."""
    if not file.exists():
        return "the one you chose"
    return file.read_text().strip() if first_start else f"in {file}"
