"""An older revision beside this one, so that one run measures both.

    with checkout("c3c8dc1") as older:
        subprocess.run([sys.executable, "manage.py", "check"], cwd=older.folder, env=older.environment, check=True)

Both use the Python environment that runs the benchmark: what the older revision needs must be installed there.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TODAY = "c3c8dc1"
"""The commit before the work of issue 14, which the goals of the issue are compared with."""


@dataclass(frozen=True)
class Checkout:
    """`folder` is the working directory and `environment` the environment for a process that runs its code."""

    folder: Path
    revision: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "DJANGO_SETTINGS_MODULE": "config.settings"}


def current() -> Checkout:
    """This folder as it is, changes that are not committed included."""
    changed = "+" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return Checkout(HERE, _git("rev-parse", "--short", "HEAD") + changed)


@contextlib.contextmanager
def checkout(revision: str) -> Iterator[Checkout]:
    """That revision in a temporary folder. Raises `subprocess.CalledProcessError` if it is unknown."""
    name = _git("rev-parse", "--short", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix=f"switchboard-{name}-") as parent:
        folder = Path(parent) / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(folder), name)
        try:
            # Python's own path is that of this environment; the link serves what looks for the folder, such as make.
            (folder / ".venv").symlink_to(HERE / ".venv")
            yield Checkout(folder, name)
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
