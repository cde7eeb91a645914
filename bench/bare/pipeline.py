"""The way of an order in eight hops, written bare: one process a service, nothing configurable, nothing reusable.

intake -> placed -> reserved -> released -> routed -> allocated -> requested -> waybilled -> dispatchable

What a real system must promise is kept: every event is applied once (inbox), nothing committed goes unpublished
(outbox), stock is locked and never oversold. What it may leave out is left out: holds, cancellations, splits,
re-routing, rejections, dead letters, contracts that evolve, an interface of any kind.

    python -m bench.bare.pipeline SERVICE PREFIX BOOTSTRAP DATABASE_URL
"""

import asyncio
import signal
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import takewhile
from typing import Any, NamedTuple

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import Struct
from msgspec.json import Decoder, Encoder

NODES = ("LON", "MAN")
BATCH = 500
"""Records of one transaction at most."""
COMMIT_EVERY_S = 1.0
FETCH_WAIT_MS = 50

Connection = Any
"""An asyncpg connection."""


# --- what the services tell each other ------------------------------------------------------------------------------


class Line(Struct, gc=False, frozen=True):
    """So many of a SKU."""

    line_id: str
    sku: str
    quantity: int
    price_minor: int


class Home(Struct, gc=False, frozen=True):
    """Where the parcel goes."""

    country: str
    region: str
    city: str
    postcode: str
    receiver_token: str


class Fact(Struct, gc=False, frozen=True):
    """An event. Ids are 32 hex digits: 48 bits of milliseconds, then a hash of what the event derives from."""

    id: str
    order_id: str


class Told(Fact, gc=False, frozen=True):
    """A channel tells of an order that is paid."""

    channel: str
    shop: str
    channel_order_no: str
    currency: str
    lines: tuple[Line, ...]
    total_minor: int
    ship_to: Home
    delivery_tier: str


class Placed(Told, gc=False, frozen=True):
    """It is an order of ours."""


class Reserved(Fact, gc=False, frozen=True):
    """All lines are held at the pool."""

    channel: str
    shop: str
    lines: tuple[Line, ...]


class Released(Fact, gc=False, frozen=True):
    """It may be routed."""

    channel: str
    shop: str
    currency: str
    lines: tuple[Line, ...]
    ship_to: Home
    delivery_tier: str


class Routed(Fact, gc=False, frozen=True):
    """This node shall ship it."""

    shipment_id: str
    node: str
    lines: tuple[Line, ...]


class Allocated(Routed, gc=False, frozen=True):
    """The node's stock is set aside."""


class Requested(Routed, gc=False, frozen=True):
    """The shipment wants a carrier."""

    ship_to: Home
    delivery_tier: str
    weight_g: int


class Waybilled(Routed, gc=False, frozen=True):
    """It has one."""

    carrier: str
    waybill_no: str
    cost_minor: int


class Dispatchable(Waybilled, gc=False, frozen=True):
    """The warehouse may pick."""


ENCODER = Encoder()
_HOMES = Decoder(Home)


def derived(cause: str, step: str) -> str:
    """The id of what follows from a cause: the same for the same cause, and with its time in front."""
    return cause[:12] + blake2b((cause + step).encode(), digest_size=10).hexdigest()


# --- tables ---------------------------------------------------------------------------------------------------------

