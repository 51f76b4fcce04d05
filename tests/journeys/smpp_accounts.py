"""SMPP accounts for journeys, each for the numbers of one prefix."""

import json
from typing import Any

from tests.journeys.stack import SANDBOX_PASSWORD, Stack

RESPONSE_SECONDS = 2.0
BINDS, WINDOW = 2, 10
SENDER = "+15005550006"


def add_account(stack: Stack, slug: str, *, port: int, prefix: str, **config: Any) -> None:
    """An account with the login of the simulated carrier, unless `config` says otherwise."""
    login = {"system_id": "sandbox", "password": {"env": SANDBOX_PASSWORD}}
    whole = {
        "host": "127.0.0.1",
        "port": port,
        **login,
        "response_timeout": RESPONSE_SECONDS,
        "allowed_prefixes": [prefix],
        "from_number": SENDER,
        **config,
    }
    stack.manage("upsert_provider", slug, "--backend", "smpp", "--weight", "900", "--config", json.dumps(whole))


def bind_of(stack: Stack, slug: str) -> dict[str, Any]:
    """The first bind of an account as `GET /providers/` shows it."""
    answer = stack.session.get(stack.url("providers/"), timeout=30)
    answer.raise_for_status()
    [account] = [each for each in answer.json()["results"] if each["slug"] == slug]
    return account["binds"][0] if account["binds"] else {}
