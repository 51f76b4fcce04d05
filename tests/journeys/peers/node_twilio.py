"""Twilio's SDK for Node."""

import itertools
from typing import Any, Self

from tests.journeys.peers import node_packages
from tests.journeys.peers.node_smpp import NodeProgram

VERSION = "6.3.1"


def missing() -> str:
    """Why the SDK cannot be used here; "" if it can."""
    return node_packages.missing("twilio", VERSION)


class NodeError(Exception):
    """An error that the SDK raised, as it describes it."""

    def __init__(self, described: dict[str, Any]) -> None:
        super().__init__(described)
        self.described = described


class NodeTwilio:
    """A context manager: the SDK's client of one account."""

    def __init__(self, base_url: str, account_sid: str, auth_token: str) -> None:
        settings = {"base_url": base_url, "account_sid": account_sid, "auth_token": auth_token}
        self._program = NodeProgram("twilio_client.js", settings, package=("twilio", VERSION))
        self._ids = itertools.count()

    def __enter__(self) -> Self:
        self._program.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._program.__exit__(*error)

    def call(self, name: str, **values: Any) -> Any:
        """The result of one call. Raises `NodeError`."""
        order_id = next(self._ids)
        self._program.order({"id": order_id, "call": name, **values})
        [event] = self._program.wait_for(lambda event: event["id"] == order_id)
        if "error" in event:
            raise NodeError(event["error"])
        return event["result"]
