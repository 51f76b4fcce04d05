"""Reports to Sentry, and the removal of private content."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import EventHandler
from sentry_sdk.tracing_utils import should_propagate_trace
from sentry_sdk.transport import Transport

from config import sentry

PRIVATE = ("Nobody else may read this", "4155550101", "swb-token", "hunter2")


class Kept(Transport):
    """Replaces the network."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        if (event := envelope.get_event()) is not None:
            self.events.append(event)


@pytest.fixture
def kept(settings) -> Iterator[Kept]:
    """A client of its own, without the integrations that would stay in this process for ever."""
    settings.SENTRY_DSN = "https://key@sentry.invalid/1"
    transport = Kept()
    client = sentry_sdk.Client(**sentry.options(), transport=transport, default_integrations=False)
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        yield transport
    client.close()


def fail(text: str, number: str) -> None:
    raise ValueError(f"no route to {number}")


def test_a_failure_is_reported_without_variables_and_numbers(kept: Kept) -> None:
    try:
        fail(PRIVATE[0], "+1" + PRIVATE[1])
    except ValueError as error:
        sentry_sdk.capture_exception(error)

    [event] = kept.events
    [exception] = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("ValueError", "no route to +14***01")
    assert "vars" not in json.dumps(event)
    assert not [value for value in PRIVATE if value in json.dumps(event)]


def test_outgoing_requests_have_no_trace_headers(kept: Kept) -> None:
    assert not should_propagate_trace(sentry_sdk.get_client(), "https://provider.example.com/send")


def test_an_error_that_was_logged_is_reported_without_extras(kept: Kept) -> None:
    record = logging.LogRecord("name", logging.ERROR, "path", 1, "failed for %s", ("+14155550101",), None)
    record.request = "Nobody else may read this"

    EventHandler().emit(record)

    [event] = kept.events
    assert not [value for value in PRIVATE if value in json.dumps(event)]


def test_of_a_request_only_method_and_path_are_left() -> None:
    request = {
        "method": "POST",
        "url": "https://sms.example.org/api/v1/messages/",
        "query_string": "to=%2B14155550101",
        "data": {"to": "+14155550101", "message": "Nobody else may read this"},
        "headers": {"Authorization": "Bearer swb-token"},
        "cookies": {"sessionid": "hunter2"},
        "env": {"REMOTE_ADDR": "203.0.113.7"},
    }
    event = {"request": request, "user": {"username": "hunter2"}, "extra": {"body": "Nobody else may read this"}}
    event["contexts"] = {"celery-job": {"args": ["+14155550101"]}, "runtime": {"name": "CPython"}}

    scrubbed = sentry.scrub(event, {})

    assert scrubbed == {
        "request": {"method": "POST", "url": "https://sms.example.org/api/v1/messages/"},
        "contexts": {"runtime": {"name": "CPython"}},
    }


def test_no_personal_data_is_requested(settings) -> None:
    settings.SENTRY_DSN = "https://key@sentry.invalid/1"

    options = sentry.options()

    assert options["before_send"] is sentry.scrub
    assert not {"send_default_pii", "data_collection"} & set(options)  # personal data is omitted by default
    assert (options["include_local_variables"], options["max_breadcrumbs"]) == (False, 0)
    assert options["max_request_body_size"] == "never"
