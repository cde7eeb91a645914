"""What one transaction handled and emitted, and the spans that tell of it.

An order's trace is that in which a service first met it (table `traces`, sampled orders only). What is emitted about
the order goes on in it, also where a request with a trace of its own was the cause: the span is linked to that.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from opentelemetry.trace import Span, SpanContext, SpanKind
from opentelemetry.util.types import AttributeValue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.codec import Record
from oms_events.envelope import EventMeta, Received
from oms_events.registry import Event
from oms_events.runtime.observed import current_request
from oms_events.runtime.tracing import (
    Tracing,
    context_of,
    derived_span_id,
    is_sampled,
    order_of,
    short_name,
    trace_id_of,
    write,
)

_RECALL = text(
    """
    with asked as (
        select * from unnest(cast(:orders as uuid[]), cast(:parents as text[])) as asked(order_id, traceparent)
    ), known as (
        select order_id, traceparent from traces where order_id = any(cast(:orders as uuid[]))
    ), met as (
        insert into traces (order_id, traceparent)
        select order_id, traceparent from asked
         where traceparent is not null and not exists (select 1 from known where known.order_id = asked.order_id)
         order by order_id
        on conflict (order_id) do update set traceparent = traces.traceparent
        returning order_id, traceparent
    )
    select * from known union all select * from met
    """
)
_FORGET = text("delete from traces where met_at < now() - make_interval(days => :days)")


class _Handled(NamedTuple):
    received: Received[Event]
    record: Record
    started_ns: int
    ended_ns: int


class _Emitted(NamedTuple):
    cause: EventMeta
    order_id: UUID | None


async def forget(connection: AsyncConnection, *, days: int) -> None:
    """Forget the traces of orders first met so long ago."""
    await connection.execute(_FORGET, {"days": days})


class Trail:
    """What one transaction handled and emitted. Spans begin when it is about to commit and are told when it has."""

    def __init__(self, tracing: Tracing, group: str) -> None:
        self._tracing = tracing
        self._group = group
        self._request = current_request()
        self._handled: dict[str, _Handled] = {}
        self._emitted: list[_Emitted] = []
        self._spans: dict[tuple[str, str], tuple[Span, int]] = {}

    def handled(self, run: Sequence[Received[Event]], records: Mapping[str, Record], started_ns: int) -> None:
        """A handler has come back."""
        ended_ns = time.time_ns()
        for received in run:
            self._handled[received.meta.id] = _Handled(received, records[received.meta.id], started_ns, ended_ns)

    def repeated(self, received: Received[Event], record: Record) -> None:
        """An event came that was applied before: perhaps by a process that did not live to tell."""
        if is_sampled(received.meta.traceparent) and not self._tracing.has_told(received.meta.id):
            now = time.time_ns()
            self._handled.setdefault(received.meta.id, _Handled(received, record, now, now))

    def emitted(self, cause: EventMeta, event: Event) -> None:
        """An event goes out when this commits."""
        self._emitted.append(_Emitted(cause, order_of(event)))

    async def settle(self, connection: AsyncConnection, records: Sequence[Record]) -> Sequence[Record]:
        """Begin the spans, and answer the records with each one's own as parent of what will follow from it."""
        orders = await self._orders(connection)
        for handled in self._handled.values():
            meta = handled.received.meta
            if is_sampled(meta.traceparent):
                self._span(meta, None, meta.traceparent)
        return [self._told(record, told, orders) for record, told in zip(records, self._emitted, strict=True)]

    def tell(self) -> None:
        """It has committed."""
        for span, ended_ns in self._spans.values():
            span.end(ended_ns)
        for event_id, handled in self._handled.items():
            if is_sampled(handled.received.meta.traceparent):
                self._tracing.remember_told(event_id)

    async def _orders(self, connection: AsyncConnection) -> Mapping[UUID, str]:
        """The trace of each order that this transaction is about: that in which it was met first."""
        met: dict[UUID, str | None] = {}
        for handled in self._handled.values():
            traceparent, order_id = handled.received.meta.traceparent, order_of(handled.received.event)
            if order_id is not None and is_sampled(traceparent):
                met.setdefault(order_id, traceparent)
        for cause, order_id in self._emitted:
            if order_id is not None and met.get(order_id) is None:
                met[order_id] = self._own(cause)
        if not met:
            return {}
        rows = await connection.execute(_RECALL, {"orders": list(met), "parents": list(met.values())})
        return {row.order_id: row.traceparent for row in rows}

    def _own(self, cause: EventMeta) -> str | None:
        """The sampled trace in which something was caused."""
        if is_sampled(cause.traceparent):
            return cause.traceparent
        return None if self._request is None else self._request.sampled_traceparent()

    def _told(self, record: Record, told: _Emitted, orders: Mapping[UUID, str]) -> Record:
        own = self._own(told.cause)
        parent = orders.get(told.order_id, own) if told.order_id is not None else own
        if parent is None:
            return record
        if own is not None and trace_id_of(own) == trace_id_of(parent):
            parent = own
        if parent is own and told.cause.id not in self._handled and not is_sampled(told.cause.traceparent):
            traceparent = parent  # a request: its own span is the one that did it
        else:
            traceparent = write(self._span(told.cause, told.order_id, parent, link=own).get_span_context())
        headers = [header for header in record.headers if header[0] != "traceparent"]
        return record._replace(headers=[*headers, ("traceparent", traceparent.encode())])

    def _span(self, cause: EventMeta, order_id: UUID | None, parent: str | None, *, link: str | None = None) -> Span:
        context = context_of(parent)
        assert context is not None
        slot = (cause.id, f"{context.trace_id:032x}")
        if slot not in self._spans:
            linked = context_of(link) if link is not None and link != parent else None
            handled = self._handled.get(cause.id)
            if handled is not None:
                span = self._tracing.process(
                    self._group,
                    handled.record,
                    handled.received,
                    handled.started_ns,
                    parent=context,
                    link=linked,
                    order_id=order_id,
                )
                self._spans[slot] = span, handled.ended_ns
            else:
                self._spans[slot] = self._timed(cause, order_id, context, linked), time.time_ns()
        return self._spans[slot][0]

    def _timed(self, cause: EventMeta, order_id: UUID | None, parent: SpanContext, link: SpanContext | None) -> Span:
        """What no event caused: a deadline, a job, a command about an order whose trace is another."""
        what = cause.subject.split("/", 1)[0] or short_name(cause.type)
        attributes: dict[str, AttributeValue] = {"oms.cause": what}
        return self._tracing.start(
            what,
            SpanKind.INTERNAL,
            parent=parent,
            span_id=derived_span_id(self._group, cause.id, f"{parent.trace_id:032x}"),
            links=[] if link is None else [link],
            attributes=attributes | ({} if order_id is None else {"oms.order_id": str(order_id)}),
        )


def trail_of(tracing: Tracing, group: str) -> Trail | None:
    """What a transaction writes down, or None when tracing is off."""
    return Trail(tracing, group) if tracing.on else None
