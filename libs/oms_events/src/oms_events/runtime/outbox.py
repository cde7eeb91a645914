"""The outbox: records stored in the transaction that caused them, published right after it commits.

Row state, never a cursor: a row exists until its records are acknowledged, so a transaction that commits late
cannot be skipped. Rows are inserted last in their transaction, after the aggregates are locked, so for one key
row order is commit order.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cramjam
import structlog
from pydantic_core import from_json, to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.codec import Record
from oms_events.runtime import crash_points
from oms_events.runtime.database import Lane
from oms_events.runtime.logs import ids_of, kind_of
from oms_events.runtime.ports import RecordSink
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.stages import Stages, within
from oms_events.runtime.telemetry import PUBLISHED
from oms_events.runtime.tracing import OFF, Tracing

log = structlog.get_logger()

_INSERT = text(
    """
    with cleared as (
        delete from outbox where id = any(cast(:done as bigint[]))
    ), stored as (
        insert into outbox (keys, packed) values (cast(:keys as text[]), :packed) returning id
    )
    select stored.id, exists (
        select 1 from outbox waiting
         where waiting.id <> all(cast(:mine as bigint[])) and waiting.keys && cast(:keys as text[])) as behind
      from stored
    """
)
_PENDING = text(
    """
    select id, keys, heads, payload, packed from outbox
     where id <> all(cast(:mine as bigint[])) and created_at < clock_timestamp() - make_interval(secs => :age_s)
       and not exists (
        select 1 from outbox as ahead
         where ahead.id = any(cast(:mine as bigint[])) and ahead.id < outbox.id and ahead.keys && outbox.keys)
     order by id limit :page
    """
)
_TAKEN_ALONG_S = 0.1
"""How long a row that is done with waits for a transaction that deletes it along. Under load one comes sooner."""
_LEVEL = 1
"""Of zstd. Its default, 3, takes half as long again and leaves as much."""
_DELETE = text("delete from outbox where id = any(cast(:ids as bigint[]))")
_BACKLOG = text(
    "select count(*) as rows, coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0) as age_s from outbox"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a new row counts on: these rows are published before it, unless the sink's generation changes."""

    mine: Collection[int]
    generation: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One outbox row. `behind`: a row it cannot count on holds events of the same keys."""

    row_id: int
    records: Sequence[Record]
    behind: bool
    generation: int


async def store(
    connection: AsyncConnection, records: Sequence[Record], standing: Standing, *, done: Sequence[int]
) -> Ticket:
    """Write records as one row, and delete rows that are done with."""
    with within("store"):
        parameters = _columns(records, standing, done)
    row = (await connection.execute(_INSERT, parameters)).one()
    return Ticket(row.id, records, row.behind, standing.generation)


def _columns(records: Sequence[Record], standing: Standing, done: Sequence[int]) -> dict[str, object]:
    return {
        "keys": [(record.key or b"").decode() for record in records],
        "packed": _pack(records),
        "mine": list(standing.mine),
        "done": list(done),
    }


def _pack(records: Sequence[Record]) -> bytes:
    """Topic, headers and size of each record as a line of JSON, then their values one after the other.

    Compressed, since they repeat themselves so much that a tenth is left: writing the whole was a sixth of all that the
    database did.
    """
    heads = to_json([(r.topic, r.headers, len(r.value or b"")) for r in records])
    values = b"".join([r.value or b"" for r in records])
    return bytes(cramjam.zstd.compress(heads + b"\n" + values, level=_LEVEL))


def _unpack(packed: bytes) -> tuple[bytes, bytes]:
    """Heads and values."""
    heads, values = bytes(cramjam.zstd.decompress(packed)).split(b"\n", 1)
    return heads, values


async def pending(
    connection: AsyncConnection, *, mine: Collection[int], age_s: float, page: int
) -> list[tuple[int, list[Record]]]:
    """Rows that their writer has left behind, with their records, oldest first; without those of `mine`, and without
    what waits behind one of these."""
    rows = await connection.execute(_PENDING, {"mine": list(mine), "age_s": age_s, "page": page})
    return [(row.id, _records(row.keys, *_parts(row))) for row in rows]


def _parts(row: Row[Any]) -> tuple[str | bytes, bytes]:
    """Heads and values of a row, in either form: the version before this one wrote them apart."""
    return (row.heads, row.payload) if row.packed is None else _unpack(row.packed)


def _records(keys: Sequence[str], heads: str | bytes, payload: bytes) -> list[Record]:
    records, end = [], 0
    for key, (topic, headers, size) in zip(keys, from_json(heads), strict=True):
        begin, end = end, end + size
        records.append(
            Record(topic, key.encode(), payload[begin:end], [(name, value.encode()) for name, value in headers])
        )
    return records


async def delete(connection: AsyncConnection, row_ids: Sequence[int]) -> None:
    """Forget rows whose records are durable."""
    await connection.execute(_DELETE, {"ids": list(row_ids)})


async def backlog(connection: AsyncConnection) -> tuple[int, float]:
    """How many rows wait, and the age of the oldest in seconds."""
    row = (await connection.execute(_BACKLOG)).one()
    return row.rows, float(row.age_s)


class Publisher:
    """Publishes this process's committed rows from memory, in commit order, without waiting for the relay.

    A row that may not be published yet (something older of its keys waits) or that failed is left to the relay, and
    so is every row stored while a failed one still seemed on its way: it could overtake it. Rows whose records are
    durable go with the next transaction that stores one, or by themselves where none comes.
    """

    def __init__(self, sink: RecordSink, lane: Lane, stages: Stages, tracing: Tracing = OFF) -> None:
        self._tracing = tracing
        self._stages = stages
        self._sink = sink
        self._lane = lane
        self._in_flight: dict[int, int] = {}
        self._queue: asyncio.Queue[Ticket] = asyncio.Queue()
        self._done: list[int] = []
        self._acknowledgement = asyncio.Event()
        self._hurry = asyncio.Event()
        self._cleared = asyncio.Event()
        self._acks: set[asyncio.Task[None]] = set()

    def mine(self) -> list[int]:
        """Rows this process is publishing or has published and not yet deleted."""
        return list(self._in_flight)

    def standing(self) -> Standing:
        """What a row stored now may count on."""
        current = self._sink.generation
        return Standing([row for row, generation in self._in_flight.items() if generation == current], current)

    def submit(self, ticket: Ticket) -> None:
        """Publish a committed row. Returns at once."""
        if not ticket.behind and ticket.generation == self._sink.generation:
            self._in_flight[ticket.row_id] = ticket.generation
            self._queue.put_nowait(ticket)

    def take_done(self) -> list[int]:
        """Rows that a transaction may delete. It says afterwards how that went: `forget` or `give_back`."""
        done, self._done = self._done, []
        return done

    def _take(self, wanted: Collection[int]) -> list[int]:
        """Those of these rows that no transaction took. Younger ones wait for theirs."""
        taken = [row_id for row_id in self._done if row_id in wanted]
        self._done = [row_id for row_id in self._done if row_id not in wanted]
        return taken

    def give_back(self, row_ids: Sequence[int]) -> None:
        """These rows were not deleted after all."""
        if row_ids:
            self._done = [*row_ids, *self._done]
            self._acknowledgement.set()

    def forget(self, row_ids: Sequence[int]) -> None:
        """These rows are gone."""
        if row_ids:
            crash_points.reach("marked")
        for row_id in row_ids:
            self._in_flight.pop(row_id, None)
        self._cleared.set()

    async def run(self) -> None:
        """Publish and clear until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._clear())

    async def drain(self) -> None:
        """Wait until all that was submitted is published and cleared, or left to the relay."""
        while self._in_flight:
            self._hurry.set()
            self._cleared.clear()
            await self._cleared.wait()
        self._hurry.clear()

    async def _send(self) -> None:
        while True:
            ticket = await self._queue.get()
            crash_points.reach("committed")
            since_ns = time.time_ns()
            try:
                with self._stages.of("relay"):
                    ack = await self._sink.send(ticket.records, generation=ticket.generation)
            except Exception as error:  # noqa: BLE001 - whatever it is, the row stays and the relay takes it
                self._leave(ticket, error)
                continue
            task = asyncio.create_task(self._acknowledged(ticket, ack, since_ns))
            self._acks.add(task)
            task.add_done_callback(self._acks.discard)

    async def _acknowledged(self, ticket: Ticket, ack: Awaitable[None], since_ns: int) -> None:
        try:
            await ack
        except Exception as error:  # noqa: BLE001 - as above
            self._leave(ticket, error)
            return
        crash_points.reach("sent")
        for topic, count in Counter(record.topic for record in ticket.records).items():
            PUBLISHED.labels(topic).inc(count)
        self._tracing.published(ticket.records, since_ns, by="memory")
        self._done.append(ticket.row_id)
        self._acknowledgement.set()

    def _leave(self, ticket: Ticket, error: Exception) -> None:
        log.warning("publishing left to the relay", row=ticket.row_id, error=kind_of(error), **ids_of(ticket.records))
        self._in_flight.pop(ticket.row_id, None)
        self._cleared.set()

    async def _clear(self) -> None:
        """Delete rows that no transaction took along for a moment."""
        waits = backoff()
        while True:
            await self._acknowledgement.wait()
            self._acknowledgement.clear()
            waiting = set(self._done)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), _TAKEN_ALONG_S)
            ids = self._take(waiting)
            try:
                if ids:
                    async with self._lane.begin() as connection:
                        await delete(connection, ids)
                waits = backoff()
            except Exception as error:
                self.give_back(ids)
                if not is_transient(error):
                    raise
                await asyncio.sleep(next(waits))
                continue
            self.forget(ids)
