"""Packages of npm, each installed once into a folder for temporary files."""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALL_SECONDS = 120.0


@functools.cache
def missing(name: str, version: str) -> str:
    """Why the package cannot be used here; "" if it can."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node.js is not installed (apt-get install nodejs npm)"
    modules = _modules(name, version)
    if modules.is_dir():
        return ""
    with tempfile.TemporaryDirectory(prefix="switchboard-node-", dir=tempfile.gettempdir()) as folder:
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]
        command = ["npm", "install", *options, f"{name}@{version}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"npm did not install {name}@{version} within {INSTALL_SECONDS:.0f} s"
        if done.returncode:
            return f"npm cannot install {name}@{version}: {done.stderr.strip().splitlines()[-1:]}"
        with contextlib.suppress(OSError):  # another process was faster
            (Path(folder) / "node_modules").rename(modules)
    return ""


def environment(name: str, version: str) -> dict[str, str]:
    """Of a Node process that uses the package."""
    return {"PATH": os.environ["PATH"], "NODE_PATH": str(_modules(name, version))}


def _modules(name: str, version: str) -> Path:
    return Path(tempfile.gettempdir()) / f"switchboard-node-{name}-{version}-{os.getuid()}"