_MESSAGING = """
create table inbox (event_id uuid primary key);
create table outbox (id bigint generated always as identity primary key,
    topics text[] not null, keys bytea[] not null, payloads bytea[] not null);
alter table outbox alter payloads set storage external;
alter table outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
"""
TABLES: Mapping[str, str] = {
    "orders": """
        create table channel_orders (order_id uuid primary key, document json not null, at timestamptz default now());
        create table orders (order_id uuid primary key, channel text, shop text, channel_order_no text, currency text,
            total_minor bigint, ship_to json, delivery_tier text, state text, released_at timestamptz)
            with (fillfactor = 70);
        create table order_lines (order_id uuid, line_id text, sku text, quantity int, price_minor bigint,
            primary key (order_id, line_id));
        create table payments (order_id uuid, payment_no text, amount_minor bigint, primary key (order_id, payment_no));
        create table timeline (order_id uuid, kind text, event_id uuid, at timestamptz default now(),
            primary key (order_id, kind));
    """,
    "inventory": """
        create table pools (sku text primary key, base bigint not null, reserved bigint not null)
            with (fillfactor = 50);
        create table stock (sku text, node text, on_hand bigint not null, allocated bigint not null,
            primary key (sku, node)) with (fillfactor = 50);
        create table reservations (order_id uuid primary key, channel text, shop text, state text not null);
        create table reservation_lines (order_id uuid, line_id text, sku text, reserved int, allocated int,
            primary key (order_id, line_id)) with (fillfactor = 70);
        create table allocations (shipment_id uuid, line_id text, order_id uuid, node text, sku text, quantity int,
            primary key (shipment_id, line_id));
        create table movements (id bigint generated always as identity primary key, sku text, node text,
            reserved bigint, allocated bigint, reserved_after bigint, event_id uuid, at timestamptz default now());
    """,
    "fulfilment": """
        create table node_stock (sku text, node text, available bigint, primary key (sku, node));
        create table demands (order_id uuid primary key, channel text, shop text, ship_to json, delivery_tier text,
            lines json, state text) with (fillfactor = 60);
        create table decisions (order_id uuid primary key, node text, weighed json, at timestamptz default now());
        create table shipments (shipment_id uuid primary key, order_id uuid, node text, weight_g int, state text,
            carrier text, waybill_no text) with (fillfactor = 70);
        create table shipment_lines (shipment_id uuid, line_id text, sku text, quantity int,
            primary key (shipment_id, line_id));
    """,
    "logistics": """
        create table waybill_pools (carrier text primary key, issued bigint not null);
        create table parcels (shipment_id uuid primary key, order_id uuid, node text, ship_to json, delivery_tier text,
            weight_g int, carrier text, waybill_no text, cost_minor bigint, state text);
    """,
}
_SEEDS: Mapping[str, str] = {
    "orders": "select cardinality($1::text[]), cardinality($2::text[])",
    "inventory": """
        with pool as (insert into pools select sku, 2000000, 0 from unnest($1::text[]) sku)
        insert into stock select sku, node, 1000000, 0 from unnest($1::text[]) sku, unnest($2::text[]) node
    """,
    "fulfilment": """
        insert into node_stock select sku, node, 1000000 from unnest($1::text[]) sku, unnest($2::text[]) node
    """,
    "logistics": """
        with goods as (select $1::text[], $2::text[]) insert into waybill_pools select 'PLOD', 0 from goods
    """,
}


async def prepare(service: str, connection: Connection, skus: Sequence[str]) -> None:
    """Make a service's tables, with plenty of every SKU at every node."""
    await connection.execute(_MESSAGING + TABLES[service])
    await connection.execute(_SEEDS[service], skus, NODES)


# --- hops: a few statements for the whole batch ---------------------------------------------------------------------


def _columns(rows: Iterable[Sequence[object]], width: int) -> Iterator[list[object]]:
    """Rows as one array per column, as unnest takes them."""
    columns: Iterable[Sequence[object]] = list(zip(*rows, strict=True)) or [()] * width
    return (list(column) for column in columns)


_PLACE = """
with told as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                         $8::text[], $9::uuid[], $10::text[])
        as t (order_id, channel, shop, no, currency, total_minor, ship_to, tier, event_id, document)
), kept as (
    insert into channel_orders (order_id, document) select order_id, document::json from told
), placed as (
    insert into orders
    select order_id, channel, shop, no, currency, total_minor, ship_to::json, tier, 'PLACED' from told
), noted as (
    insert into timeline (order_id, kind, event_id) select order_id, 'placed', event_id from told
)
insert into order_lines select * from unnest($11::uuid[], $12::text[], $13::text[], $14::int[], $15::bigint[])
"""


async def place(connection: Connection, told: Sequence[Told]) -> list[Fact]:
    """Take orders in."""
    await connection.execute(
        _PLACE,
        *_columns(
            (
                (
                    o.order_id,
                    o.channel,
                    o.shop,
                    o.channel_order_no,
                    o.currency,
                    o.total_minor,
                    ENCODER.encode(o.ship_to).decode(),
                    o.delivery_tier,
                    o.id,
                    ENCODER.encode(o).decode(),
                )
                for o in told
            ),
            10,
        ),
        *_columns(((o.order_id, *_values(line), line.price_minor) for o in told for line in o.lines), 5),
    )
    return [
        Placed(
            derived(o.id, "placed"),
            o.order_id,
            o.channel,
            o.shop,
            o.channel_order_no,
            o.currency,
            o.lines,
            o.total_minor,
            o.ship_to,
            o.delivery_tier,
        )
        for o in told
    ]


