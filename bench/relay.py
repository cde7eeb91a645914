"""How fast the relay empties an outbox whose writer is gone.

The broker stands still while the catalog stores what an import of products says; then the catalog is killed. What it
had in memory is lost, its rows are not: the broker goes on, the catalog comes back, its relay publishes all of them.
"""

import asyncio
import time

import asyncpg
from aiokafka import AIOKafkaConsumer

from bench import results
from bench.bed import Bed, suspended
from oms_events.contracts.catalog import ProductDefined
from oms_sample import hops
from oms_sample.client import chunks

SERVICE = "catalog"
PER_ROW = 50
"""Products of one request, so events of one outbox row."""
PATIENCE_S = 120.0


class NotEmptied(Exception):
    """The relay did not get to the end in time."""


async def relay(bed: Bed, events: int) -> results.Results:
    """Events a second, from the first that the relay publishes until the outbox is empty.

    Reading the first page is not counted: let there be many pages.
    """
    broker = bed.system.platform.pids().get("kafka")
    if broker is None:
        return {"relay": "not measured: the broker does not run here"}
    database = await asyncpg.connect(bed.system.database_urls[SERVICE].replace("+asyncpg", ""))
    async with hops.subscriber(bed.system.broker, ProductDefined.topic.name) as consumer:
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)  # seeking is lazy, and the broker is about to stand still
        with suspended([broker]):
            await _import(bed, events)
            rows = await database.fetchval("select count(*) from outbox")
            await bed.system.kill(SERVICE)
        killed_at = time.time()
        emptied_at = await _emptied(database)
        began_at = await _first(consumer, killed_at)
    await database.close()
    await bed.system.until_ready(SERVICE)
    seconds = emptied_at - began_at
    return {
        "relay_events_per_s": round(events / seconds, 1),
        "relay_events": events,
        "relay_rows": rows,
        "relay_began_after_kill_s": round(began_at - killed_at, 2),
    }


async def _import(bed: Bed, events: int) -> None:
    name = f"R{time.time_ns():x}"
    products = ({"product_code": f"{name}-{number}", "title": f"Relayed {number}"} for number in range(events))
    for chunk in chunks(products, PER_ROW):
        await bed.doors.operator.post("/v1/products:batch", chunk)


async def _emptied(database: asyncpg.Connection) -> float:
    """When no row was left."""
    give_up_at = time.monotonic() + PATIENCE_S
    while await database.fetchval("select exists (select 1 from outbox)"):
        if time.monotonic() > give_up_at:
            raise NotEmptied(f"after {PATIENCE_S:g} s the outbox of {SERVICE} still has rows")
        await asyncio.sleep(0.02)
    return time.time()


async def _first(consumer: AIOKafkaConsumer, since: float) -> float:
    """When the first event was published after the writer's end; those that it had sent itself do not count."""
    first = time.time()
    left = dict(await consumer.end_offsets(list(consumer.assignment())))
    while left:
        for records in (await consumer.getmany(*left, timeout_ms=500)).values():
            first = min([first, *(record.timestamp / 1000 for record in records if record.timestamp / 1000 > since)])
        for place in list(left):
            if await consumer.position(place) >= left[place]:
                del left[place]
    return first
