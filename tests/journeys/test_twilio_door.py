"""Twilio's door with real processes: our own `twilio` backend, the official SDKs, and TwiML replies through the sandbox."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID
from xml.sax.saxutils import quoteattr

import psycopg
import pytest
import requests
from twilio.request_validator import RequestValidator
from twilio.rest import Client as TwilioClient

from messaging.services.installation import SANDBOX_SENDER
from providers import callback_tokens
from tests.contract.fake_carrier import FakeCarrier
from tests.contract.fake_carrier import answer as play
from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.client import Client
from tests.journeys.local_server import LocalServer, QuietHandler
from tests.journeys.peers import node_twilio
from tests.journeys.peers.node_twilio import NodeError, NodeTwilio
from tests.journeys.stack import Stack
from tests.media_store import pictures
from tests.messaging.services.webhooks.test_twilio_addresses import CANONICAL, FORM, TOKEN, signature

LOOPBACK = {"CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8", "MEDIA_FETCH_ALLOWED_NETWORKS": "127.0.0.0/8"}
TOKEN_VARIABLE = "PROVIDER_TWILIO_AUTH_TOKEN"  # the name of a variable
CLAIM_SECONDS = 60
PICTURES = tuple(pictures.encoded("PNG", pictures.picture(shade=shade)) for shade in (1, 2))
ODD = "/st;?order=a+b%20c%2Bd&who='x'&empty=&u=http://o.example.com:80/[1]"


@dataclass(frozen=True)
class Credential:
    user: str
    account_sid: str
    auth_token: str


@dataclass(frozen=True)
class Posted:
    """One request that an application got. `url` is put together as web frameworks do."""

    url: str
    fields: dict[str, str]
    signature: str

    def is_valid(self, token: str) -> bool:
        return RequestValidator(token).validate(self.url, self.fields, self.signature)


class Application(LocalServer):
    """A context manager: an application written for Twilio. `answer(fields)` is its TwiML, as text; None is an empty answer."""

    def __init__(self, answer: Callable[[dict[str, str]], str | None] = lambda _fields: None) -> None:
        self.posted: list[Posted] = []
        application = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802 (the name that its base class calls)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fields = dict(parse_qsl(body, keep_blank_values=True))
                url = f"http://{self.headers['Host']}{self.requestline.split()[1]}"
                application.posted.append(Posted(url, fields, self.headers["X-Twilio-Signature"]))
                content = (answer(fields) or "").encode()
                self.send_response(200 if content else 204)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        super().__init__(Handler)

    def of(self, sid: str) -> list[Posted]:
        return [posted for posted in self.posted if posted.fields["MessageSid"] == sid]


@pytest.fixture(scope="module")
def door() -> Iterator[Stack]:
    """The installation whose door is used; its carriers are the sandbox."""
    with Stack(environment=LOOPBACK) as running:
        yield running


@pytest.fixture(scope="module")
def credential(door: Stack) -> Credential:
    return issue(door, "shop")


def issue(door: Stack, user: str) -> Credential:
    return Credential(user, *door.manage("issue_twilio_credential", user).split())


def bring(door: Stack, sender: str, text: str, **more: Any) -> None:
    """Post a text as the sandbox carrier would."""
    token = callback_tokens.make(slug="sandbox1", attempt_id="", keys=(door.environment["SECRET_KEY"],))
    url = door.url(f"/webhooks/sandbox1/inbound/?{urlencode({'token': token})}")
    done = requests.post(url, json={"from": sender, "to": SANDBOX_SENDER, "message": text, **more}, timeout=10)
    assert (done.status_code, done.json()) == (200, {"result": "stored"})


def carried(door: Stack, to: str) -> int:
    """How many messages to this number the carriers have accepted."""
    return sum(call["to"] == to for call in door.sandbox_log()["accepted"])


def sdk(door: Stack, credential: Credential) -> TwilioClient:
    client = TwilioClient(credential.account_sid, credential.auth_token)
    client.api.base_url = door.base_url
    return client


# --- Our own backend --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """The first installation sends through the door, as the credential's user there."""

    first: Stack
    user: str


