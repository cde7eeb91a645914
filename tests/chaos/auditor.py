"""Reads what there is to read, by itself: topics with a plain client, databases with plain SQL.

Nothing here comes from the library or a service: a mistake they share must not blind the one who looks. What each
consumer promises to apply is taken from the services' readmes.
"""

import asyncio
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

PREFIX = "oms."
_READ_TIMEOUT_S = 60.0
_POLL_MS = 500

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """One record of a topic. `content` is a digest of type, key and value."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    """The event's name, without its version."""
    key: str
    sequence: int | None
    time: str
    content: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """The rows of all databases that something can be said about."""

    inbox: Mapping[str, frozenset[str]]
    """By service: the ids it says it applied."""
    dead_letters: Sequence[str]
    outbox: Mapping[str, int]
    overdue: Mapping[str, int]
    """By service: deadlines that should have fired a minute ago."""
    orders: Sequence[Row] = ()
    order_lines: Sequence[Row] = ()
    order_shipments: Sequence[Row] = ()
    open_holds: Sequence[Row] = ()
    stock: Sequence[Row] = ()
    pools: Sequence[Row] = ()
    movements: Sequence[Row] = ()
    reserved_by_lines: Mapping[str, int] = field(default_factory=dict)
    """By SKU: what the lines of all reservations hold."""
    allocated_by_lines: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By SKU and node: what the lines of all shipments hold."""
    shipments: Sequence[Row] = ()
    parcels: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verdict is drawn from."""

    accepted: Mapping[str, Mapping[str, int]]
    """By order that was answered 202: quantity by line."""
    promised: Mapping[str, Mapping[str, frozenset[str]]]
    """By service: the events it applies, by topic."""
    published: Sequence[Published]
    books: Books


async def gather(
    bootstrap: str,
    database_urls: Mapping[str, str],
    readmes: Path,
    accepted: Mapping[str, Mapping[str, int]],
) -> Evidence:
    """Read everything. `readmes` is the folder of the services. Raises TimeoutError."""
    published, books = await asyncio.gather(read_topics(bootstrap), read_books(database_urls))
    return Evidence(accepted, promised_inputs(readmes, database_urls), published, books)


def promised_inputs(readmes: Path, services: Iterable[str]) -> dict[str, dict[str, frozenset[str]]]:
    """What each service's readme lists under `Events in`."""
    promised: dict[str, dict[str, frozenset[str]]] = {}
    for service in services:
        text = (readmes / service / "README.md").read_text("utf-8")
        section = text.partition("\n## Events in\n")[2].partition("\n## ")[0]
        by_topic: defaultdict[str, set[str]] = defaultdict(set)
        for event, topic in re.findall(r"^\| *(\w+) *\| *(oms\.\S+) *\|$", section, flags=re.MULTILINE):
            by_topic[topic].add(event)
        promised[service] = {topic: frozenset(events) for topic, events in by_topic.items()}
    return promised


# --- topics -------------------------------------------------------------------------------------------------------


async def our_partitions(bootstrap: str) -> list[TopicPartition]:
    """Every partition of every topic of ours, as the broker knows them now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(PREFIX)]
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics(names)
            for partition in topic["partitions"]
        ]
    finally:
        await admin.close()


async def read_topics(bootstrap: str) -> list[Published]:
    """Every record there is, up to where the topics end now."""
    partitions = await our_partitions(bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Published] = []
        async with asyncio.timeout(_READ_TIMEOUT_S):
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=2_000)
                found += [_published(message) for batch in batches.values() for message in batch]
        return found
    finally:
        await consumer.stop()


def _published(message: Any) -> Published:
    headers = {name: (value or b"").decode() for name, value in message.headers}
    name = headers["ce_type"].split(".")[2]
    sequence = headers.get("ce_sequence")
    key = (message.key or b"").decode()
    digest = hashlib.sha256(b"\0".join([headers["ce_type"].encode(), message.key or b"", message.value])).hexdigest()
    return Published(
        message.topic,
        message.partition,
        message.offset,
        headers["ce_id"],
        name,
        key,
        int(sequence) if sequence else None,
        headers["ce_time"],
        digest,
        json.loads(message.value),
    )


# --- databases ----------------------------------------------------------------------------------------------------


async def read_books(database_urls: Mapping[str, str]) -> Books:
    """The rows of all databases, by service."""
    connections = {service: await asyncpg.connect(url) for service, url in database_urls.items()}
    try:
        return await _read(connections)
    finally:
        for connection in connections.values():
            await connection.close()


async def _read(of: Mapping[str, asyncpg.Connection]) -> Books:
    inbox: dict[str, frozenset[str]] = {}
    letters: list[str] = []
    outbox: dict[str, int] = {}
    overdue: dict[str, int] = {}
    for service, database in of.items():
        inbox[service] = frozenset(str(row["event_id"]) for row in await database.fetch("select event_id from inbox"))
        letters += [
            f"{service}: {row['event_type']} of {row['key']}: {row['reason']}"
            for row in await database.fetch("select event_type, key, reason from dead_letters order by id")
        ]
        outbox[service] = await database.fetchval("select count(*) from outbox")
        overdue[service] = await database.fetchval(
            "select count(*) from deadlines where due_at < now() - interval '1 minute'"
        )
    orders, stock, shipping, carriage = (of[name] for name in ("orders", "inventory", "fulfilment", "logistics"))
    return Books(
        inbox,
        letters,
        outbox,
        overdue,
        orders=await orders.fetch("select order_id::text, channel, shop, channel_order_no, state from orders"),
        order_lines=await orders.fetch(
            "select order_id::text, line_id, quantity, cancelled, shipped, delivered from order_lines"
        ),
        order_shipments=await orders.fetch(
            "select order_id::text, shipment_id::text, dispatched_at, delivered_at from shipments"
        ),
        open_holds=await orders.fetch("select order_id::text, code from holds where state = 'OPEN'"),
        stock=await stock.fetch("select sku, node, on_hand, allocated from stock"),
        pools=await stock.fetch("select sku, base, reserved from pools"),
        movements=await stock.fetch(
            "select sku, node, on_hand, allocated, reserved, reason, event_id::text, order_id::text, line_id,"
            " shipment_id::text, document from movements"
        ),
        reserved_by_lines={
            row["sku"]: row["held"]
            for row in await stock.fetch("select sku, sum(reserved)::bigint as held from reservation_lines group by 1")
        },
        allocated_by_lines={
            (row["sku"], row["node"]): row["held"]
            for row in await stock.fetch(
                "select sku, node, sum(greatest(0, planned - cancelled - rejected - consumed))::bigint as held"
                " from allocations group by 1, 2"
            )
        },
        shipments=await shipping.fetch("select shipment_id::text, order_id::text, node, state from shipments"),
        parcels=await carriage.fetch("select shipment_id::text, order_id::text, waybill_no, state from parcels"),
    )
