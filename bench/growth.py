"""What an order costs when millions are stored: `python -m bench.growth [--orders N] [--minutes M] [--measure N]`.

Begins with empty databases. Lets some orders through to their end, copies their rows until so many are stored (see
`copies.py`), and at 0, 100,000, 500,000, 1,000,000 and 2,000,000 stored orders sends 20,000 through the whole path,
and 20,000 more.
Stops before a step that would take it beyond its minutes, or would fill the disk, and says so.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from bench import load, results
from bench.bed import BATCH, SKUS, Bed, console, fresh_bed
from bench.completed import complete
from bench.copies import APART_S, MOST_COPIES, Copier, clone_of, copy_all
from oms_events.contracts.fulfilment import ShipmentReleased

LEVELS = (0, 100_000, 500_000, 1_000_000, 2_000_000)
TEMPLATES = 1_000
SPARE_DISK_BYTES = 8 * 2**30
"""What a step must leave free: the log may grow to twice its `max_wal_size` before a checkpoint has caught up."""
SHOWN = 8
_TABLES = """
select relname as name, pg_table_size(relid) as table_bytes, pg_indexes_size(relid) as index_bytes,
       greatest(n_live_tup, 0) as rows
  from pg_stat_user_tables where schemaname = 'public' order by pg_total_relation_size(relid) desc limit $1
"""
_INDEXES = """
select indexrelname as name, pg_relation_size(indexrelid) as bytes
  from pg_stat_user_indexes where schemaname = 'public' order by bytes desc limit $1
"""
_QUEUES = """
select relname as name, n_live_tup as rows, n_dead_tup as dead, pg_total_relation_size(relid) as bytes
  from pg_stat_user_tables where schemaname = 'public' and (relname like 'inbox%' or relname = 'outbox')
"""
_LOGGED_AND_READ = """
select wal_bytes::bigint as logged_bytes, wal_fpi as whole_pages_logged,
       (select sum(blks_read)::bigint from pg_stat_database) as pages_read
  from pg_stat_wal
