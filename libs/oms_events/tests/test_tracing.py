"""Trace contexts, ids and where spans go; what spans tell of orders is tested with whole systems."""

import threading
import time
from collections.abc import Sequence
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from oms_events.runtime import tracing
from oms_events.runtime.tracing import Tracing, context_of, derived_span_id, is_sampled, order_trace_id, write

TRACE, SPAN = "a" * 32, "b" * 16
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("said", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (GOOD + "\n", False),
        ("1", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_sound_context_that_says_so_is_sampled(said: str | None, sampled: bool) -> None:
    assert is_sampled(said) == sampled


def test_a_context_is_read_and_written() -> None:
    context = context_of(GOOD)
    assert context is not None
    assert write(context) == GOOD
    assert context_of("00-nonsense") is None


def test_an_orders_trace_is_told_by_its_id() -> None:
    order_id = UUID("aaaaaaaa-aaaa-aaaa-bbbb-bbbbbbbbbbbb")
    assert f"{order_trace_id(order_id):032x}" == "b" * 16 + "a" * 16


def test_the_same_step_is_the_same_span() -> None:
    assert derived_span_id("orders.flow", "1") == derived_span_id("orders.flow", "1")
    assert len({derived_span_id("orders.flow", str(n)) for n in range(1000)}) == 1000
    assert derived_span_id("a", "b") != derived_span_id("ab", "")


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
async def test_the_standard_variables_turn_it_on(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], on: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Tracing.from_environment("orders")
    assert made.on == on
    await made.close()


async def test_a_span_has_the_ids_it_is_given_once() -> None:
    exporter = InMemorySpanExporter()
    made = Tracing("orders", exporter)
    made.start("one", SpanKind.SERVER, parent=None, trace_id=7, span_id=8).end()
    made.start("two", SpanKind.SERVER, parent=None).end()
    made.start("three", SpanKind.SERVER, parent=context_of(GOOD), trace_id=7, span_id=9).end()
    await made.flush()
    one, two, three = ((s.context.trace_id, s.context.span_id) for s in exporter.get_finished_spans() if s.context)
    assert one == (7, 8)
    assert two[0] != 7
    assert three == (int(TRACE, 16), 9)
    await made.close()


class Stuck(SpanExporter):
    """A collector that takes a connection and says nothing."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - it looks at nothing
        self.release.wait(30)
        return SpanExportResult.FAILURE


async def _waited(made: Tracing) -> float:
    """Seconds that a flush of one more span took."""
    made.start("one", SpanKind.SERVER, parent=None).end()
    began = time.monotonic()
    await made.flush()
    return time.monotonic() - began


@pytest.mark.parametrize(("slow_s", "waited_for_again"), [(0.0, False), (60.0, True)], ids=["away", "slow"])
async def test_a_collector_that_does_not_answer_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch, slow_s: float, waited_for_again: bool
) -> None:
    monkeypatch.setattr(tracing, "_FLUSH_S", 0.2)
    monkeypatch.setattr(tracing, "_SLOW_S", slow_s)
    exporter = Stuck()
    made = Tracing("orders", exporter)
    assert 0.1 < await _waited(made) < 5
    assert await _waited(made) < 0.1, "it waits for it a second time"
    exporter.release.set()
    assert made._flushing is not None
    await made._flushing
    exporter.release.clear()
    assert (await _waited(made) > 0.1) == waited_for_again
    exporter.release.set()
    await made.close()
