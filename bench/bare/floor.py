"""Runs the bare pipeline on a given broker and database server, and measures it."""

import asyncio
import secrets
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.bare import pipeline
from bench.bare.pipeline import ENCODER, FIRST, HOPS, LAST, TOPICS, Home, Line, Record, Told, send, sender
from oms_events.runtime.retry import backoff
from oms_sample import measure

SKUS = [f"B{number:05}" for number in range(10_000)]
PATIENCE_S = 30.0
_HOME = Home("GB", "England", "London", "SE1 1AB", "t-bench")
_ROW_OPERATIONS = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_user_tables"

Pids = Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Floor:
    """How fast it was. `cpu_us_per_order` by kind of process; the driver counts as Python. Kinds that do not run
    on this machine are missing."""

    orders: int
    orders_per_s: float
    cpu_us_per_order: Mapping[str, float]
    row_operations_per_order: float
    partitions: int


class Unfinished(Exception):
    """Orders got stuck on their way."""


async def run(
    bootstrap: str, postgres_url: str, *, orders: int, partitions: int = 4, warm_up: int = 2_000, pids: Pids
) -> Floor:
    """All orders wait in the first topic when the clock starts; it stops when the last is dispatchable.

    Databases and topics are made under a name of their own and dropped at the end. `postgres_url` is the login of
    an administrator; `pids` names the processes `postgres` and `kafka` where they run here. Raises Unfinished.
    """
    prefix = f"bare-{secrets.token_hex(3)}-"
    async with _databases(postgres_url, prefix) as urls, _topics(bootstrap, prefix, partitions):
        rows = await _row_operations(urls)
        async with _services(prefix, bootstrap, urls) as workers, _arrivals(bootstrap, prefix) as arrivals:
            draw = Random(prefix)
            await _fill(bootstrap, prefix, warm_up, draw)
            await arrivals.until(warm_up)
            await _analyse(urls)  # plans made while tables were empty would scan them for ever
            with _standing_still(workers.values()):
                await _fill(bootstrap, prefix, orders, draw)
            before, began = _cpu_seconds(pids, workers), time.time()
            await arrivals.until(warm_up + orders)
            used = measure.spent(before, _cpu_seconds(pids, workers))
        rows = await _row_operations(urls) - rows  # counted once the services are gone: a server tells of them late
    return Floor(
        orders=orders,
        orders_per_s=round(orders / (arrivals.last_at - began), 1),
        cpu_us_per_order=_by_kind(used, orders),
        row_operations_per_order=round(rows / (warm_up + orders), 1),
        partitions=partitions,
    )


def local_pids(bootstrap: str, postgres_url: str) -> dict[str, int]:
    """Who listens at these addresses, where that is a process of this machine that we may see."""
    ports = {"kafka": int(bootstrap.rsplit(":", 1)[1]), "postgres": urlsplit(postgres_url).port or 5432}
    found: dict[str, int] = {}
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            for name, port in ports.items():
                if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:] == (port,):
                    found[name] = min(connection.pid, found.get(name, connection.pid))
    return found


def _cpu_seconds(pids: Pids, workers: Mapping[str, int]) -> dict[str, float]:
    return measure.cpu_seconds(lambda: {**pids(), **workers})


def _by_kind(used: Mapping[str, float], orders: int) -> dict[str, float]:
    names = {"postgres": "postgres", "kafka": "broker"}
    sums: dict[str, float] = {}
    for name, seconds in used.items():
        kind = names.get(name, "python")
        sums[kind] = sums.get(kind, 0.0) + seconds
    return measure.per_item_us(sums, orders)