def _values(line: Line) -> tuple[str, str, int]:
    return line.line_id, line.sku, line.quantity


_LOCK_POOLS = "select sku, base - reserved, reserved from pools where sku = any($1::text[]) order by sku for update"
_RESERVE = """
with held as (
    update pools set reserved = pools.reserved + d.quantity
      from unnest($1::text[], $2::bigint[]) as d (sku, quantity) where pools.sku = d.sku
), reserved as (
    insert into reservations select * from unnest($3::uuid[], $4::text[], $5::text[], $6::text[])
), lines as (
    insert into reservation_lines
    select order_id, line_id, sku, quantity, 0
      from unnest($7::uuid[], $8::text[], $9::text[], $10::int[]) as l (order_id, line_id, sku, quantity)
)
insert into movements (sku, reserved, reserved_after, event_id, allocated)
select *, 0 from unnest($9::text[], $10::int[], $11::bigint[], $12::uuid[])
"""


async def reserve(connection: Connection, placed: Sequence[Placed]) -> list[Fact]:
    """Hold every order's lines at the pool, all or nothing, first come first served."""
    locked = await connection.fetch(_LOCK_POOLS, list({line.sku for o in placed for line in o.lines}))
    free = {sku: left for sku, left, _ in locked}
    reserved = {sku: now for sku, _, now in locked}
    taken: dict[str, int] = defaultdict(int)
    held: list[Placed] = []
    states: list[str] = []
    after: list[int] = []
    for order in placed:
        enough = all(line.quantity <= free[line.sku] for line in order.lines)
        states.append("RESERVED" if enough else "SHORT")
        if enough:
            held.append(order)
            for line in order.lines:
                free[line.sku] -= line.quantity
                taken[line.sku] += line.quantity
                after.append(reserved[line.sku] + taken[line.sku])
    lines = ((o.order_id, *_values(line), now, o.id) for (o, line), now in zip(_lines(held), after, strict=True))
    await connection.execute(
        _RESERVE,
        list(taken),
        list(taken.values()),
        [o.order_id for o in placed],
        [o.channel for o in placed],
        [o.shop for o in placed],
        states,
        *_columns(lines, 6),
    )
    return [Reserved(derived(o.id, "reserved"), o.order_id, o.channel, o.shop, o.lines) for o in held]


def _lines(facts: Sequence[Any]) -> Iterator[tuple[Any, Line]]:
    return ((fact, line) for fact in facts for line in fact.lines)


_RELEASE = """
with reserved as (
    select * from unnest($1::uuid[], $2::uuid[]) as r (order_id, event_id)
), noted as (
    insert into timeline (order_id, kind, event_id) select order_id, 'reserved', event_id from reserved
), paid as (
    insert into payments select order_id, '1', total_minor from reserved join orders using (order_id)
)
update orders set state = 'RELEASED', released_at = now() from reserved where orders.order_id = reserved.order_id
returning replace(orders.order_id::text, '-', ''), currency, ship_to::text, delivery_tier
"""


async def release(connection: Connection, reserved: Sequence[Reserved]) -> list[Fact]:
    """Let reserved orders go: they are paid."""
    rows = await connection.fetch(_RELEASE, [r.order_id for r in reserved], [r.id for r in reserved])
    kept = {row[0]: row for row in rows}
    return [
        Released(
            derived(r.id, "released"),
            r.order_id,
            r.channel,
            r.shop,
            kept[r.order_id][1],
            r.lines,
            _HOMES.decode(kept[r.order_id][2]),
            kept[r.order_id][3],
        )
        for r in reserved
    ]


_NODE_STOCK = "select sku, node, available from node_stock where sku = any($1::text[])"
_ROUTE = """
with routed as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[]) as r (order_id, channel, shop, ship_to, tier, lines, node, weighed)
), decided as (
    insert into decisions (order_id, node, weighed) select order_id, node, weighed::json from routed
)
insert into demands select order_id, channel, shop, ship_to::json, tier, lines::json, 'ROUTED' from routed
"""


