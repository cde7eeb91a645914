"""Spans of one service: once for what was committed, again after a process that did not live to tell, and no more."""

from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from sqlalchemy import text

from oms_events.codec import Record, decode
from oms_events.envelope import EventMeta
from oms_events.runtime.tracing import Tracing
from oms_events.testing.collector import Collector, collecting
from oms_events.testing.scenario import Scenario

from . import examples

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
OTHER = f"00-{'c' * 32}-{'d' * 16}-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url)
        yield collector


@pytest.fixture
def watched(collector: Collector, scenario: Scenario) -> Scenario:
    """Made after the collector: the environment says where it is."""
    return scenario


def told_in(scenario: Scenario, traceparent: str, no: str = "A-1") -> Record:
    event = examples.told(no)
    event_id = f"019ca000-0000-8000-8000-{int(no.partition('-')[2]):012}"
    meta = EventMeta(event_id, "/t", event.type, event.key(), scenario.now, event_id, traceparent=traceparent)
    return scenario.record(event, meta=meta)


def parents_of(records: list[Record]) -> list[str]:
    return [(decode(record).meta.traceparent or "")[36:52] for record in records]


async def published(scenario: Scenario) -> list[Record]:
    await scenario.runtime.publisher.drain()
    records, scenario._sink.records = scenario._sink.records, []
    return records


async def a_process_dies(scenario: Scenario, collector: Collector) -> None:
    """What it had not told is lost; another one takes its place."""
    scenario.runtime.runner._tracing = Tracing("orders", OTLPSpanExporter(endpoint=collector.url))


async def test_what_comes_again_after_a_crash_is_told_again(watched: Scenario, collector: Collector) -> None:
    await watched.given(examples.mapped("1"), examples.mapped("2"))
    record = told_in(watched, CALLER)
    await watched.runtime.runner.apply([record])
    (parent,) = parents_of(await published(watched))

    await watched.runtime.runner.apply([record])
    await a_process_dies(watched, collector)  # nothing was flushed yet
    await watched.runtime.runner.apply([record])
    assert await published(watched) == []
    await watched.runtime.runner._tracing.flush()
    (span,) = [span for span in collector.spans() if span.name == "process ChannelOrderReceived"]
    assert (span.span_id, span.parent_id, span.trace_id) == (parent, "b" * 16, "a" * 32)

    before = collector.told()
    await watched.runtime.runner.apply([record])
    await watched.runtime.runner._tracing.flush()
    assert collector.told() == before, "who lives does not repeat itself"


async def emit_and_fail(scenario: Scenario) -> None:
    async with scenario.transaction() as work:
        work.emit(examples.told(), cause=decode(told_in(scenario, CALLER)).meta)
        raise RuntimeError


async def test_what_is_rolled_back_is_not_told(watched: Scenario, collector: Collector) -> None:
    await watched.given(examples.mapped("1"), examples.mapped("2"))
    with pytest.raises(RuntimeError):
        await emit_and_fail(watched)
    await watched.runtime.tracing.flush()
    assert collector.spans() == []
    async with watched.runtime.connection() as connection:
        assert (await connection.execute(text("select count(*) from traces"))).scalar_one() == 0


async def test_each_event_of_a_batch_has_its_own_span_and_trace(watched: Scenario, collector: Collector) -> None:
    await watched.given(examples.mapped("1"), examples.mapped("2"))
    unsampled = f"00-{'e' * 32}-{'f' * 16}-00"
    batch = [told_in(watched, CALLER, "A-1"), told_in(watched, OTHER, "A-2"), told_in(watched, unsampled, "A-3")]
    await watched.runtime.runner.apply(batch)
    records = await published(watched)
    traces = {decode(record).event.key(): (decode(record).meta.traceparent or "")[3:35] for record in records}
    assert traces == {
        str(examples.ident("A-1")): "a" * 32,
        str(examples.ident("A-2")): "c" * 32,
        str(examples.ident("A-3")): "e" * 32,
    }
    await watched.runtime.tracing.flush()
    handled = [span for span in collector.spans() if span.kind == "consumer"]
    assert {span.trace_id for span in handled} == {"a" * 32, "c" * 32}
    assert len(handled) == 2


async def test_a_context_that_cannot_be_read_harms_nobody(watched: Scenario, collector: Collector) -> None:
    await watched.given(examples.mapped("1"), examples.mapped("2"))
    await watched.runtime.runner.apply([told_in(watched, "nonsense-01"), told_in(watched, "", "A-2")])
    assert len(await published(watched)) == 2
    assert await watched.dead_letters() == []
    await watched.runtime.tracing.flush()
    assert collector.spans() == []
