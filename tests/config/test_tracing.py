"""One trace from the request to the provider call, without private content."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from django.core.cache import cache
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from config.run.environment import BASE_DIR
from config.tracing import Tracing
from messaging import log_context
from messaging.models import Message
from messaging.services import installation
from messaging.services.installation import API_SENDER
from messaging.services.outbound.dispatch import sending
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers.contract.messages import Accepted
from providers.contract.sender import Capabilities
from tests.factories import AccountFactory
from tests.messaging.api.conftest import Api, member
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = pytest.mark.django_db
TEXT, NUMBER = "Nobody else may read this", "+14155550101"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Backend:
    """Collects all spans."""

    capabilities = Capabilities()

    def send(self, _text: object) -> Accepted:
        return Accepted("p1")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setattr("messaging.notifier.current_app.send_task", lambda *_args, **_options: None)
    exporter = InMemorySpanExporter()
    log_context.set_tracer(Tracing(SimpleSpanProcessor(exporter)))
    yield exporter
    log_context.set_tracer(None)


@pytest.fixture
def api(db) -> Api:
    installation.install()
    AccountFactory(slug="acme")
    return Api(member("client", API_SENDER))


def send(api: Api, monkeypatch: pytest.MonkeyPatch, **headers: str) -> Message:
    """Accept one message by the API and send it as a worker does."""
    monkeypatch.setattr(sending.registry, "backend_for", lambda _account: nullcontext(Backend()))
    answer = api.post("messages/", {"to": NUMBER, "message": TEXT, "reference": "order-42"}, **headers)
    assert answer.status_code == 202
    message = Message.objects.get()
    claimed = claim(queue_name="express", limit=1, now=message.created_at, lease=LEASE)
    [call] = start_attempts(claimed, now=message.created_at, lease=LEASE)
    assert sending.send(call).error is None
    return message


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_the_request_and_the_call_are_one_trace(spans, api, monkeypatch) -> None:
    message = send(api, monkeypatch)

    found = by_name(spans)
    request, call = found["HTTP POST"], found["provider call"]
    assert call.context.trace_id == request.context.trace_id
    assert call.parent.span_id == request.context.span_id
    assert dict(call.attributes) == {
        "switchboard.provider": "acme",
        "switchboard.attempt": 1,
        "switchboard.message_id": str(message.pk),
        "switchboard.outcome": "accepted",
    }
    assert request.attributes["http.route"] == "api/v1/messages/"
    assert request.attributes["http.response.status_code"] == 202


def test_the_clients_trace_continues(spans, api, monkeypatch) -> None:
    send(api, monkeypatch, traceparent=PARENT)

    assert {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()} == {PARENT.split("-")[1]}


def test_a_call_whose_request_is_no_longer_cached_has_its_own_trace(spans, api, monkeypatch) -> None:
    monkeypatch.setattr("config.tracing.cache.set_many", lambda *_args: [])
    send(api, monkeypatch)

    found = by_name(spans)
    assert found["provider call"].parent is None
    assert found["provider call"].context.trace_id != found["HTTP POST"].context.trace_id


def test_nothing_private_is_in_any_span(spans, api, monkeypatch) -> None:
    send(api, monkeypatch)
    api.get(f"messages/?to=%2B{NUMBER[1:]}&search={TEXT}")
    api.get(f"phone-numbers/{NUMBER}/")

    told = " ".join(span.to_json() for span in spans.get_finished_spans())
    assert len(spans.get_finished_spans()) == 4
    assert [value for value in (TEXT, NUMBER[1:], api.token, "order-42") if value in told] == []


def test_only_the_type_of_an_exception_is_recorded(spans) -> None:
    with pytest.raises(ValueError, match="Nobody"), log_context.tracer().request("GET", {}):
        raise ValueError(TEXT)

    [span] = spans.get_finished_spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert TEXT not in span.to_json()


@pytest.mark.parametrize("path", ["/healthz", "/healthz/system", "/readyz", "/metrics"])
def test_probes_are_not_traced(spans, client, path: str) -> None:
    client.get(path)

    assert spans.get_finished_spans() == ()


def test_while_traces_are_off_nothing_is_kept_and_nothing_imported(api, monkeypatch) -> None:
    message = send(api, monkeypatch)

    assert cache.get(f"trace:{message.pk}") is None
    program = "import django, sys; django.setup(); import config.urls; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    assert "messaging.log_context" in done.stdout.split()
    # redis-py imports OpenTelemetry's SDK by itself where it is installed.
    heavy = ("opentelemetry.exporter", "sentry_sdk", "config.tracing", "config.sentry")
    assert [name for name in done.stdout.split() if name.startswith(heavy)] == []
