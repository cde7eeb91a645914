"""Append-only records beside the orders: what was told, what came too early, and the timeline."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.envelope import EventMeta, Received
from oms_events.registry import Event, model_of
from oms_events.runtime.documents import to_document
from oms_events.runtime.together import Writing

_KEEP_TELLINGS = text(
    """
    insert into channel_orders (order_id, version, content_hash, document, received_at)
    select row.*, :now from unnest(cast(:ids as uuid[]), cast(:versions as bigint[]), cast(:hashes as bytea[]),
        cast(:documents as json[])) as row
    on conflict do nothing returning order_id, version, content_hash
    """
)
_KEEP_EARLY = text(
    """
    insert into early_facts (order_id, event_id, event_type, source, occurred_at, correlation_id, data)
    select * from unnest(cast(:order_ids as uuid[]), cast(:event_ids as uuid[]), cast(:types as text[]),
        cast(:sources as text[]), cast(:times as timestamptz[]), cast(:correlation_ids as text[]),
        cast(:data as text[]))
    """
)
_TAKE_EARLY = text(
    """
    delete from early_facts where order_id = any(cast(:ids as uuid[]))
    returning id, order_id, event_id, event_type, source, occurred_at, correlation_id, data
    """
)
_APPEND = text(
    """
    insert into timeline (order_id, at, kind, event_id, detail, led_to)
    select order_id, at, kind, event_id, cast(detail as json), string_to_array(led_to, ',')
      from unnest(cast(:order_ids as uuid[]), cast(:ats as timestamptz[]), cast(:kinds as text[]),
        cast(:event_ids as uuid[]), cast(:details as text[]), cast(:led_to as text[]))
        with ordinality as row(order_id, at, kind, event_id, detail, led_to, place)
     order by place
    """
)


@dataclass(frozen=True, slots=True)
class Telling:
    """One telling of an order by its channel, known by its content."""

    order_id: UUID
    version: int
    content_hash: bytes
    document: str


class Entry(NamedTuple):
    """One thing that happened to an order, and what the order made of it."""

    order_id: UUID
    at: datetime
    kind: str
    event_id: str
    detail: dict[str, Any]
    led_to: Sequence[str] = ()


async def keep_tellings(
    connection: AsyncConnection, tellings: Sequence[Telling], now: datetime
) -> set[tuple[UUID, int, bytes]]:
    """Keep what was told. Answers which tellings were not heard before."""
    rows = await connection.execute(
        _KEEP_TELLINGS,
        {
            "ids": [telling.order_id for telling in tellings],
            "versions": [telling.version for telling in tellings],
            "hashes": [telling.content_hash for telling in tellings],
            "documents": [telling.document for telling in tellings],
            "now": now,
        },
    )
    return {(row[0], row[1], row[2]) for row in rows}


async def keep_early(writing: Writing, facts: Sequence[tuple[UUID, Received[Event]]]) -> None:
    """Keep facts of orders that have not come yet."""
    if facts:
        metas = [received.meta for _, received in facts]
        await writing.execute(
            _KEEP_EARLY,
            {
                "order_ids": [order_id for order_id, _ in facts],
                "event_ids": [meta.id for meta in metas],
                "types": [meta.type for meta in metas],
                "sources": [meta.source for meta in metas],
                "times": [meta.time for meta in metas],
                "correlation_ids": [meta.correlationid for meta in metas],
                "data": [received.event.model_dump_json() for _, received in facts],
            },
        )


async def take_early(connection: AsyncConnection, order_ids: Collection[UUID]) -> list[tuple[UUID, Received[Event]]]:
    """The facts that came before these orders, in the order they came. They are taken: nobody keeps them on."""
    rows = (await connection.execute(_TAKE_EARLY, {"ids": list(order_ids)})).all()
    return [(row.order_id, _received(row)) for row in sorted(rows, key=lambda row: row.id)]


def _received(row: Any) -> Received[Event]:  # noqa: ANN401 - a row of SQLAlchemy has no better type
    model = model_of(row.event_type)
    if model is None:
        raise ValueError(f"early fact {row.id} is of the unknown type {row.event_type}")
    meta = EventMeta(
        str(row.event_id), row.source, row.event_type, str(row.order_id), row.occurred_at, row.correlation_id
    )
    return Received(meta, model.model_validate_json(row.data))


async def append(writing: Writing, entries: Sequence[Entry]) -> None:
    """Append to the timelines, in this order."""
    if entries:
        await writing.execute(
            _APPEND,
            {
                "order_ids": [entry.order_id for entry in entries],
                "ats": [entry.at for entry in entries],
                "kinds": [entry.kind for entry in entries],
                "event_ids": [entry.event_id for entry in entries],
                "details": [to_document(entry.detail) for entry in entries],
                "led_to": [",".join(entry.led_to) for entry in entries],
            },
        )
