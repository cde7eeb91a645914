"""Logs, metrics and traces. Names of metrics and attributes live here and nowhere else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from oms_events.envelope import Batch
from oms_events.registry import Event
from oms_events.runtime import logs

RECORDS = Counter("oms_consumer_records_total", "Records taken from Kafka", ["group", "type", "outcome"])
BATCH_SIZE = Histogram(
    "oms_consumer_batch_size",
    "Records of one transaction",
    ["group"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
HANDLE_SECONDS = Histogram(
    "oms_consumer_handle_seconds",
    "Time of one transaction",
    ["group"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
EVENT_AGE = Histogram(
    "oms_event_age_seconds",
    "From an event's time to its handling",
    ["group"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
)
LAG = Gauge(
    "oms_consumer_lag_records", "Records not yet applied, of the partitions this process reads", ["group", "topic"]
)
OLDEST = Gauge(
    "oms_consumer_oldest_seconds", "Age of the oldest record not yet applied, 0 when there is none", ["group"]
)
LOOP_SILENT = Gauge("oms_loop_silent_seconds", "Since a loop last came round, at the last look", ["service", "loop"])
STAGE_CPU = Counter(
    "oms_stage_cpu_seconds_total", "CPU time of a consumer's thread by stage of its work", ["group", "stage"]
)
RETRIES = Counter("oms_retries_total", "Attempts that failed and are repeated", ["group", "error"])
DEAD_LETTERS_OPEN = Gauge("oms_dead_letters_open", "Dead and parked letters that wait for somebody", ["service"])
PUBLISHED = Counter("oms_published_total", "Records acknowledged by the broker", ["topic"])
RELAYED = Counter("oms_relay_rows_total", "Outbox rows that the relay had to publish", ["service"])
OUTBOX_ROWS = Gauge("oms_outbox_rows", "Outbox rows not yet published", ["service"])
OUTBOX_AGE = Gauge("oms_outbox_oldest_seconds", "Age of the oldest unpublished outbox row", ["service"])

_propagator = TraceContextTextMapPropagator()


def configure(service: str, *, level: str, log_format: Literal["console", "json"]) -> None:
    """Set up structured logs on standard error, and traces when an OTLP endpoint is named in the environment."""
    logs.configure(service, level=level, log_format=log_format)
    if tracing():
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"oms-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)


def tracing() -> bool:
    """True when spans have somewhere to go."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


@contextmanager
def handling(name: str, batch: Batch[Event]) -> Iterator[None]:
    """A consumer span around the handling of a batch, linked to every trace that its events belong to."""
    if not tracing():
        yield
        return
    parents = dict.fromkeys(received.meta.traceparent for received in batch)
    contexts = (_propagator.extract({"traceparent": parent}) for parent in parents if parent)
    links = [trace.Link(trace.get_current_span(context).get_span_context()) for context in contexts]
    tracer = trace.get_tracer("oms_events")
    with tracer.start_as_current_span(f"process {name}", kind=trace.SpanKind.CONSUMER, links=links):
        yield
