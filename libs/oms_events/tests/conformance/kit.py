"""A counting service on a real database, and two brokers to run it on: the one in memory and Kafka."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from oms_events import registry
from oms_events.codec import Record, encode
from oms_events.envelope import Batch, EventMeta
from oms_events.registry import Event, Topic, event
from oms_events.runtime import dead_letters
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.kafka import KafkaSink, KafkaSource
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.ports import RecordSink, RecordSource
from oms_events.runtime.retry import Transient
from oms_events.runtime.service import Service, at, on
from oms_events.runtime.settings import Settings
from oms_events.runtime.work import Work
from oms_events.testing.memory_broker import MemoryBroker

PARTITIONS = 4
PATIENCE_S = 30.0

ONLY_MEMORY = pytest.mark.parametrize("bootstrap", ["memory"], indirect=True)
"""A real broker does not fail to order."""

_IN = Topic("oms.conformance.step.v1", key="counter")
_OUT = Topic("oms.conformance.note.v1", key="counter")


@event(_IN)
class Stepped(Event):
    """A counter should take its next step."""

    counter: str
    seq: int
    padding: str = ""


@event(_IN)
class Ignored(Event):
    """An event nobody here handles."""

    counter: str


@event(_OUT)
class Noted(Event):
    """A step was taken."""

    counter: str
    seq: int
    padding: str = ""


DECLARED = {model.type: registry._events.pop(model.type) for model in (Stepped, Ignored, Noted)}
"""Taken back at once, and put in place for these tests only: the contracts' own tests must not see them."""

TABLE = "create table steps (id bigint generated always as identity, counter text not null, seq int not null)"
_TAKE_STEPS = text(
    "insert into steps (counter, seq) select * from unnest(cast(:counters as text[]), cast(:seqs as int[]))"
)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition. Raises TimeoutError when it does not come true."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.01)


