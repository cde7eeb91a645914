"""Traces: one per order, through batches, told as spans of what was committed.

An order's trace is begun by the gateway, or by its caller. Every service remembers the trace in which it first met an
order (table `traces`, sampled orders only), so that what comes later with a request of its own (a warehouse's report, a
carrier's scan, a deadline) goes on in the order's trace, linked to what brought it.

Spans are made at the end of a transaction, one for each sampled event that it handled, and told once it has
committed: what was rolled back never happened. Their ids derive from event and consumer, so a second delivery tells the
same span again. A command or a deadline comes only once: if its process is killed right after the commit its span is
lost, and what it caused names a parent that nobody told of. With tracing off none of this runs.
"""

import asyncio
import hashlib
import os
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from oms_events.codec import Record
from oms_events.envelope import Received
from oms_events.registry import Event

Attributes = Mapping[str, AttributeValue]

_FLUSH_S = 1.0
_LET_BE_S = 30.0
"""How long nobody waits for a collector that did not answer in time."""
_SLOW_S = 5.0
"""Who answers within this is slow, not away: an exporter that reaches nobody tries for longer."""
_TOLD_LIMIT = 20_000
_QUEUE = 16_384
_DELAY_MS = 500.0

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)


# --- trace context ----------------------------------------------------------------------------------------------------


def context_of(traceparent: str | None) -> SpanContext | None:
    """What a W3C traceparent says, or None where it says nothing."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    flags = TraceFlags(int(found["flags"], 16) & TraceFlags.SAMPLED)
    return SpanContext(int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=flags)


def is_sampled(traceparent: str | None) -> bool:
    """Whether somebody wants to see this trace: the lowest bit of the flags."""
    if not traceparent or traceparent[-1] not in "13579bdf":
        return False
    return _TRACEPARENT.fullmatch(traceparent) is not None


def trace_id_of(traceparent: str) -> str:
    """The trace that a traceparent belongs to."""
    return traceparent[3:35]


def order_trace_id(order_id: UUID) -> int:
    """The trace of an order whose caller began none: its id with the halves swapped.

    Samplers decide by the lower half of a trace id, and in a UUID that half begins with constant bits.
    """
    return (order_id.int & (2**64 - 1)) << 64 | order_id.int >> 64


def write(context: SpanContext) -> str:
    """A span as the traceparent of what it causes."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


def order_of(event: Event) -> UUID | None:
    """The order that an event is about, if it names one."""
    order_id = getattr(event, "order_id", None)
    return order_id if isinstance(order_id, UUID) else None


def derived_span_id(*identity: str) -> int:
    """The same step is the same span."""
    return int.from_bytes(hashlib.blake2b("\n".join(identity).encode(), digest_size=8).digest()) or 1


def _traceparent_in(record: Record) -> str | None:
    """The traceparent of a record, if it is one that somebody wants to see. The codec writes it last."""
    for name, value in reversed(record.headers):
        if name == "traceparent":
            said = (value or b"").decode(errors="replace")
            return said if is_sampled(said) else None
    return None


def _header(record: Record, wanted: str) -> str:
    return next(((value or b"").decode(errors="replace") for name, value in record.headers if name == wanted), "")


def short_name(type_: str) -> str:
    """`OrderPlaced` of `oms.orders.OrderPlaced.v1`."""
    return type_.split(".")[2] if type_.count(".") == 3 else type_


def event_attributes(event_id: str, type_: str, order_id: str | None) -> dict[str, AttributeValue]:
    """What every span about an event says of it."""
    said: dict[str, AttributeValue] = {
        "messaging.message.id": event_id,
        "cloudevents.event_id": event_id,
        "cloudevents.event_type": type_,
    }
    return said | {"oms.order_id": order_id} if order_id else said


# --- where spans go ---------------------------------------------------------------------------------------------------


class _ChosenIds(RandomIdGenerator):
    """Random ids, but for a span that is given one."""

    def __init__(self) -> None:
        self.trace_id: int | None = None
        self.span_id: int | None = None

    def generate_trace_id(self) -> int:
        chosen, self.trace_id = self.trace_id, None
        return super().generate_trace_id() if chosen is None else chosen

    def generate_span_id(self) -> int:
        chosen, self.span_id = self.span_id, None
        return super().generate_span_id() if chosen is None else chosen