"""
# Tables read from end to end: where this grows with what is stored, a statement finds no index.
_SCANNED = "select sum(seq_tup_read)::bigint from pg_stat_user_tables where schemaname = 'public'"
_SIZE = "select pg_database_size(current_database())"


class Growth:
    """One system that fills up."""

    def __init__(self, bed: Bed, connections: dict[str, asyncpg.Connection], measured: int) -> None:
        self._bed = bed
        self._measured = measured
        self._connections = connections
        self._copiers = [
            Copier(service, bed.system.database_urls[service], connection)
            for service, connection in connections.items()
        ]

    async def run(self, levels: Sequence[int], minutes: float) -> results.Results:
        """All levels that time and disk allow."""
        began = time.monotonic()
        await self._bed.set_up()
        await self._bed.caught_up()  # or the back office would still write of these orders, and they be copied as well
        mark = await self._connections["orders"].fetchval("select pg_current_xact_id()::text::bigint")
        ids = await complete(self._bed, "template", TEMPLATES)
        await self._bed.caught_up()
        earliest = datetime.now(UTC) - timedelta(seconds=max(levels) // TEMPLATES * APART_S)
        for copier in self._copiers:
            await copier.begin(mark, TEMPLATES, earliest.date())
        rows_per_order = sum(copier.rows for copier in self._copiers) / TEMPLATES
        console.print(f"a completed order is {rows_per_order:.1f} rows")
        found: results.Results = {"rows_per_order": round(rows_per_order, 1), "levels": {}}
        stored, copy, base = 0, max(levels) // TEMPLATES, await self._bytes()
        for level in levels:
            steps = (level - stored) // TEMPLATES
            if stored and (why := self._too_much(level, stored, began, minutes, await self._bytes() - base)):
                found["stopped"] = f"before {level:,} stored orders: {why}"
                break
            if steps:
                filling = time.monotonic()
                await copy_all(self._copiers, copy, copy - steps + 1)
                await asyncio.gather(*(copier.compare(copy) for copier in self._copiers))
                await self._see(ids[0], copy)
                console.print(f"{level:,} orders stored ({time.monotonic() - filling:.0f} s)")
            stored, copy = level, copy - steps
            found["levels"][f"{level:,}"] = await self._measure(level)
        return {"growth": {**found, "databases": await self._sizes()}}

    def _too_much(self, level: int, stored: int, began: float, minutes: float, taken: int) -> str:
        """Why not to go on; empty where one may."""
        factor = (level - stored) / stored
        if (time.monotonic() - began) * (1 + factor) > 60 * minutes:
            return f"it would take more than {minutes:g} minutes"
        if taken * factor + SPARE_DISK_BYTES > shutil.disk_usage(tempfile.gettempdir()).free:
            return "the disk has no room"
        return ""

    async def _see(self, original: str, copy: int) -> None:
        """The product must know the copy for what its original is. Raises RuntimeError."""
        cloned = await clone_of(self._connections["orders"], original, copy)
        first = await self._bed.doors.operator.get(f"/v1/orders/{original}")
        second = await self._bed.doors.operator.get(f"/v1/orders/{cloned}")
        for name in ("state", "lines", "total_minor"):
            if first[name] != second[name]:
                raise RuntimeError(f"the copy's {name} is {second[name]}, its original's {first[name]}")

    async def _measure(self, level: int) -> results.Results:
        """The same orders twice. Behind a checkpoint every page is logged whole when it is first written; orders that
        come later find more of them written before."""
        warm_up = load.synthetic(f"warm-{level}", BATCH * 4, SKUS, batch=BATCH)
        await self._bed.timed(warm_up, ShipmentReleased)
        await self._bed.caught_up()
        await asyncio.gather(*(connection.execute("checkpoint") for connection in self._connections.values()))
        found: results.Results = {"database_mb": round(await self._bytes() / 2**20, 1)}
        for when in ("behind_a_checkpoint", "later"):
            sent = load.synthetic(f"grown-{level}-{when}", self._measured, SKUS, batch=BATCH)
            found[when] = cost = await self._send(sent)
            console.print(
                f"{level:,} stored, {when.replace('_', ' ')}: {cost['orders_per_s']:,} orders/s,"
                f" {cost['cpu_us_per_order']:,} µs of CPU an order"
            )
        return found

    async def _send(self, orders: load.Load) -> results.Results:
        """What orders cost until nobody has work left with them: the back office comes later."""
        logged, scanned = await self._logged_and_read(), await self._scanned()
        meter = self._bed.meter()
        came, seconds = await self._bed.timed(orders, ShipmentReleased)
        await self._bed.caught_up()
        cost = meter.per_order(came)
        return {
            "orders_per_s": round(came / seconds, 1),
            "orders": came,
            **cost,
            "server_per_order": _per_order(logged, await self._logged_and_read(), came),
            "rows_scanned_per_order": _per_order(scanned, await self._scanned(), came),
        }

    async def _logged_and_read(self) -> Mapping[str, int]:
        """By the whole server so far."""
        return dict(await self._connections["orders"].fetchrow(_LOGGED_AND_READ))

    async def _scanned(self) -> Mapping[str, int]:
        """Rows so far, by service."""
        return {service: await connection.fetchval(_SCANNED) for service, connection in self._connections.items()}

    async def _bytes(self) -> int:
        sizes = [await connection.fetchval(_SIZE) for connection in self._connections.values()]
        return sum(map(int, sizes))

    async def _sizes(self) -> results.Results:
        """The largest tables and indexes of each database, and its queues."""
        found: results.Results = {}
        for service, connection in self._connections.items():
            found[service] = {
                "tables": {
                    row["name"]: {
                        "rows": row["rows"],
                        "table_mb": round(row["table_bytes"] / 2**20, 1),
                        "indexes_mb": round(row["index_bytes"] / 2**20, 1),
                    }
                    for row in await connection.fetch(_TABLES, SHOWN)
                },
                "largest_indexes_mb": {
                    row["name"]: round(row["bytes"] / 2**20, 1) for row in await connection.fetch(_INDEXES, SHOWN)
                },
                "queues": {
                    row["name"]: {
                        "rows": row["rows"],
                        "dead_rows": row["dead"],
                        "mb": round(row["bytes"] / 2**20, 1),
                    }
                    for row in await connection.fetch(_QUEUES)
                },
            }
        return found


def _per_order(before: Mapping[str, int], after: Mapping[str, int], orders: int) -> results.Results:
    return {name: round((after[name] - before[name]) / orders, 2) for name in after}


@asynccontextmanager
async def _opened(bed: Bed) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A connection to each database but the catalog's, which keeps nothing per order. As the administrator: only that
    login may make checkpoints."""
    connections = {
        service: await asyncpg.connect(bed.system.platform.postgres.url(url.rsplit("/", 1)[1]))
        for service, url in bed.system.database_urls.items()
        if service != "catalog"
    }
    try:
        yield connections
    finally:
        for connection in connections.values():
            await connection.close()


async def measure(orders: int, minutes: float, measured: int) -> results.Results:
    """Start, fill, measure, stop."""
    levels = sorted({level for level in LEVELS if level < orders} | {orders})
    async with fresh_bed() as bed, _opened(bed) as connections:
        return await Growth(bed, connections, measured).run(levels, minutes)


def _count(text: str) -> int:
    orders = int(text)
    if orders % TEMPLATES or not 0 <= orders <= MOST_COPIES * TEMPLATES:
        raise argparse.ArgumentTypeError(f"a multiple of {TEMPLATES:,}, at most {MOST_COPIES * TEMPLATES:,}")
    return orders


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--orders", type=_count, default=2_000_000, help="how many to store in the end")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no step that would end later than this")
    parser.add_argument("--measure", type=int, default=20_000, help="orders to send at each level, twice")
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure(options.orders, options.minutes, options.measure))
    results.report(found, began_at, options, console, "bench.growth")
    return 0


if __name__ == "__main__":
    sys.exit(main())