async def route(connection: Connection, released: Sequence[Released]) -> list[Fact]:
    """Choose the node that has the most of the scarcest line."""
    rows = await connection.fetch(_NODE_STOCK, list({line.sku for _, line in _lines(released)}))
    available = {(sku, node): quantity for sku, node, quantity in rows}
    plans = []
    for order in released:
        weighed = {node: min(available[line.sku, node] for line in order.lines) for node in NODES}
        plans.append((order, max(NODES, key=weighed.__getitem__), weighed))
    await connection.execute(
        _ROUTE,
        *_columns(
            (
                (
                    o.order_id,
                    o.channel,
                    o.shop,
                    ENCODER.encode(o.ship_to).decode(),
                    o.delivery_tier,
                    ENCODER.encode(o.lines).decode(),
                    node,
                    ENCODER.encode(weighed).decode(),
                )
                for o, node, weighed in plans
            ),
            8,
        ),
    )
    return [Routed(derived(o.id, "routed"), o.order_id, derived(o.id, "1"), node, o.lines) for o, node, _ in plans]


_LOCK_STOCK = """
select sku, node, on_hand - allocated from stock
 where (sku, node) in (select * from unnest($1::text[], $2::text[])) order by sku, node for update
"""
_ALLOCATE = """
with bound as (
    update stock set allocated = stock.allocated + d.quantity
      from unnest($1::text[], $2::text[], $3::bigint[]) as d (sku, node, quantity)
     where stock.sku = d.sku and stock.node = d.node
), given as (
    update pools set base = pools.base - d.quantity, reserved = pools.reserved - d.quantity
      from (select sku, sum(quantity) as quantity from unnest($1::text[], $3::bigint[]) as a (sku, quantity)
             group by sku) as d
     where pools.sku = d.sku
), lines as (
    select * from unnest($4::uuid[], $5::text[], $6::text[], $7::int[], $8::text[], $9::uuid[], $10::uuid[])
        as l (order_id, line_id, sku, quantity, node, shipment_id, event_id)
), moved as (
    update reservation_lines as r set reserved = r.reserved - l.quantity, allocated = r.allocated + l.quantity
      from lines as l where r.order_id = l.order_id and r.line_id = l.line_id
), allocated as (
    insert into allocations select shipment_id, line_id, order_id, node, sku, quantity from lines
)
insert into movements (sku, node, reserved, allocated, event_id)
select sku, node, -quantity, quantity, event_id from lines
"""


async def allocate(connection: Connection, routed: Sequence[Routed]) -> list[Fact]:
    """Set the lines aside at the node."""
    wanted = {(line.sku, r.node): None for r, line in _lines(routed)}
    rows = await connection.fetch(_LOCK_STOCK, *_columns(wanted, 2))
    free = {(sku, node): left for sku, node, left in rows}
    taken: dict[tuple[str, str], int] = defaultdict(int)
    given: list[Routed] = []
    for shipment in routed:
        if all(line.quantity <= free[line.sku, shipment.node] for line in shipment.lines):
            given.append(shipment)
            for line in shipment.lines:
                free[line.sku, shipment.node] -= line.quantity
                taken[line.sku, shipment.node] += line.quantity
    await connection.execute(
        _ALLOCATE,
        *_columns(((sku, node, quantity) for (sku, node), quantity in taken.items()), 3),
        *_columns(((r.order_id, *_values(line), r.node, r.shipment_id, r.id) for r, line in _lines(given)), 7),
    )
    return [Allocated(derived(r.id, "allocated"), r.order_id, r.shipment_id, r.node, r.lines) for r in given]


_REQUEST = """
with wanted as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[]) as w (shipment_id, order_id, node, weight_g)
), shipped as (
    insert into shipments select shipment_id, order_id, node, weight_g, 'REQUESTED', '', '' from wanted
), lines as (
    insert into shipment_lines select * from unnest($5::uuid[], $6::text[], $7::text[], $8::int[])
)
update demands set state = 'REQUESTED' from wanted where demands.order_id = wanted.order_id
returning replace(demands.order_id::text, '-', ''), ship_to::text, delivery_tier
"""


async def request(connection: Connection, allocated: Sequence[Allocated]) -> list[Fact]:
    """Ask for a carrier."""
    weights = [sum(250 * line.quantity for line in a.lines) for a in allocated]
    rows = await connection.fetch(
        _REQUEST,
        [a.shipment_id for a in allocated],
        [a.order_id for a in allocated],
        [a.node for a in allocated],
        weights,
        *_columns(((a.shipment_id, *_values(line)) for a, line in _lines(allocated)), 4),
    )
    kept = {row[0]: row for row in rows}
    return [
        Requested(
            derived(a.id, "requested"),
            a.order_id,
            a.shipment_id,
            a.node,
            a.lines,
            _HOMES.decode(kept[a.order_id][1]),
            kept[a.order_id][2],
            weight,
        )
        for a, weight in zip(allocated, weights, strict=True)
    ]


