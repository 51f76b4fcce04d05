"""What is shown when the web answers."""

import shlex
from collections.abc import Mapping
from pathlib import Path

MESSAGE = '{"to": "+14155550101", "message": "Hello from Switchboard"}'


def banner(
    *, address: str, password: str, token: str, database: str, broker: str, folder: Path, faults: Mapping[str, str]
) -> str:
    """`password` is the admin's own, or where it can be found; `faults` is what is wrong, by check. Commands work as pasted."""
    bearer = shlex.quote(f"Authorization: Bearer {token}")
    send = f"curl -sS -X POST {address}/api/v1/messages/ -H {bearer} -H 'Content-Type: application/json' -d '{MESSAGE}'"
    watch = f"curl -sS {address}/api/v1/messages/ID/events/ -H {bearer}"
    lines = [
        "",
        f"Switchboard is ready at {address}",
        "",
        f"  Admin     {address}/admin/  user: admin  password: {password}",
        f"  API       {address}/api/docs/",
        f"  Token     {token}",
        f"  Database  {database}",
        f"  Broker    {broker}",
        f"  Folder    {folder}",
        *_told(faults, address),
        "",
        "Send a message (no real SMS leaves this machine; the sandbox carrier delivers it):",
        "",
        send,
        "",
        "See what happened to it (put the message's id in the place of ID):",
        "",
        watch,
        "",
        "Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def _told(faults: Mapping[str, str], address: str) -> list[str]:
    if not faults:
        return []
    lines = (f"  {check}: {fault}" for check, fault in faults.items())
    return ["", f"Not everything is well (see {address}/healthz/system):", *lines]