@dataclass
class Counting:
    """The service's handlers, and what a test does to them."""

    poison: set[tuple[str, int]] = field(default_factory=set)
    transient_failures: int = 0
    hold: asyncio.Event | None = None
    """Handlers wait for it."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[int] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)

    def service(self, purpose: str) -> Service:
        return Service(
            "conformance",
            consumes=[on(Stepped, self.on_stepped)],
            deadlines=[at("bell", self.on_bell)],
            produces=[Noted],
            purpose=purpose,
        )

    async def on_stepped(self, stepped: Batch[Stepped], work: Work) -> None:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.transient_failures:
            self.transient_failures -= 1
            raise Transient("the database is away for a moment")
        for item in stepped:
            if (item.event.counter, item.event.seq) in self.poison:
                raise ValueError(f"cannot digest {item.event.counter} {item.event.seq}")
        parameters = {"counters": [s.event.counter for s in stepped], "seqs": [s.event.seq for s in stepped]}
        await work.connection.execute(_TAKE_STEPS, parameters)
        for item in stepped:
            noted = Noted(counter=item.event.counter, seq=item.event.seq, padding=item.event.padding)
            work.emit(noted, cause=item.meta)
        self.batches.append(len(stepped))

    async def on_bell(self, due: Sequence[Deadline], work: Work) -> None:
        if any((deadline.key, 0) in self.poison for deadline in due):
            raise ValueError("a bell is cracked")
        rung = [deadline.key for deadline in due]
        await work.connection.execute(_TAKE_STEPS, {"counters": rung, "seqs": [0] * len(rung)})
        self.fired += rung


class Kit:
    """One test's broker, database and service."""

    def __init__(self, database_url: str, bootstrap: str | None) -> None:
        self.counting = Counting()
        self.group = f"g{uuid.uuid4().hex[:8]}"
        self.memory = None if bootstrap else MemoryBroker([Stepped.topic.name, Noted.topic.name], partitions=PARTITIONS)
        self._bootstrap = bootstrap
        self._database_url = database_url
        self._feeder: RecordSink | None = None
        self._stack = AsyncExitStack()
        self.engine = create_async_engine(database_url)

    def settings(self, **changed: object) -> Settings:
        terms: dict[str, object] = {
            "database_url": SecretStr(self._database_url),
            "kafka_bootstrap": self._bootstrap or "unused:1",
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 300,
            "commit_interval_s": 0.1,
            "relay_interval_s": 0.05,
            "relay_age_s": 0.3,
            "deadline_interval_s": 0.05,
            "drain_timeout_s": 5.0,
            "pool_size": 3,
        }
        return Settings(**(terms | changed))

    def source(self, member: str = "a") -> RecordSource:
        if self.memory:
            return self.memory.source(self.group, [Stepped.topic.name], member)
        return KafkaSource(self.settings(), group=self.group, topics=[Stepped.topic.name])

    def sink(self) -> RecordSink:
        return self.memory.sink() if self.memory else KafkaSink(self.settings(), client_id=f"{self.group}-test")

    def runtime(
        self, member: str = "a", *, counting: Counting | None = None, sink: RecordSink | None = None, **changed: object
    ) -> Runtime:
        """A process of the service, not yet started."""
        service = (counting or self.counting).service(self.group)
        settings = self.settings(**changed)
        return Runtime(service, settings, source=self.source(member), sink=sink or self.sink())

    async def append(self, *events: Event) -> None:
        """Events that happened elsewhere, in order."""
        await self.append_records(*(record_of(happened) for happened in events))

    async def append_records(self, *records: Record) -> None:
        if self._feeder is None:
            self._feeder = self.sink()
            await self._feeder.start()
            self._stack.push_async_callback(self._feeder.stop)
        for record in records:
            await (await self._feeder.send([record]))

    async def steps(self) -> dict[str, list[int]]:
        """What each counter did, in the order in which it was done."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("select counter, seq from steps order by id"))
            taken: dict[str, list[int]] = {}
            for row in rows:
                taken.setdefault(row.counter, []).append(row.seq)
            return taken

    async def until_steps(self, expected: dict[str, list[int]]) -> None:
        """Wait until so many steps were taken, and check that it was these, in this order."""
        wanted = sum(map(len, expected.values()))

        async def enough() -> bool:
            return sum(map(len, (await self.steps()).values())) >= wanted

        await until(enough)
        assert await self.steps() == expected

    async def letters(self) -> list[tuple[str, str]]:
        """Key and state of every dead letter, oldest first."""
        async with self.engine.connect() as connection:
            rows = await dead_letters.list_letters(connection, closed=True, limit=500)
            return [(row["key"], row["state"]) for row in rows]

    async def letter_id(self, key: str) -> int:
        """The oldest open letter of a key."""
        async with self.engine.connect() as connection:
            return next(row["id"] for row in await dead_letters.list_letters(connection) if row["key"] == key)

    async def outbox(self) -> int:
        """Rows not yet published and cleared."""
        async with self.engine.connect() as connection:
            return int((await connection.execute(text("select count(*) from outbox"))).scalar_one())

    async def somebody_waits_for_a_lock(self) -> bool:
        async with self.engine.connect() as connection:
            waiting = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            return bool((await connection.execute(text(waiting))).scalar_one())

    async def notes(self, count: int) -> dict[str, list[int]]:
        """What was published, each event once, in the order of the log."""
        records = await self._read(Noted.topic.name, count)
        seen: set[bytes] = set()
        told: dict[str, list[int]] = {}
        for record in records:
            id_ = dict(record.headers)["ce_id"]
            if id_ not in seen:
                seen.add(id_)
                note = json.loads(record.value or b"")
                told.setdefault(note["counter"], []).append(note["seq"])
        return told

    async def _read(self, topic: str, count: int) -> list[Record]:
        """At least so many different events of a topic, partition by partition."""
        found: list[Record] = []

        def enough() -> bool:
            return len({dict(record.headers)["ce_id"] for record in found}) >= count

        if self.memory:
            memory = self.memory

            async def stored() -> bool:
                found[:] = memory.records(topic)
                return enough()

            await until(stored)
            return found
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not enough():
                    for messages in (await consumer.getmany(timeout_ms=100)).values():
                        found += [
                            Record(m.topic, m.key, m.value, m.headers, m.partition, m.offset, m.timestamp)
                            for m in messages
                        ]
        finally:
            await consumer.stop()
        return found

    async def close(self) -> None:
        await self._stack.aclose()
        await self.engine.dispose()


def record_of(happened: Event) -> Record:
    """An event as its producer sends it."""
    now = datetime.now(UTC)
    id_ = str(uuid.uuid4())
    return encode(happened, EventMeta(id_, "/test", happened.type, happened.key(), now, id_))


def steps_of(counters: int, each: int) -> list[Stepped]:
    """Steps of several counters, taking turns."""
    return [Stepped(counter=f"c{n}", seq=seq) for seq in range(each) for n in range(counters)]


def expected_of(steps: Sequence[Stepped]) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {}
    for step in steps:
        told.setdefault(step.counter, []).append(step.seq)
    return told


@asynccontextmanager
async def crashing(runtime: Runtime) -> AsyncIterator[Runtime]:
    """A process that ends without draining, committing or saying good-bye, as after `kill -9`."""
    await runtime._start()
    try:
        yield runtime
    finally:
        for task in runtime._tasks:
            task.cancel()
        await asyncio.gather(*runtime._tasks, return_exceptions=True)
        await runtime._sink.stop()
        await runtime.close()
