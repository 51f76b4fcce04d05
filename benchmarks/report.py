"""What a benchmark leaves behind: figures, and the machine, its load and the versions that they were measured with."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import databases
from benchmarks.rounds import Rounds

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("Django", "djangorestframework", "granian", "celery", "psycopg", "redis", "requests", "urllib3")


@dataclass
class Report:
    """`rows` has the figures of the common table (benchmarks.table): row, then `now` or `today`.

    `left_out` says by side why it was not measured.
    """

    rounds: Rounds = field(default_factory=Rounds)
    rows: dict[str, dict[str, float | None]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def write(
    name: str, report: Report, *, revisions: Mapping[str, str], options: Mapping[str, Any], broker: dict[str, str]
) -> Path:
    """Write `results/NAME.json`. `broker` has the name and version of the Redis or Valkey server."""
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions() | broker,
        "revisions": dict(revisions),
        "options": dict(options),
        "rows": report.rows,
        "medians": report.rounds.medians(),
        "rounds": report.rounds.values,
        "details": report.details,
        "left_out": report.left_out,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(_rounded(content), indent=1) + "\n")
    return file


def machine() -> dict[str, Any]:
    """`load` is the average number of running processes over one, five and fifteen minutes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "kernel": platform.release(),
        "load": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    found = {name: version(name) for name in PACKAGES}
    return {"Python": platform.python_version(), "PostgreSQL": databases.server_version(), **found}


def _cpu_model() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _rounded(content: Any) -> Any:
    """Four digits are more than these figures can tell."""
    if isinstance(content, float):
        return float(f"{content:.4g}")
    if isinstance(content, dict):
        return {str(key): _rounded(each) for key, each in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(each) for each in content]
    return content
