"""Send OpenTelemetry spans: one for a run, one for each migration, one for each statement recorded by itself. An edge.

Called by `runner`. Off unless the standard's variables name a collector; a trace that cannot be sent is told and stops
nothing. Under `pulumi up --otel-traces` the spans go where Pulumi's own go.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/,
https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infra.connection import Target
from infra.errors import ChatdbError
from infra.migrations.model import Event
from infra.migrations.options import Report
from infra.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PULUMI_S = "PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT"  # set by `pulumi up --otel-traces`: it collects by gRPC without TLS
TIMEOUT_S = 3  # for one attempt to send, in seconds, where OTEL_EXPORTER_OTLP_TIMEOUT says nothing
RUN, WITHIN = 0, 1  # depth of a run's span, and of those in it


@contextlib.contextmanager
def traced(operation: str, target: Target, report: Report) -> Iterator[Report]:
    """Give the callback that a run is to report to: the given one, which traces too where a collector is named.

    Args:
        operation: What is done: "apply", "rollback", "baseline".
        target: The database; its host and name go along, nothing else of it.
        report: Told each step, and that no trace could be sent.
    """
    provider: TracerProvider | None = None
    failures: list[str] = []
    try:
        if any(os.environ.get(name) for name in (*ENDPOINTS, PULUMI_S)):
            provider, failures = _provider()
    except Exception as error:  # whatever the SDK raises of its many variables
        report(Event(kind="untraced", text=f"no trace is made, for a variable OTEL_… cannot be taken: {error}"))
    if provider is None:
        yield report
        return
    spans = _Spans(provider.get_tracer("chatdb", VERSION), f"chatdb {operation}", target, report)
    try:
        yield spans
    except BaseException as error:
        spans.fail(error)
        raise
    finally:
        spans.end(RUN)
        provider.force_flush()
        if failures:
            failures.clear()
            said = "no trace of this reached the collector that OTEL_EXPORTER_OTLP_ENDPOINT names; all else went on"
            report(Event(kind="untraced", text=said))


class _Spans:
    """The spans that are open, the run's own first. What the runner reports begins and ends them."""

    def __init__(self, tracer: Tracer, name: str, target: Target, report: Report) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._report = report
        self._where: dict[str, str | int] = {
            "db.system.name": "postgresql",
            "db.namespace": target.database,
            "server.address": target.host,
            "server.port": target.port,
        }
        parent = {"traceparent": os.environ.get("TRACEPARENT", "")}
        self._open: list[Span] = []
        self._begin(name, context=TraceContextTextMapPropagator().extract(parent))

    def __call__(self, event: Event) -> None:
        """Take one event and hand it on."""
        match event.kind:
            case "executing" if event.statement:
                self.end(WITHIN + 1)
                self._begin(f"{event.migration} statement {event.statement}", **{"chatdb.migration": event.migration})
            case "executing":
                self.end(WITHIN)
                self._begin(event.migration, **{"chatdb.migration": event.migration})
            case "connecting" | "verifying":
                self.end(WITHIN)
                self._begin(event.text.partition(" ")[0])
            case "connected" | "applied" | "rolled back" | "verified":
                self.end(WITHIN)
            case _:
                self._open[-1].add_event(event.kind, {"message": event.text})
        self._report(event)

    def _begin(self, name: str, context: Any = None, **attributes: str) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        if self._open:
            context = set_span_in_context(self._open[-1])
        self._open.append(
            self._tracer.start_span(
                name, context=context, kind=SpanKind.CLIENT, attributes={**self._where, **attributes}
            )
        )

    def end(self, depth: int) -> None:
        """End the spans of this depth and those within them."""
        while len(self._open) > depth:
            self._open.pop().end()

    def fail(self, error: BaseException) -> None:
        """Mark the spans that are open: by what happened, without its details, which may hold people's words."""
        from opentelemetry.trace import Status, StatusCode

        name = type(error).__name__
        ours = error if isinstance(error, ChatdbError) else ChatdbError(name)
        for span in self._open:
            span.set_attributes({"error.type": name, "db.response.status_code": ours.sqlstate or ""})
            span.set_status(Status(StatusCode.ERROR, ours.message))


@functools.cache
def _provider() -> tuple[TracerProvider | None, list[str]]:
    """Return who makes spans, if anybody does, and the list in which failures to send them are noted."""
    import logging

    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    named = any(map(os.environ.get, ENDPOINTS))
    endpoint, insecure = (None, None) if named else (os.environ.get(PULUMI_S), True)
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    failures: list[str] = []
    if disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None, failures

    class Exporter(OTLPSpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                failures.append(result.name)
            return result

    # It complains at length; what it means for the run is said by `traced`.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    made = TracerProvider(resource=Resource({"service.name": "chatdb"}).merge(OTELResourceDetector().detect()))
    timeout = None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else TIMEOUT_S
    made.add_span_processor(BatchSpanProcessor(Exporter(endpoint=endpoint, insecure=insecure, timeout=timeout)))
    return made, failures
