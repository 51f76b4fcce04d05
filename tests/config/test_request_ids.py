"""Every request has an id in the logs and in its response."""

import logging
import re

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from config.logging import LogContextFilter
from messaging import log_context


@pytest.mark.parametrize("given", ["order-42-try.1", "0191a5f0-aaaa-7bbb-8ccc-1234567890ab", "a" * 64])
def test_a_valid_id_of_the_client_is_used(client: Client, given: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": given})

    assert response.headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    ["", "short", "a" * 65, "with blank in it", "line\nbreak-line", '"><script>alert', "14155550101", "-leading-dash"],
)
def test_an_invalid_id_is_replaced(client: Client, given: str) -> None:
    response = client.get("/healthz", HTTP_X_REQUEST_ID=given)

    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_without_one_each_request_gets_its_own(client: Client) -> None:
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(3)}

    assert len(ids) == 3


def test_problems_carry_it_too(client: Client, db) -> None:
    response = client.get("/api/v1/messages/", headers={"X-Request-ID": "find-me-again"})

    assert response.status_code == 401
    assert response.headers["X-Request-ID"] == "find-me-again"


async def ask(async_client) -> str:
    response = await async_client.get("/healthz", headers={"X-Request-ID": "find-me-again"})
    return response.headers["X-Request-ID"]


def test_under_asgi_as_well(async_client, db) -> None:
    assert async_to_sync(ask)(async_client) == "find-me-again"


@pytest.mark.django_db
def test_log_lines_of_a_request_have_its_id_and_later_ones_have_not(client: Client, monkeypatch) -> None:
    seen = []

    def beating() -> list:
        seen.append(record())
        return []

    monkeypatch.setattr("config.health.heartbeats.workers", beating)
    client.get("/healthz/system", headers={"X-Request-ID": "find-me-again"})

    assert [(found.request_id, found.trail) for found in seen] == [("find-me-again", " request=find-me-again")]
    assert (record().request_id, record().trail) == ("", "")


def record() -> logging.LogRecord:
    made = logging.LogRecord("name", logging.INFO, "path", 1, "hello", (), None)
    assert LogContextFilter().filter(made)
    return made


def test_ids_of_messages_nest_in_those_of_requests() -> None:
    with log_context.request_context("r"), log_context.message_context("m"):
        assert record().trail == " request=r message=m"

    assert record().trail == ""
