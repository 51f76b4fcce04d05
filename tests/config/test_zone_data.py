"""Every process uses the pinned zone data, whatever files the operating system has."""

import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import tzdata

from config.run.environment import BASE_DIR

ZONE = "America/Vancouver"
# British Columbia stays on UTC-7 all year from 2026 on. The last line of the output is what counts.
PRINT = f"""
from datetime import UTC, datetime
from scheduling.wall_time import to_utc, zone
print(to_utc(datetime(2026, 12, 15, 9), zone("{ZONE}")).isoformat())
"""
ENTRY_POINTS = {
    "web": ["-c", f"import config.wsgi\n{PRINT}"],
    "live": ["-c", f"import config.asgi\n{PRINT}"],
    "worker and beat": ["-c", f"import celery.bin.celery, config.celery\n{PRINT}"],
    "make run": ["-c", f"import config.run.__main__\n{PRINT}"],
    "manage.py": ["manage.py", "shell", "--verbosity", "0", "--command", PRINT],
}


def test_every_process_uses_the_pinned_data(tmp_path: Path) -> None:
    """The operating system's files, here in a separate folder, give Vancouver the clock of Tokyo."""
    (tmp_path / ZONE).parent.mkdir()
    shutil.copy(str(resources.files(tzdata) / "zoneinfo" / "Asia" / "Tokyo"), tmp_path / ZONE)
    environment = os.environ | {"PYTHONTZPATH": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    started = {
        name: subprocess.Popen(
            [sys.executable, *arguments], cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
        )
        for name, arguments in ENTRY_POINTS.items()
    }

    answers = {name: process.communicate()[0].splitlines()[-1:] for name, process in started.items()}

    assert answers == {name: ["2026-12-15T16:00:00+00:00"] for name in ENTRY_POINTS}


def test_the_data_is_pinned_as_a_requirement_of_our_own() -> None:
    wanted = (BASE_DIR / "requirements.in").read_text().splitlines()

    assert "tzdata" in {line.split("#")[0].strip() for line in wanted}
    assert f"tzdata=={tzdata.__version__}" in (BASE_DIR / "requirements.txt").read_text().splitlines()
