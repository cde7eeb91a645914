"""A collector of spans: a small HTTP server that takes OTLP as OpenTelemetry's own would, and keeps what it is told."""

import gzip
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Told
from opentelemetry.proto.trace.v1.trace_pb2 import Status

_ROOT = "0" * 16


@dataclass(frozen=True, slots=True)
class Span:
    """A span as the collector got it."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first of a trace."""
    name: str
    kind: str
    service: str
    instance: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    failed: bool
    started_ns: int
    ended_ns: int


class Collector:
    """What was told so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        """Where to send spans: the value of OTEL_EXPORTER_OTLP_TRACES_ENDPOINT."""
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._bodies: list[bytes] = []

    def take(self, body: bytes) -> None:
        """Keep an export request."""
        spans = [
            _span(told, {pair.key: _value(pair.value) for pair in group.resource.attributes})
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for told in scope.spans
        ]
        with self._lock:
            self._bodies.append(body)
            self._spans += spans

    def spans(self) -> list[Span]:
        """Every span once: the same told again, after a crash, is the same."""
        with self._lock:
            return list({(span.trace_id, span.span_id): span for span in self._spans}.values())

    def told(self) -> int:
        """How many spans came, those told again too."""
        with self._lock:
            return len(self._spans)

    def raw(self) -> bytes:
        """Everything as it came over the wire."""
        with self._lock:
            return b"\n".join(self._bodies)

    def trace_of(self, order_id: object) -> list[Span]:
        """Every span of the traces that say something of an order."""
        traces = {span.trace_id for span in self.about(order_id)}
        return [span for span in self.spans() if span.trace_id in traces]

    def about(self, order_id: object) -> list[Span]:
        """Spans that name an order."""
        return [span for span in self.spans() if span.attributes.get("oms.order_id") == str(order_id)]


def roots(spans: Sequence[Span]) -> list[Span]:
    """Spans without a parent."""
    return [span for span in spans if not span.parent_id]


def orphans(spans: Sequence[Span]) -> list[Span]:
    """Spans whose parent nobody told of."""
    known = {(span.trace_id, span.span_id) for span in spans}
    return [span for span in spans if span.parent_id and (span.trace_id, span.parent_id) not in known]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector at work on a port of its own."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}/v1/traces")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _span(told: Told, resource: dict[str, Any]) -> Span:
    return Span(
        trace_id=told.trace_id.hex(),
        span_id=told.span_id.hex(),
        parent_id=told.parent_span_id.hex().replace(_ROOT, ""),
        name=told.name,
        kind=Told.SpanKind.Name(told.kind).removeprefix("SPAN_KIND_").lower(),
        service=str(resource.get("service.name", "")),
        instance=str(resource.get("service.instance.id", "")),
        attributes={pair.key: _value(pair.value) for pair in told.attributes},
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in told.links),
        failed=told.status.code == Status.STATUS_CODE_ERROR,
        started_ns=told.start_time_unix_nano,
        ended_ns=told.end_time_unix_nano,
    )


def _value(value: AnyValue) -> Any:  # noqa: ANN401 - an attribute is of any of these kinds
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