@pytest.fixture(scope="module")
def chain(door: Stack) -> Iterator[Chain]:
    relay = issue(door, "relay")
    with Stack(environment={**LOOPBACK, TOKEN_VARIABLE: relay.auth_token}) as first:
        config = {
            "account_sid": relay.account_sid,
            "auth_token": {"env": TOKEN_VARIABLE},
            "from_number": SANDBOX_SENDER,
            "api_base_url": door.base_url,
            "callback_overrides": "rc=2",
        }
        upsert = ("upsert_provider", "upstream", "--backend", "twilio", "--config-file", "-")
        first.manage(*upsert, standard_input=json.dumps(config))
        for sandbox in ("sandbox1", "sandbox2"):
            first.manage("upsert_provider", sandbox, "--disable")
        yield Chain(first, relay.user)


def test_our_own_backend_sends_through_the_door_and_receipts_come_back_through_both(door: Stack, chain: Chain) -> None:
    client, texts = Client(chain.first), ["Hello", "Grüße 👋 " * 12]
    sent = [client.send(f"+1415555020{index}", text) for index, text in enumerate(texts)]

    ended = [client.wait_for(message["id"], "delivered") for message in sent]

    assert [message["provider"] for message in ended] == ["upstream", "upstream"]
    theirs = Client(door, chain.user).messages()
    for message, text in zip(ended, texts, strict=True):
        upstream = theirs[str(UUID(message["provider_message_id"][2:]))]
        assert (upstream["message"], upstream["status"], upstream["to"]) == (text, "delivered", message["to"])
        assert carried(door, message["to"]) == 1


def test_a_text_comes_through_the_door_to_our_own_backend(door: Stack, chain: Chain) -> None:
    """The first installation's inbound address is an application written for Twilio."""
    person, text, client = "+14155550210", "Yes & no: 50% + 1 👍", Client(chain.first)
    endpoint = {
        "url": chain.first.url("/webhooks/upstream/inbound/"),
        "dialect": "twilio",
        "events": ["message.received"],
        "number": SANDBOX_SENDER,
    }
    assert Client(door, chain.user).post("webhook-endpoints/", endpoint).status_code == 201
    client.wait_for(client.send(person, "Ready?")["id"], "delivered")

    bring(door, person, text)

    def has_text() -> bool:
        found = client.get("messages/", direction="inbound")["results"]
        return [(row["from"], row["to"], row["message"]) for row in found] == [(person, SANDBOX_SENDER, text)]

    chain.first.wait_until(has_text, seconds=30)


# --- TwiML ------------------------------------------------------------------------------------------------------------


def replying(door: Stack, credential: Credential, application: Application, person: str) -> Client:
    """Its texts go to the application from now on, and the person's belong to the credential's user."""
    client = Client(door, credential.user)
    for known in client.get("webhook-endpoints/")["results"]:
        client.session.delete(door.url(f"webhook-endpoints/{known['id']}/"), timeout=10)
    endpoint = {"url": f"{application.url}/sms?x=1", "dialect": "twilio", "events": ["message.received"]}
    assert client.post("webhook-endpoints/", endpoint).status_code == 201
    client.wait_for(client.send(person, "Ready?")["id"], "delivered")
    return client


def test_a_twiml_reply_is_sent_once_and_its_statuses_are_told(door: Stack, credential: Credential) -> None:
    person = "+14155550220"

    def answer(fields: dict[str, str]) -> str | None:
        if "Body" not in fields:
            return None
        return f"<Response><Message statusCallback={quoteattr(ODD)}>You said {fields['Body']}</Message></Response>"

    with Application(answer) as application:
        client = replying(door, credential, application, person)
        bring(door, person, "yes")

        door.wait_until(lambda: carried(door, person) == 2, seconds=30)  # "Ready?" and the reply
        [reply] = [row for row in client.messages().values() if row["message"] == "You said yes"]
        sid = f"SM{UUID(reply['id']).hex}"
        door.wait_until(lambda: len(application.of(sid)) == 2, seconds=30)

    assert (reply["from"], reply["to"]) == (SANDBOX_SENDER, person)
    assert {posted.fields["MessageStatus"] for posted in application.of(sid)} == {"sent", "delivered"}
    assert all(posted.is_valid(credential.auth_token) for posted in application.posted)
    assert carried(door, person) == 2