class Tracing:
    """The spans of one service's process. Without an exporter it is off, and nothing of it is called for an event."""

    def __init__(self, service: str, exporter: SpanExporter | None = None, *, instance: str = "") -> None:
        self.on = exporter is not None
        self._provider: TracerProvider | None = None
        self._told: OrderedDict[str, None] = OrderedDict()
        self._flushing: asyncio.Task[None] | None = None
        self._unflushed = False
        self._let_be_until = 0.0
        self._ids = _ChosenIds()
        if exporter is not None:
            resource = Resource.create(
                {
                    "service.name": f"oms-{service}",
                    "service.namespace": "oms",
                    "service.instance.id": instance or f"{socket.gethostname()}-{os.getpid()}",
                }
            )
            # The sampler is that of OTEL_TRACES_SAMPLER; what a caller decided stays decided.
            self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
            queue = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", _QUEUE))
            delay = float(os.environ.get("OTEL_BSP_SCHEDULE_DELAY", _DELAY_MS))
            self._provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=queue, schedule_delay_millis=delay)
            )
            self._tracer = self._provider.get_tracer("oms_events")

    @classmethod
    def from_environment(cls, service: str, *, instance: str = "") -> "Tracing":
        """On when the standard variables name an OTLP endpoint."""
        said = os.environ
        endpoint = said.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or said.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        refused = said.get("OTEL_SDK_DISABLED", "").lower() == "true" or said.get("OTEL_TRACES_EXPORTER") == "none"
        return cls(service, OTLPSpanExporter() if endpoint and not refused else None, instance=instance)

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: SpanContext | None,
        trace_id: int | None = None,
        span_id: int | None = None,
        links: Iterable[SpanContext] = (),
        attributes: Attributes | None = None,
        started_ns: int | None = None,
    ) -> Span:
        """A span that has begun. `trace_id` counts only where there is no parent. Call it only when tracing is on."""
        self._ids.trace_id = trace_id if parent is None else None
        self._ids.span_id = span_id
        # A context of its own, so that nothing that is current by accident becomes the parent.
        around = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        self._unflushed = True
        return self._tracer.start_span(
            name, around, kind, attributes, [Link(link) for link in links], start_time=started_ns
        )

    def published(self, records: Sequence[Record], since_ns: int, *, by: str) -> None:
        """Tell that the broker has records of sampled traces: a span each, beside those of who reads them."""
        if not self.on:
            return
        for record in records:
            if (traceparent := _traceparent_in(record)) is not None:
                event_id, type_ = _header(record, "ce_id"), _header(record, "ce_type")
                self.start(
                    f"send {short_name(type_)}",
                    SpanKind.PRODUCER,
                    parent=context_of(traceparent),
                    span_id=derived_span_id("send", event_id),
                    started_ns=since_ns,
                    attributes=event_attributes(event_id, type_, None)
                    | {
                        "messaging.system": "kafka",
                        "messaging.operation.name": "send",
                        "messaging.operation.type": "send",
                        "messaging.destination.name": record.topic,
                        "oms.published_by": by,
                    },
                ).end()

    def failed(self, group: str, record: Record, received: Received[Event], error: str) -> None:
        """Tell that an event became a dead letter: a span of its own, since a replay may yet succeed."""
        if self.on and is_sampled(received.meta.traceparent):
            parent = context_of(received.meta.traceparent)
            span = self.process(group, record, received, time.time_ns(), parent=parent, attempt="dead")
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
            span.end()

    def process(
        self,
        group: str,
        record: Record,
        received: Received[Event],
        started_ns: int,
        *,
        parent: SpanContext | None,
        link: SpanContext | None = None,
        order_id: UUID | None = None,
        attempt: str = "",
    ) -> Span:
        """The span of an event's handling, in the trace of its parent."""
        assert parent is not None
        meta = received.meta
        order_id = order_id or order_of(received.event)
        attributes = event_attributes(meta.id, meta.type, None if order_id is None else str(order_id)) | {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": received.event.topic.name,
            "messaging.consumer.group.name": group,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        }
        return self.start(
            f"process {short_name(meta.type)}",
            SpanKind.CONSUMER,
            parent=parent,
            span_id=derived_span_id(group, meta.id, f"{parent.trace_id:032x}", attempt),
            links=[] if link is None else [link],
            attributes=attributes,
            started_ns=started_ns,
        )

    def remember_told(self, event_id: str) -> None:
        """That this process has told of an event."""
        self._told[event_id] = None
        if len(self._told) > _TOLD_LIMIT:
            self._told.popitem(last=False)

    def has_told(self, event_id: str) -> bool:
        """Whether this process has: one that was killed may have taken its last spans with it."""
        return event_id in self._told

    async def flush(self) -> None:
        """Hand spans to the collector before what they tell of is marked as read; whoever is killed in between reads,
        and tells, it again. Never waits long, nor soon again for a collector that is away."""
        if not self._unflushed or self._provider is None or time.monotonic() < self._let_be_until:
            return
        if self._flushing is None or self._flushing.done():
            self._unflushed = False
            self._flushing = asyncio.create_task(asyncio.to_thread(self._flush, self._provider))
        began = time.monotonic()
        _, late = await asyncio.wait([self._flushing], timeout=_FLUSH_S)
        if late:
            self._let_be_until = began + _LET_BE_S
            self._flushing.add_done_callback(lambda _: self._answered_after(time.monotonic() - began))

    def _answered_after(self, seconds: float) -> None:
        if seconds < _SLOW_S:
            self._let_be_until = 0.0

    @staticmethod
    def _flush(provider: TracerProvider) -> None:
        provider.force_flush(int(_FLUSH_S * 1000))

    async def close(self, timeout_s: float = 5.0) -> None:
        """Tell what is left, if somebody listens."""
        if self._provider is not None:
            provider, self._provider, self.on = self._provider, None, False
            closing = asyncio.create_task(asyncio.to_thread(provider.shutdown))
            await asyncio.wait([closing], timeout=timeout_s)


OFF = Tracing("nobody")