_ISSUE = "update waybill_pools set issued = issued + $1 where carrier = 'PLOD' returning issued"
_ASSIGN = """
insert into parcels
select shipment_id, order_id, node, ship_to::json, tier, weight_g, 'PLOD', waybill_no, cost_minor, 'ASSIGNED'
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::bigint[])
    as p (shipment_id, order_id, node, ship_to, tier, weight_g, waybill_no, cost_minor)
"""


async def assign(connection: Connection, requested: Sequence[Requested]) -> list[Fact]:
    """Give each shipment a waybill."""
    first = await connection.fetchval(_ISSUE, len(requested)) - len(requested) + 1
    parcels = [(r, f"P{first + place:09}", 300 + r.weight_g // 10) for place, r in enumerate(requested)]
    await connection.execute(
        _ASSIGN,
        *_columns(
            (
                (
                    r.shipment_id,
                    r.order_id,
                    r.node,
                    ENCODER.encode(r.ship_to).decode(),
                    r.delivery_tier,
                    r.weight_g,
                    waybill,
                    cost,
                )
                for r, waybill, cost in parcels
            ),
            8,
        ),
    )
    return [
        Waybilled(derived(r.id, "waybilled"), r.order_id, r.shipment_id, r.node, r.lines, "PLOD", waybill, cost)
        for r, waybill, cost in parcels
    ]


_DISPATCHABLE = """
with carried as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
        as c (shipment_id, order_id, carrier, waybill_no)
), released as (
    update shipments set state = 'RELEASED', carrier = carried.carrier, waybill_no = carried.waybill_no
      from carried where shipments.shipment_id = carried.shipment_id
)
update demands set state = 'RELEASED' from carried where demands.order_id = carried.order_id
"""


async def hand_over(connection: Connection, waybilled: Sequence[Waybilled]) -> list[Fact]:
    """Hand shipments to the warehouse."""
    await connection.execute(
        _DISPATCHABLE, *_columns(((w.shipment_id, w.order_id, w.carrier, w.waybill_no) for w in waybilled), 4)
    )
    return [
        Dispatchable(
            derived(w.id, "dispatchable"),
            w.order_id,
            w.shipment_id,
            w.node,
            w.lines,
            w.carrier,
            w.waybill_no,
            w.cost_minor,
        )
        for w in waybilled
    ]


class Hop(NamedTuple):
    """From the events of one topic to those of the next."""

    source: str
    fact: type[Fact]
    handle: Callable[[Connection, Sequence[Any]], Awaitable[list[Fact]]]
    target: str


HOPS: Mapping[str, tuple[Hop, ...]] = {
    "orders": (Hop("intake", Told, place, "placed"), Hop("reserved", Reserved, release, "released")),
    "inventory": (Hop("placed", Placed, reserve, "reserved"), Hop("routed", Routed, allocate, "allocated")),
    "fulfilment": (
        Hop("released", Released, route, "routed"),
        Hop("allocated", Allocated, request, "requested"),
        Hop("waybilled", Waybilled, hand_over, "dispatchable"),
    ),
    "logistics": (Hop("requested", Requested, assign, "waybilled"),),
}
FIRST, LAST = "intake", "dispatchable"
TOPICS = (FIRST, *(hop.target for hops in HOPS.values() for hop in hops))


# --- a service ------------------------------------------------------------------------------------------------------


class Record(NamedTuple):
    """What goes to the broker."""

    topic: str
    key: bytes
    value: bytes


class Stored(NamedTuple):
    """A committed outbox row and what it holds."""

    row: int
    records: Sequence[Record]


_ADMIT = """
insert into inbox select * from unnest($1::uuid[]) on conflict do nothing returning replace(event_id::text, '-', '')
"""
_STORE = "insert into outbox (topics, keys, payloads) values ($1, $2, $3) returning id"
_LEFT = "select id, topics, keys, payloads from outbox order by id"
_FORGET = "delete from outbox where id = $1"


class Bare:
    """One service: takes batches, applies each in one transaction, publishes it from memory."""

    def __init__(
        self, service: str, prefix: str, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, sweeper: Connection
    ) -> None:
        self._hops = {prefix + hop.source: (hop, Decoder(hop.fact)) for hop in HOPS[service]}
        self._prefix = prefix
        self._consumer = consumer
        self._producer = producer
        self._sweeper = sweeper
        self._sweeping = asyncio.Lock()
        self._publishing: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def run(self, connection: Connection) -> None:
        """Work until told to stop, what an earlier life left behind first."""
        for row, topics, keys, payloads in await connection.fetch(_LEFT):
            await self._publish(Stored(row, [Record(*parts) for parts in zip(topics, keys, payloads, strict=True)]))
        committed_at = time.monotonic()
        while not self.stopping.is_set():
            fetched: dict[str, list[bytes]] = defaultdict(list)
            for place, records in (await self._consumer.getmany(timeout_ms=500, max_records=BATCH)).items():
                fetched[place.topic] += [record.value for record in records]
            if fetched:
                stored = await self._apply(connection, fetched)
                if stored is not None:
                    await self._publish(stored)
            if time.monotonic() - committed_at > COMMIT_EVERY_S:
                await self._consumer.commit()
                committed_at = time.monotonic()
        if self._publishing:
            await asyncio.wait(self._publishing)
        await self._consumer.commit()

    async def _apply(self, connection: Connection, fetched: Mapping[str, Sequence[bytes]]) -> Stored | None:
        """One transaction: inbox, work, outbox."""
        facts = {topic: list(map(self._hops[topic][1].decode, values)) for topic, values in fetched.items()}
        async with connection.transaction():
            ids = sorted(fact.id for batch in facts.values() for fact in batch)
            fresh = {row[0] for row in await connection.fetch(_ADMIT, ids)}
            records: list[Record] = []
            for topic, batch in facts.items():
                hop = self._hops[topic][0]
                new = list({fact.id: fact for fact in batch if fact.id in fresh}.values())
                if new:
                    target = self._prefix + hop.target
                    caused = await hop.handle(connection, new)
                    records += [Record(target, fact.order_id.encode(), ENCODER.encode(fact)) for fact in caused]
            if not records:
                return None
            return Stored(await connection.fetchval(_STORE, *_columns(records, 3)), records)

    async def _publish(self, stored: Stored) -> None:
        """Queue the records now, so that the next batch's follow them; forget the row once they are durable."""
        acks = await send(self._producer, stored.records)
        task = asyncio.create_task(self._settle(stored.row, acks))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _settle(self, row: int, acks: Sequence[Awaitable[object]]) -> None:
        await asyncio.gather(*acks)
        async with self._sweeping:
            await self._sweeper.execute(_FORGET, row)


async def send(producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Awaitable[object]]:
    """Queue records, a batch per partition. Returns what to wait for until they are durable."""
    slots: dict[tuple[str, int], list[Record]] = defaultdict(list)
    counts = {topic: len(await producer.partitions_for(topic)) for topic in {record.topic for record in records}}
    for record in records:
        slots[record.topic, zlib.crc32(record.key) % counts[record.topic]].append(record)
    acks: list[Awaitable[object]] = []
    for (topic, partition), queued in slots.items():
        while queued:
            batch = producer.create_batch()
            del queued[: _fill(batch, queued)]
            batch.close()
            acks.append(await producer.send_batch(batch, topic, partition=partition))
    return acks


def _fill(batch: BatchBuilder, records: Sequence[Record]) -> int:
    """Answers how many of them found room."""
    return sum(1 for _ in takewhile(lambda r: batch.append(key=r.key, value=r.value, timestamp=None), records))


@asynccontextmanager
async def sender(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that loses and doubles nothing."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def serve(service: str, prefix: str, bootstrap: str, database_url: str) -> None:
    """Run one service until SIGTERM."""
    connection, sweeper = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    consumer = AIOKafkaConsumer(
        *(prefix + hop.source for hop in HOPS[service]),
        bootstrap_servers=bootstrap,
        group_id=prefix + service,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        session_timeout_ms=30_000,
    )
    async with sender(bootstrap) as producer:
        await consumer.start()
        bare = Bare(service, prefix, consumer, producer, sweeper)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bare.stopping.set)
        try:
            await bare.run(connection)
        finally:
            await consumer.stop()
    await connection.close()
    await sweeper.close()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
