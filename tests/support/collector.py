"""An OpenTelemetry collector: takes traces by gRPC, as any does, and keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What it was sent.

    Attributes:
        endpoint: Where it listens, as OTEL_EXPORTER_OTLP_ENDPOINT names it.
        spans: The spans, as the protocol has them.
        resource: What they say of who sent them.
        scope_version: And of which version of it.
    """

    endpoint: str = ""
    spans: list[Any] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)
    scope_version: str = ""

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Take what is sent."""
        for group in request.resource_spans:
            self.resource |= {one.key: one.value.string_value for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.scope_version = scope.scope.version
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    def tree(self) -> dict[str, str]:
        """Return the name of each span with that of the one around it."""
        names = {span.span_id: span.name for span in self.spans}
        return {span.name: names.get(span.parent_span_id, span.parent_span_id.hex()) for span in self.spans}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port of this machine for the length of the block."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
