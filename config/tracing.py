"""OpenTelemetry traces. Imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set.

The trace context of the request that created a message is cached in Redis for an hour under the message's id. If it is lost,
the provider call gets a trace of its own, with the same message id.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.core.cache import cache
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging import log_context

KEPT_SECONDS = 3600


def start() -> None:
    """Install the tracer. The exporter reads the OTEL_* variables from the environment."""
    log_context.set_tracer(Tracing(BatchSpanProcessor(OTLPSpanExporter())))


class Tracing:
    """The `Tracer` of `messaging.log_context`."""

    def __init__(self, processor: SpanProcessor) -> None:
        self.provider = TracerProvider(resource=Resource.create({"service.name": "switchboard"}))
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("switchboard")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        parent = self._propagator.extract({"traceparent": headers.get("traceparent", "")})
        attributes = {"http.request.method": method}
        with self._span(f"HTTP {method}", parent, SpanKind.SERVER, attributes) as span:
            yield span

    def keep(self, messages: Sequence[UUID]) -> None:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        if messages and "traceparent" in carrier:
            cache.set_many({_key(message): carrier["traceparent"] for message in messages}, KEPT_SECONDS)

    @contextmanager
    def call(self, message: UUID, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        kept = cache.get(_key(message))
        parent = self._propagator.extract({"traceparent": kept} if isinstance(kept, str) else {})
        about = {**attributes, "switchboard.message_id": str(message)}
        with self._span("provider call", parent, SpanKind.CLIENT, about) as span:
            yield span

    @contextmanager
    def _span(self, name: str, parent: Context, kind: SpanKind, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        """Record only the type of an exception: its text may quote private content."""
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise


def _key(message: UUID) -> str:
    return f"trace:{message}"
