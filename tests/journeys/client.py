"""An API client for journeys: it sends, reads, and waits with a deadline."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.journeys.stack import PATIENCE, Stack

TIMEOUT = 60
PAGE = 100
BATCH = 500
ON_THE_WAY = ("scheduled", "queued", "sending", "sent")

Message = dict[str, Any]


def numbers(count: int, *, prefix: str = "+1415200") -> list[str]:
    """Distinct valid numbers, none of them a magic number."""
    return [f"{prefix}{index:04}" for index in range(count)]


class Client:
    """The service user of the stack, or another user with its own token."""

    def __init__(self, stack: Stack, user: str = "") -> None:
        self.stack = stack
        self.session = stack.new_session(stack.token(user)) if user else stack.session

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        """`headers` with underscores for hyphens: `Idempotency_Key="…"`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(self.stack.url(path), json=body, headers=named, timeout=TIMEOUT)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.session.get(self.stack.url(path), params=query, timeout=TIMEOUT)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, to: str, text: str = "Your code is 123456", **more: Any) -> Message:
        answer = self.post("messages/", {"to": to, "message": text, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def send_batch(self, recipients: Sequence[str], **more: Any) -> list[str]:
        """The ids, in the order of the recipients."""
        ids: list[str] = []
        for start in range(0, len(recipients), BATCH):
            items = [{"to": to, "message": "Your code is 123456", **more} for to in recipients[start : start + BATCH]]
            answer = self.post("messages/batch/", {"messages": items})
            assert answer.status_code == 202, answer.text
            assert answer.json()["rejected"] == 0, answer.text
            ids += [result["id"] for result in answer.json()["results"]]
        return ids

    def message(self, message_id: str) -> Message:
        return self.get(f"messages/{message_id}/")

    def events(self, message_id: str) -> list[dict[str, Any]]:
        return self.get(f"messages/{message_id}/events/")

    def steps(self, message_id: str) -> list[str]:
        return [event["to"] for event in self.events(message_id)]

    def attempts(self, message_id: str) -> list[dict[str, Any]]:
        return self.get(f"messages/{message_id}/attempts/")

    def count(self, statuses: Collection[str]) -> int:
        """The number of this user's messages in any of these statuses."""
        return self.get("messages/", status=list(statuses), limit=1)["count"]

    def messages(self) -> dict[str, Message]:
        """All messages of this user, by id."""
        found: dict[str, Message] = {}
        page = self.get("messages/", cursor="", limit=PAGE)
        while True:
            found |= {message["id"]: message for message in page["results"]}
            if page["next"] is None:
                return found
            page = self.session.get(page["next"], timeout=TIMEOUT).json()

    def wait_for(self, message_id: str, status: str, *, seconds: float = PATIENCE) -> Message:
        """Wait until the message has this status, and return it."""
        seen: list[Message] = []

        def has_status() -> bool:
            seen.append(self.message(message_id))
            return seen[-1]["status"] == status

        has_status.__name__ = f"{message_id} is {status}"
        self.stack.wait_until(has_status, seconds=seconds)
        return seen[-1]

    def wait_until_none_is(self, statuses: Collection[str], *, seconds: float = PATIENCE) -> None:
        def none_left() -> bool:
            return self.count(statuses) == 0

        none_left.__name__ = f"none of the messages of this user is {'/'.join(statuses)}"
        self.stack.wait_until(none_left, seconds=seconds, pause=0.2)


def statuses(messages: Iterable[Message]) -> Counter[str]:
    return Counter(message["status"] for message in messages)


def in_parallel(calls: Sequence[Any], *, threads: int) -> list[Any]:
    """The results of the calls, in order."""
    with ThreadPoolExecutor(threads) as executor:
        return [future.result() for future in [executor.submit(call) for call in calls]]
