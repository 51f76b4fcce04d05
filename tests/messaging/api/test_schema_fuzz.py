"""The served schema, fuzzed: no request causes a 500 or a response that violates the schema."""

import base64
import contextlib
from collections.abc import Callable, Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from messaging.services import installation
from tests.factories import (
    AttemptFactory,
    EventFactory,
    MessageFactory,
    PhoneNumberFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.api.conftest import Api

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NUMBER = "+14155550101"


def closing(environ: dict, start_response: Callable) -> list[bytes]:
    """Close the response, and with it the files of the request: servers do so, but the fuzzer does not."""
    with contextlib.closing(application(environ, start_response)) as answer:
        return [b"".join(answer)]


schema = schemathesis.openapi.from_wsgi("/api/schema/", closing)
schema_of_rows = schemathesis.openapi.from_wsgi("/api/schema/", closing)
schema_of_rows.config.phases.update(phases=["examples", "fuzzing"])  # every boundary is covered by the first


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """As Django's own test client does: the end of a request must not close the test's connection."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def known(api: Api, settings) -> dict[str, dict[str, str]]:
    """The headers of a client that may do everything, and rows that paths can name."""
    settings.RATE_LIMIT_PER_TOKEN = "1000000/s"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    api.user.groups.set(installation.Group.objects.all())
    message = MessageFactory(owner=api.user, to_number=NUMBER, status="failed")
    AttemptFactory(message=message, outcome="unavailable")
    EventFactory(message=message)
    PhoneNumberFactory(number=NUMBER)
    # One id names a row of each kind.
    delivery = WebhookDeliveryFactory(endpoint__pk=message.pk, endpoint__owner=api.user)
    user = UserFactory(username="ada")
    user.set_password("secret")
    user.save()
    basic = base64.b64encode(b"ada:secret").decode()
    return {
        "headers": {"Authorization": f"Bearer {api.token}"},
        "log_in": {"Authorization": f"Basic {basic}"},
        "path": {
            "id": str(message.pk),
            "number": NUMBER,
            "name": "express",
            "slug": "acme",
            "delivery_id": str(delivery.pk),
        },
    }


BOUNDED = settings(
    max_examples=5, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@schema.exclude(path_regex=r"/live/").parametrize()  # these need the server that waits: tests/messaging/live
@BOUNDED
def test_every_response_conforms_to_the_schema(case, known) -> None:
    # Not of the lists (an empty filter is as good as none), of a batch (a bad item is named in a 202) and of other systems'
    # payloads (what is not understood is ignored).
    lenient = case.method == "GET" or case.path.endswith("/batch/") or "/integrations/" in case.path
    rejection = [] if lenient else [negative_data_rejection]
    case.call_and_validate(headers=headers_for(case, known), checks=CHECKS + rejection)


@schema_of_rows.include(path_regex=r"\{").exclude(path_regex=r"/live/").parametrize()
@BOUNDED
def test_every_response_about_an_existing_row_conforms_to_the_schema(case, known) -> None:
    case.path_parameters = {name: known["path"][name] for name in case.path_parameters}

    case.call_and_validate(headers=headers_for(case, known), checks=CHECKS)


def headers_for(case, known) -> dict[str, str]:
    # Without a network the client does not decompress the encodings that it accepts.
    return {"Accept-Encoding": "identity", **known["log_in" if case.path.endswith("/auth/token/") else "headers"]}
