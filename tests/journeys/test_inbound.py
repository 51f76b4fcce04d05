"""Incoming messages: STOP suppresses a waiting message, START allows it again, an image is fetched and readable."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from messaging.services.installation import SANDBOX_SENDER
from providers import callback_tokens
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.journeys.client import Client
from tests.journeys.stack import Stack
from tests.journeys.test_logs_are_clean import ALARMING
from tests.media_store import pictures

PERSON, PHOTOGRAPHER = "+14155550101", "+14155550102"
PNG = pictures.encoded("PNG")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(workers=2, environment={"MEDIA_FETCH_ALLOWED_NETWORKS": "127.0.0.0/8"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture
def bring(stack: Stack, client: Client):
    """Posts a text as the sandbox carrier would, and returns the processed message as its owner reads it."""

    def bring(sender: str, text: str, **more: Any) -> dict[str, Any]:
        token = callback_tokens.make(slug="sandbox1", attempt_id="", keys=(stack.environment["SECRET_KEY"],))
        body = {"from": sender, "to": SANDBOX_SENDER, "message": text, **more}
        url = stack.url(f"/webhooks/sandbox1/inbound/?{urlencode({'token': token})}")
        done = requests.post(url, json=body, timeout=10)
        assert (done.status_code, done.json()) == (200, {"result": "stored"})
        newest = client.get("messages/", direction="inbound", **{"from": sender}, limit=1)["results"][0]
        assert newest["message"] == text
        return client.wait_for(newest["id"], "processed")

    return bring


def test_stop_suppresses_a_waiting_message_and_start_allows_sending_again(stack: Stack, client: Client, bring) -> None:
    client.wait_for(
        client.send(PERSON, "Hello")["id"], "delivered"
    )  # from now on, texts from this number belong to this user
    client.post("queues/express/pause/", {})
    waiting = client.send(PERSON, "Kept back")

    bring(PERSON, "Stop!")
    refused = client.post("messages/", {"to": PERSON, "message": "Refused"})
    client.post("queues/express/resume/", {})
    kept_back = client.wait_for(waiting["id"], "failed")
    bring(PERSON, "START")

    assert (refused.status_code, refused.json()["code"]) == (409, "recipient_opted_out")
    assert (kept_back["error"]["code"], kept_back["attempts"]) == ("recipient_opted_out", 0)
    client.wait_for(client.send(PERSON, "Again")["id"], "delivered")
    texts = [row["message"] for row in client.get(f"phone-numbers/{PERSON}/messages/")["results"]]
    assert len(texts) == 6
    assert [text for text in texts if not text.startswith("You will")] == [
        "Again",
        "START",
        "Stop!",
        "Kept back",
        "Hello",
    ]


def test_an_image_in_a_callback_is_stored_and_readable(stack: Stack, client: Client, bring) -> None:
    client.wait_for(client.send(PHOTOGRAPHER, "Send a picture")["id"], "delivered")
    with closing(FakeCarrier()) as site:
        site.play = answer(200, PNG)

        message = bring(PHOTOGRAPHER, "Here it is", media=[f"{site.url}/1.png"])

    [asset] = client.get(f"messages/{message['id']}/media/")
    assert message["media"] == [asset["id"]]
    assert client.session.get(asset["url"], timeout=10).content == PNG
    assert client.steps(message["id"]) == ["received", "stored", "processed"]


def test_no_warning_was_logged(stack: Stack) -> None:
    alarming = [line for line in stack.logs().splitlines() if ALARMING.search(line)]

    assert alarming == []
    assert not re.search("|".join(map(re.escape, (PERSON, PHOTOGRAPHER, "Here it is"))), stack.logs())
