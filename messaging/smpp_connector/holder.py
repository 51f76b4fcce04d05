"""The name of a connector in its leases, which tells a process on the same machine whether it still runs.

So a connector that is restarted takes its binds at once, instead of waiting for the leases of its predecessor to end.
"""

import hashlib
import os
import secrets
import socket
from pathlib import Path

SEPARATOR = "/"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


def new_name() -> str:
    """Host, machine and namespace of process ids, process id, and a random part."""
    return SEPARATOR.join([socket.gethostname()[:30], _machine(), str(os.getpid()), secrets.token_hex(4)])


def is_dead(name: str) -> bool:
    """True only if the process ran on this machine, among the same process ids, and no longer runs."""
    parts = name.split(SEPARATOR)
    if len(parts) != len(new_name().split(SEPARATOR)) or not parts[1] or parts[1] != _machine():
        return False
    return parts[2] == str(os.getpid()) or not Path("/proc", parts[2]).exists()


def _machine() -> str:
    """Empty where it cannot be told."""
    try:
        known = _BOOT_ID.read_text() + str(_PID_NAMESPACE.readlink())
    except OSError:
        return ""
    return hashlib.sha256(known.encode()).hexdigest()[:12]