# --- what it needs --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _databases(admin_url: str, prefix: str) -> AsyncIterator[dict[str, str]]:
    """A database for each service. Yields their URLs."""
    names = {service: f"{prefix}{service}" for service in HOPS}
    admin = await asyncpg.connect(admin_url)
    try:
        for name in names.values():
            await admin.execute(f'create database "{name}"')
        urls = {service: urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}")) for service, name in names.items()}
        for service, url in urls.items():
            connection = await asyncpg.connect(url)
            await pipeline.prepare(service, connection, SKUS)
            await connection.execute("analyze")
            await connection.close()
        yield urls
    finally:
        for name in names.values():
            await admin.execute(f'drop database if exists "{name}" with (force)')
        await admin.close()


@asynccontextmanager
async def _topics(bootstrap: str, prefix: str, partitions: int) -> AsyncIterator[None]:
    names = [prefix + topic for topic in TOPICS]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        for wait in backoff(first=0.1, cap=1.0):  # the broker answers before it has heard of them itself
            if set(names) <= set(await admin.list_topics()):
                break
            await asyncio.sleep(wait)
        yield
    finally:
        await admin.delete_topics(names)
        await admin.close()


@asynccontextmanager
async def _services(prefix: str, bootstrap: str, urls: Mapping[str, str]) -> AsyncIterator[dict[str, int]]:
    """One process a service. Yields their pids."""
    processes: dict[str, Process] = {}
    try:
        for service, url in urls.items():
            processes[service] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", pipeline.__name__, service, prefix, bootstrap, url
            )
        yield {service: process.pid for service, process in processes.items()}
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.terminate()
        for process in processes.values():
            await process.wait()


@contextmanager
def _standing_still(pids: Iterable[int]) -> Iterator[None]:
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


async def _analyse(urls: Mapping[str, str]) -> None:
    for url in urls.values():
        connection = await asyncpg.connect(url)
        await connection.execute("analyze")
        await connection.close()


async def _row_operations(urls: Mapping[str, str]) -> int:
    """Rows inserted, updated and deleted so far, as the databases count them."""
    total = 0
    for url in urls.values():
        connection = await asyncpg.connect(url)
        total += int(await connection.fetchval(_ROW_OPERATIONS))
        await connection.close()
    return total


# --- both ends ------------------------------------------------------------------------------------------------------


async def _fill(bootstrap: str, prefix: str, count: int, draw: Random) -> None:
    """Append orders of one piece of each of two SKUs to the first topic."""
    async with sender(bootstrap) as producer:
        for start in range(0, count, 1_000):
            records = [_told(prefix, draw) for _ in range(start, min(start + 1_000, count))]
            for ack in await send(producer, records):
                await ack


def _told(prefix: str, draw: Random) -> Record:
    order_id = f"{time.time_ns() // 1_000_000:012x}{draw.getrandbits(80):020x}"
    lines = tuple(Line(str(place), sku, 1, 250) for place, sku in enumerate(draw.sample(SKUS, 2), start=1))
    told = Told(
        pipeline.derived(order_id, "told"), order_id, "bench", "main", order_id, "GBP", lines, 500, _HOME, "standard"
    )
    return Record(prefix + FIRST, order_id.encode(), ENCODER.encode(told))


class _Arrivals:
    """Counts what comes to the last topic."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._came = 0
        self.last_at = 0.0
        """When the latest was published, in seconds since the epoch."""

    async def until(self, count: int) -> None:
        """Wait until so many came in all. Raises Unfinished when none comes for `PATIENCE_S`."""
        moved_at = time.monotonic()
        while self._came < count:
            fetched = (await self._consumer.getmany(timeout_ms=1000)).values()
            for records in fetched:
                self._came += len(records)
                self.last_at = max(self.last_at, records[-1].timestamp / 1000)
                moved_at = time.monotonic()
            if time.monotonic() - moved_at > PATIENCE_S:
                raise Unfinished(f"{self._came:,} of {count:,} orders came to the end")


@asynccontextmanager
async def _arrivals(bootstrap: str, prefix: str) -> AsyncIterator[_Arrivals]:
    consumer = AIOKafkaConsumer(prefix + LAST, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield _Arrivals(consumer)
    finally:
        await consumer.stop()