@contextmanager
def settling_blocked(door: Stack) -> Iterator[None]:
    """No delivery can be settled meanwhile: on PostgreSQL, their table is locked."""
    if not GIVEN_DATABASE_URL:
        with door.writes_blocked():
            yield
        return
    with psycopg.connect(door.environment["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE messaging_webhookdelivery IN EXCLUSIVE MODE")
        yield
        connection.rollback()


def test_a_worker_that_is_killed_between_the_answer_and_its_settling_sends_one_reply(
    door: Stack, credential: Credential
) -> None:
    person, answered, killed = "+14155550221", threading.Event(), threading.Event()

    def answer(_fields: dict[str, str]) -> str:
        answered.set()
        killed.wait(0 if killed.is_set() else 2)  # the database is blocked meanwhile
        return "<Response><Message>Only once</Message></Response>"

    with Application(answer) as application:
        client = replying(door, credential, application, person)
        bring(door, person, "first")
        assert answered.wait(30)
        with settling_blocked(door):
            time.sleep(4)  # the answer has arrived, and waits to be settled
            door.kill_worker(len(door.workers) - 1)
            killed.set()
        door.start_worker()

        door.wait_until(lambda: len(application.posted) == 2, seconds=CLAIM_SECONDS + 30)
        door.wait_until(lambda: carried(door, person) == 2, seconds=30)  # "Ready?" and the reply
        client.wait_until_none_is(("queued", "sending", "sent"), seconds=30)

    assert carried(door, person) == 2
    first, second = application.posted
    assert first.fields == second.fields


def test_who_has_said_stop_gets_no_reply(door: Stack, credential: Credential) -> None:
    person = "+14155550222"

    with Application(lambda _fields: "<Response><Message>Please stay</Message></Response>") as application:
        client = replying(door, credential, application, person)
        bring(door, person, "STOP")
        door.wait_until(lambda: len(application.posted) == 1, seconds=30)
        [endpoint] = client.get("webhook-endpoints/")["results"]

        def is_noted() -> bool:
            [delivery] = client.get(f"webhook-endpoints/{endpoint['id']}/deliveries/")["results"]
            return delivery["status"] == "succeeded" and "opted out" in delivery["error"]

        door.wait_until(is_noted, seconds=30)
        client.wait_until_none_is(("queued", "sending", "sent"), seconds=30)

    assert "Please stay" not in {row["message"] for row in client.messages().values()}
    assert carried(door, person) == 2  # "Ready?" and the automatic reply to STOP


def test_an_application_reads_a_picture_and_sends_it_and_another_one_back(door: Stack, credential: Credential) -> None:
    person, read = "+14155550223", []
    login = (credential.account_sid, credential.auth_token)
    with closing(FakeCarrier()) as site:
        site.play = play(200, PICTURES[1])

        def answer(fields: dict[str, str]) -> str:
            read.append(requests.get(fields["MediaUrl0"], auth=login, timeout=10).content)
            own, other = (f"<Media>{url}</Media>" for url in (fields["MediaUrl0"], f"{site.url}/other.png"))
            return f"<Response><Message><Body>Both</Body>{own}{other}</Message></Response>"

        with Application(answer) as application, closing(FakeCarrier()) as sender:
            sender.play = play(200, PICTURES[0])
            client = replying(door, credential, application, person)
            bring(door, person, "Look", media=[f"{sender.url}/1.png"])
            door.wait_until(lambda: carried(door, person) == 2, seconds=30)

    [posted] = application.posted
    assert (posted.fields["NumMedia"], posted.fields["MediaContentType0"]) == ("1", "image/png")
    assert posted.fields["MessageSid"].startswith("MM")
    assert read == [PICTURES[0]]
    [reply] = [row for row in client.messages().values() if row["message"] == "Both"]
    media = client.get(f"messages/{reply['id']}/media/")
    assert [client.session.get(asset["url"], timeout=10).content for asset in media] == list(PICTURES)


# --- The SDK for Node -------------------------------------------------------------------------------------------------

needs_node = pytest.mark.skipif(bool(node_twilio.missing()), reason=node_twilio.missing())


@pytest.fixture(scope="module")
def node(door: Stack, credential: Credential) -> Iterator[NodeTwilio]:
    with NodeTwilio(door.base_url, credential.account_sid, credential.auth_token) as client:
        yield client


@needs_node
def test_node_sends_and_its_validator_accepts_the_callbacks(
    door: Stack, credential: Credential, node: NodeTwilio
) -> None:
    with Application() as application:
        made = node.call(
            "create",
            parameters={
                "to": "+14155550230",
                "from": SANDBOX_SENDER,
                "body": "Grüße + 1 & 2=3 👋",
                "statusCallback": f"{application.url}{ODD}#rc=3",
            },
        )
        door.wait_until(lambda: len(application.of(made["sid"])) == 2, seconds=30)
        fetched = node.call("fetch", sid=made["sid"])

    assert (made["status"], made["direction"], made["numSegments"]) == ("queued", "outbound-api", "1")
    assert (fetched["status"], fetched["body"], fetched["errorCode"]) == ("delivered", "Grüße + 1 & 2=3 👋", None)
    for posted in application.of(made["sid"]):
        assert is_accepted(node, credential.auth_token, posted)
        assert posted.is_valid(credential.auth_token)
        assert not is_accepted(node, "f" * 32, posted)


def is_accepted(node: NodeTwilio, token: str, posted: Posted) -> bool:
    return node.call("validate", token=token, signature=posted.signature, url=posted.url, fields=posted.fields)


@needs_node
def test_node_accepts_every_spelling_that_is_signed(node: NodeTwilio) -> None:
    verdicts = {
        url: node.call("validate", token=TOKEN, signature=signature("POST", url), url=url, fields=FORM)
        for url in CANONICAL.values()
    }

    assert [url for url, verdict in verdicts.items() if not verdict] == []


@needs_node
def test_node_lists_cancels_redacts_and_deletes(door: Stack, node: NodeTwilio) -> None:
    to = "+14155550231"
    sids = [
        node.call("create", parameters={"to": to, "from": SANDBOX_SENDER, "body": f"Number {index}"})["sid"]
        for index in range(5)
    ]
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = {"to": to, "from": SANDBOX_SENDER, "body": "Later", "scheduleType": "fixed", "sendAt": at}
    scheduled = node.call("create", parameters=later)["sid"]
    door.wait_until(lambda: all(node.call("fetch", sid=sid)["status"] == "delivered" for sid in sids), seconds=30)

    listed = node.call("list", parameters={"to": to, "pageSize": 2})
    canceled = node.call("cancel", sid=scheduled)
    redacted = node.call("redact", sid=sids[0])
    removed = node.call("remove", sid=sids[1])

    assert [message["sid"] for message in listed] == [scheduled, *reversed(sids)]
    assert (canceled["status"], redacted["body"], removed) == ("canceled", "", True)
    with pytest.raises(NodeError) as gone:
        node.call("fetch", sid=sids[1])
    assert (gone.value.described["status"], gone.value.described["code"]) == (404, 20404)


@needs_node
@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"to": "+1", "from": SANDBOX_SENDER, "body": "x"}, 400, 21211),
        ({"to": "+14155550232", "from": "+15005550001", "body": "x"}, 400, 21659),
        ({"to": "+14155550232", "from": SANDBOX_SENDER}, 400, 21602),
        ({"to": "+14155550232", "body": "x"}, 400, 21603),
    ],
)
def test_node_reads_our_errors(node: NodeTwilio, parameters: dict[str, str], status: int, code: int) -> None:
    with pytest.raises(NodeError) as raised:
        node.call("create", parameters=parameters)

    described = raised.value.described
    assert (described["status"], described["code"]) == (status, code)
    assert described["message"]


@needs_node
def test_node_is_told_that_its_token_is_wrong(door: Stack, credential: Credential) -> None:
    with NodeTwilio(door.base_url, credential.account_sid, "0" * 32) as stranger, pytest.raises(NodeError) as raised:
        stranger.call("list", parameters={})

    assert (raised.value.described["status"], raised.value.described["code"]) == (401, 20003)


# --- The SDK for Python -----------------------------------------------------------------------------------------------


def test_python_sends_and_its_validator_accepts_the_callbacks(door: Stack, credential: Credential) -> None:
    with Application() as application:
        made = sdk(door, credential).messages.create(
            to="+14155550240", from_=SANDBOX_SENDER, body="Hello", status_callback=f"{application.url}{ODD}"
        )
        door.wait_until(lambda: len(application.of(made.sid)) == 2, seconds=30)

    posted = application.of(made.sid)
    assert [each.is_valid(credential.auth_token) for each in posted] == [True, True]
    assert {each.fields["MessageStatus"] for each in posted} == {"sent", "delivered"}
    assert {each.fields["AccountSid"] for each in posted} == {credential.account_sid}
