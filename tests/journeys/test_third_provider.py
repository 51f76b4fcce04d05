"""A provider added by configuration alone, as in the README: its own format, its own header, no code.

`test_readme` tests that the README's command can be pasted unchanged.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from config.run.environment import BASE_DIR
from tests.journeys.carrier import Answer, Carrier, ReceivedCall
from tests.journeys.client import Client, Message, numbers, statuses
from tests.journeys.stack import Stack

KEY = "acme-key-7f3a9c"
DOCUMENTED_URL = "https://api.acme.example/v1/sms"
README = (BASE_DIR / "README.md").read_text()


class Acme(Carrier):
    """The carrier of the README: it answers 201 with a nested id and is called with a key in a header."""

    def accept(self, call: ReceivedCall) -> Answer:
        if call.headers.get("x-api-key") != KEY:
            return 401, {"error": "who are you?"}
        return 201, {"data": {"id": self.new_id()}}

    def call_for(self, message: Message) -> dict[str, Any]:
        [call] = [call for call in self.calls if call.content["recipient"] == message["to"]]
        return call.content


@pytest.fixture(scope="module")
def acme() -> Iterator[Acme]:
    with Acme() as playing:
        yield playing


@pytest.fixture(scope="module")
def stack(acme: Acme) -> Iterator[Stack]:
    with Stack(environment={"PROVIDER_ACME_KEY": KEY}) as running:
        arguments, config = the_readme_step(acme.url + "/v1/sms")
        running.manage(*arguments, standard_input=config)
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(scope="module")
def through_acme(client: Client) -> list[Message]:
    """Messages accepted by the new provider, which shares the load with the two sandbox providers."""
    ids = client.send_batch(numbers(60), reference="shared")
    client.wait_until_none_is(["queued", "sending"])
    return [message for message in map(client.message, ids) if message["provider"] == "acme"]


def the_readme_step(url: str) -> tuple[list[str], str]:
    """The arguments and standard input of step 2, with the test's URL instead of the documented one."""
    command, config = re.search(
        r"```sh\n(make manage ARGS='upsert_provider acme [^\n]*) <<'END'\n(.*?)END\n```", README, re.DOTALL
    ).groups()
    make, target, variable = shlex.split(command)
    assert (make, target) == ("make", "manage")
    assert config.count(DOCUMENTED_URL) == 1
    return shlex.split(variable.removeprefix("ARGS=")), config.replace(DOCUMENTED_URL, url)


def post(call: dict[str, Any], message: Message, state: str) -> int:
    receipt = {"id": message["provider_message_id"], "state": state}
    return requests.post(call["notify_url"], json=receipt, timeout=30).status_code


def test_it_carries_its_share_and_loses_nothing(client: Client, through_acme: list[Message]) -> None:
    client.wait_until_none_is(["queued", "sending"])
    shared = [message for message in client.messages().values() if message["reference"] == "shared"]

    assert len(shared) == 60
    assert 14 <= len(through_acme) <= 26  # 50 of 150 parts, which is 20
    assert {message["attempts"] for message in shared} == {1}
    assert not {"failed", "unknown", "undelivered"} & set(statuses(shared))


def test_its_requests_have_its_own_format(acme: Acme, stack: Stack, through_acme: list[Message]) -> None:
    message = through_acme[0]

    call = acme.call_for(message)

    assert set(call) == {"recipient", "text", "sender", "notify_url"}
    assert (call["recipient"], call["text"], call["sender"]) == (message["to"], message["message"], message["from"])
    assert call["notify_url"].startswith(f"{stack.base_url}/webhooks/acme/status/?token=")
    assert message["provider_message_id"].startswith("carrier-")


@pytest.mark.parametrize(("state", "status"), [("DELIVRD", "delivered"), ("UNDELIV", "undelivered")])
def test_its_receipts_are_understood(
    client: Client, acme: Acme, through_acme: list[Message], state: str, status: str
) -> None:
    message = through_acme[{"DELIVRD": 1, "UNDELIV": 2}[state]]

    answer = post(acme.call_for(message), message, state)

    assert answer == 200
    assert client.steps(message["id"]) == ["queued", "sending", "sent", status]


def test_an_unconfigured_status_changes_nothing(client: Client, acme: Acme, through_acme: list[Message]) -> None:
    message = through_acme[3]

    answer = post(acme.call_for(message), message, "delivered")

    assert answer == 200
    assert client.message(message["id"])["status"] == "sent"


def test_its_key_is_only_in_the_environment(stack: Stack, through_acme: list[Message]) -> None:
    listed = stack.manage("list_providers", "--json")

    [account] = [row for row in json.loads(listed) if row["slug"] == "acme"]
    assert account["config"]["headers"] == {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}
    assert account["weight"] == 50
    assert through_acme
    assert KEY not in listed
    assert KEY not in stack.logs()


def test_after_it_is_disabled_it_gets_no_messages_and_its_receipts_still_count(
    client: Client, acme: Acme, through_acme: list[Message]
) -> None:
    client.stack.manage("upsert_provider", "acme", "--disable")
    try:
        before = len(acme.calls)
        ids = client.send_batch(numbers(20, prefix="+1415300"))
        client.stack.wait_until(lambda: {client.message(message_id)["status"] for message_id in ids} == {"delivered"})
        late = through_acme[4]

        assert post(acme.call_for(late), late, "DELIVRD") == 200
        assert client.message(late["id"])["status"] == "delivered"
        assert len(acme.calls) == before
    finally:
        client.stack.manage("upsert_provider", "acme", "--enable")
