"""A run with debug logs, traces, metrics and error reports on; none contains private data."""

import json
import re
from collections.abc import Iterator

import pytest
import redis
import requests

from config.run import services
from providers.simulator.magic_numbers import MAGIC_NUMBERS
from tests.journeys.client import Client, numbers
from tests.journeys.collector import Collector
from tests.journeys.stack import Stack

TEXT = "Nobody-else-may-read-this 271828"
PROVIDER_KEY = "key-of-a-dead-provider-31415"
METRICS_TOKEN = "token-of-prometheus-16180"
REQUEST_ID = "follow-me-through-the-logs"
MOST_PAGES, OF_A_KIND = 120, 2
NOT_FOLLOWED = ("/admin/logout/",)
LIKE = re.compile(r"[0-9a-f-]{36}|(?<=/)[^/]+(?=/(?:change|delete|history|password|conversation)/)")
VIEWER = """
from django.contrib.auth.models import Group, User
viewer = User.objects.create_user("viewer", password={password!r}, is_staff=True)
viewer.groups.add(Group.objects.get(name="Viewer"))
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def stack(collector: Collector) -> Iterator[Stack]:
    environment = {
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "METRICS_TOKEN": METRICS_TOKEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "PROVIDER_CONNECT_TIMEOUT": "1",
        "PROVIDER_READ_TIMEOUT": "3",
        "CLAIM_LEASE_SECONDS": "6",
        "PROVIDER_DEAD_KEY": PROVIDER_KEY,
    }
    with Stack(environment=environment, sandbox_options=("--hang-ms", "6000")) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(scope="module")
def answers(client: Client) -> list[requests.Response]:
    """The responses to all kinds of invalid requests, after messages of all kinds."""
    stack = client.stack
    dead = {"url": f"http://127.0.0.1:{services.free_port()}/send", "headers": {"X-Key": {"env": "PROVIDER_DEAD_KEY"}}}
    stack.manage(
        "upsert_provider", "dead", "--backend", "generic_http", "--weight", "100", "--config", json.dumps(dead)
    )
    followed = client.post("messages/", {"to": "+14155550401", "message": TEXT}, X_Request_ID=REQUEST_ID).json()
    for number in (*MAGIC_NUMBERS, *numbers(30)):
        client.send(number, TEXT)
    client.wait_for(followed["id"], "delivered")
    client.wait_until_none_is(["sending"])
    token = client.session.headers["Authorization"]
    wrong = [
        client.post("messages/", {"to": "nobody", "message": 7}),
        client.post(f"messages/{TEXT}/", {}),
        client.session.get(stack.url(f"nowhere/?search={TEXT}"), timeout=30),
        client.session.get(stack.url("/admin/nowhere/"), timeout=30),  # the log-in
        client.session.get(stack.url("/nowhere/"), timeout=30),
        requests.get(stack.url("messages/"), headers={"Authorization": f"{token}x"}, timeout=30),
        requests.post(stack.url("auth/token/"), auth=("admin", "a wrong password"), timeout=30),
        requests.post(stack.url("/webhooks/sandbox1/status/?token=forged"), data=TEXT, timeout=30),
        requests.get(stack.url("/metrics"), headers={"Authorization": "Bearer wrong"}, timeout=30),
        requests.get(stack.url("/"), headers={"Host": "wrong.example.org"}, timeout=30),
    ]
    assert [answer.status_code for answer in wrong] == [400, 404, 404, 200, 404, 401, 401, 403, 403, 400]
    return wrong


def private(client: Client) -> dict[str, set[str]]:
    stack = client.stack
    rows = client.messages().values()
    return {
        "text": {TEXT, TEXT.replace(" ", "%20"), TEXT.replace(" ", "+")},
        "number": {number.removeprefix("+") for row in rows for number in (row["to"], row["from"]) if number},
        "token": {client.session.headers["Authorization"].removeprefix("Bearer "), METRICS_TOKEN, "token="},
        "secret": {
            stack.environment["SECRET_KEY"],
            PROVIDER_KEY,
            (stack.folder / "admin_password").read_text().strip(),
        },
    }


def found_in(values: dict[str, set[str]], text: str) -> list[str]:
    """The kinds of private data found in the text."""
    return [kind for kind, words in values.items() if any(word in text for word in words)]


def in_redis(url: str) -> str:
    """Every key and every value."""
    readers = {
        b"string": lambda client, key: client.get(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1),
        b"stream": lambda client, key: client.xrange(key),
        b"none": lambda _client, _key: "expired meanwhile",
    }
    with redis.Redis.from_url(url) as client:
        return " ".join(f"{key!r} {readers[client.type(key)](client, key)!r}" for key in client.scan_iter())


def lines(stack: Stack, name: str) -> list[dict]:
    """The structured lines of one process."""
    text = (stack.folder / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_logs_contain_no_private_data(client: Client, answers) -> None:
    logs = "\n".join(file.read_text() for file in (client.stack.folder / "logs").glob("*.log"))

    assert "DEBUG" in logs
    assert found_in(private(client), logs) == []


def test_traces_contain_no_private_data(client: Client, collector: Collector, answers) -> None:
    client.stack.wait_until(lambda: any(b"provider call" in body for body in collector.received))

    spans = b"\n".join(collector.received).decode("utf-8", "replace")
    assert "HTTP POST" in spans
    assert found_in(private(client), spans) == []


def test_error_pages_contain_no_private_data(client: Client, answers) -> None:
    values = private(client)

    assert [found_in(values, answer.text) for answer in answers] == [[]] * len(answers)


def test_metrics_contain_no_private_data(client: Client, answers) -> None:
    page = requests.get(client.stack.url("/metrics"), timeout=30).text

    assert "switchboard_attempts_total" in page
    assert found_in(private(client), page) == []


def test_redis_contains_no_private_data(client: Client, answers) -> None:
    content = in_redis(client.stack.environment["REDIS_URL"])

    values = private(client)
    assert "heartbeat" in content
    assert found_in({kind: values[kind] for kind in ("text", "token", "secret")}, content) == []


def pages(stack: Stack, username: str, password: str) -> dict[str, str]:
    """The pages, forms and downloads that this user reaches by following links in the console, by path."""
    session = requests.Session()
    session.trust_env = False
    log_in = stack.url("/admin/login/")
    session.get(log_in, timeout=30)
    form = {"username": username, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    session.post(log_in, data=form, headers={"Referer": log_in}, timeout=30)
    found: dict[str, str] = {}
    ahead, seen = ["/admin/"], {"/admin/", *NOT_FOLLOWED}
    while ahead and len(found) < MOST_PAGES:
        path = ahead.pop(0)
        answer = session.get(stack.url(path), timeout=30)
        assert answer.status_code in {200, 403}, path
        found[path] = answer.text
        for link in re.findall(r'href="(/admin/[^"?#]*)', answer.text):
            if link not in seen and sum(LIKE.sub("N", link) == LIKE.sub("N", other) for other in seen) < OF_A_KIND:
                seen.add(link)
                ahead.append(link)
    return found


def test_the_console_shows_no_secrets_and_texts_only_with_the_permission(client: Client, answers) -> None:
    stack = client.stack
    password = (stack.folder / "admin_password").read_text().strip()
    stack.manage("shell", "--verbosity", "0", "-c", VIEWER.format(password=password))
    values = private(client)
    secret = {kind: values[kind] for kind in ("token", "secret")}

    of_admin, of_viewer = pages(stack, "admin", password), pages(stack, "viewer", password)

    assert len(of_admin) > len(of_viewer) > 15
    assert "/admin/messaging/message/" in of_viewer
    assert any(TEXT in page for page in of_admin.values())
    assert {path: kinds for path, page in of_admin.items() if (kinds := found_in(secret, page))} == {}
    assert {
        path: kinds for path, page in of_viewer.items() if (kinds := found_in(secret | {"text": {TEXT}}, page))
    } == {}


def test_a_message_can_be_traced_from_the_request_to_the_receipt(client: Client, answers) -> None:
    web, worker = lines(client.stack, "web"), lines(client.stack, "worker0")

    [accepted] = [line for line in web if line.get("request_id") == REQUEST_ID and line["message"] == "accepted"]
    message = accepted["message_id"]
    [call] = [line for line in worker if line.get("message_id") == message and "accepted in" in line["message"]]
    [receipt] = [line for line in web if line.get("message_id") == message and line["message"].startswith("receipt")]
    assert call["message"].startswith("attempt ")
    assert receipt["message"].endswith("delivered, applied")
    assert {line["logger"] for line in (accepted, call, receipt)} == {"messaging.log_context"}
