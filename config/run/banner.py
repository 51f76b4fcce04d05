"""The text that `make run` prints when the web server is ready."""

import shlex
from collections.abc import Mapping
from pathlib import Path

MESSAGE = '{"to": "+14155550101", "message": "Hello from Switchboard"}'


def banner(
    *,
    address: str,
    password: str,
    token: str,
    database: str,
    broker: str,
    folder: Path,
    faults: Mapping[str, str],
    smpp: str = "",
) -> str:
    """`password` is the password or says where it is stored; `faults` has the failed checks. Commands work as pasted.

    `smpp` is the address of the SMPP server, empty if it is not started.
    """
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
        *([f"  SMPP      {smpp}  (credentials: make manage ARGS='issue_gateway_credential NAME')"] if smpp else []),
        f"  Database  {database}",
        f"  Broker    {broker}",
        f"  Folder    {folder}",
        *_fault_lines(faults, address),
        "",
        "Send a message (the sandbox delivers it; no real SMS leaves this machine while no other account is enabled):",
        "",
        send,
        "",
        "See what happened to it (replace ID by the message's id):",
        "",
        watch,
        "",
        "Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def _fault_lines(faults: Mapping[str, str], address: str) -> list[str]:
    if not faults:
        return []
    lines = (f"  {check}: {fault}" for check, fault in faults.items())
    return ["", f"Some checks failed (see {address}/healthz/system):", *lines]
