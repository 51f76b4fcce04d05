"""What make hands on to the program: arguments with quotes, dollars and line breaks arrive as they were typed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from config.run.environment import BASE_DIR
from tests.environment import without_make

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")

# Prints what it is called with; the step before `manage.py`, a module, says nothing.
PYTHON = """#!/bin/sh
[ "$1" = -m ] && [ "$2" = config.run.manage_environment ] && exit 0
for argument in "$@"; do printf '<%s>' "$argument"; done
cat
"""
CONFIG = """{
  "url": "https://carrier.example/$HOME",
  "constants": {"a": "$(id) `id` \\" # $$"}
}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(BASE_DIR / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    for name in ("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    for name in (".installed", ".installed-dev"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


def make(folder: Path, *words: str, standard_input: str = "", **environment: str) -> str:
    done = subprocess.run(
        ["make", *words],
        cwd=folder,
        env={**without_make(os.environ), **environment},
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_configuration_over_several_lines_arrives_as_it_was_typed(folder: Path) -> None:
    arguments = f"upsert_provider acme --config '{CONFIG}'"

    assert make(folder, "manage", f"ARGS={arguments}") == f"<manage.py><upsert_provider><acme><--config><{CONFIG}>"


def test_standard_input_goes_to_the_command(folder: Path) -> None:
    shown = make(folder, "manage", "ARGS=upsert_provider acme --config-file -", standard_input=CONFIG)

    assert shown == f"<manage.py><upsert_provider><acme><--config-file><->{CONFIG}"


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("manage", "<manage.py>"),
        ("test", "<-m><pytest><--dist><loadgroup><--numprocesses><2><--tiers><pure,either,database,smoke>"),
        ("chaos", "<-m><tests.journeys.chaos>"),
    ],
)
def test_arguments_may_be_quoted_come_from_the_environment_or_be_left_out(
    folder: Path, target: str, command: str
) -> None:
    assert make(folder, target, """ARGS=-k 'a or b'""") == f"{command}<-k><a or b>"
    assert make(folder, target, ARGS="-k 'a or b'") == f"{command}<-k><a or b>"
    assert make(folder, target, ARGS="") == command
