"""A counting service on a real database, and two brokers to run it on: the one in memory and Kafka."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from oms_events import registry
from oms_events.codec import Record, encode
from oms_events.envelope import Batch, EventMeta
from oms_events.registry import Event, Topic, event, upcast
from oms_events.runtime import dead_letters
from oms_events.runtime.broker import Broker
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.kafka import KafkaSink, KafkaSource
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.ports import Partition, RecordSink, RecordSource
from oms_events.runtime.retry import Transient
from oms_events.runtime.service import Service, at, on
from oms_events.runtime.settings import Settings
from oms_events.runtime.work import Work
from oms_events.testing.memory_broker import MAX_MESSAGE_BYTES, MemoryBroker, MemorySource

PARTITIONS = 4
PATIENCE_S = 30.0

ONLY_MEMORY = pytest.mark.parametrize("bootstrap", ["memory"], indirect=True)
"""A real broker does not fail to order."""
ONLY_KAFKA = pytest.mark.parametrize("bootstrap", [pytest.param("kafka", marks=pytest.mark.integration)], indirect=True)
"""Processes of their own cannot share a broker in memory."""

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


@event(_IN)
class Leapt(Event):
    """Several steps at once, as they were told of in the old days: how many, and the first of them."""

    counter: str
    first: int
    count: int


@event(_IN, version=2)
class LeaptV2(Event):
    """Several steps at once, by number."""

    counter: str
    seqs: tuple[int, ...]


@upcast(Leapt.type, LeaptV2.type)
def _by_number(data: dict[str, Any]) -> dict[str, Any]:
    return {"counter": data["counter"], "seqs": range(data["first"], data["first"] + data["count"])}


@event(_OUT)
class Noted(Event):
    """A step was taken."""

    counter: str
    seq: int
    padding: str = ""


DECLARED = {model.type: registry._events.pop(model.type) for model in (Stepped, Ignored, Leapt, LeaptV2, Noted)}
UPCAST = {Leapt.type: registry._upcasts.pop(Leapt.type)}
"""Both taken back at once, and put in place for these tests only: the contracts' own tests must not see them."""

TABLES = (
    "create table steps (id bigint generated always as identity, counter text not null, seq int not null)",
    # Whoever writes here is kept from committing for as long as somebody holds the lock: everything is stored by then.
    "create table late (seq int not null)",
    """create function wait_for_the_gate() returns trigger language plpgsql as
       $$ begin perform pg_advisory_xact_lock_shared(77); return null; end $$""",
    """create constraint trigger late after insert on late deferrable initially deferred
       for each row execute function wait_for_the_gate()""",
)
WRITES = 25
"""How often each writing process writes."""
GATE = 77
WAIT_AT_GATE = text(f"select pg_advisory_xact_lock_shared({GATE})")
COMMIT_LATE = text("insert into late (seq) values (0)")
BUMP = text("update steps set seq = seq + 1 where counter = 'c' returning seq")
"""One aggregate's next version, under its row's lock."""
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
    gated: bool = False
    """Handlers wait for `Kit.closed_gate` to open: this works across processes."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[int] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)

    def service(self, purpose: str) -> Service:
        return Service(
            "conformance",
            consumes=[on(Stepped, self.on_stepped), on(LeaptV2, self.on_leapt)],
            deadlines=[at("bell", self.on_bell)],
            produces=[Noted],
            purpose=purpose,
        )

    async def on_stepped(self, stepped: Batch[Stepped], work: Work) -> None:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.gated:
            await work.connection.execute(WAIT_AT_GATE)
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

    async def on_leapt(self, leapt: Batch[LeaptV2], work: Work) -> None:
        steps = [(item.event.counter, seq) for item in leapt for seq in item.event.seqs]
        parameters = {"counters": [counter for counter, _ in steps], "seqs": [seq for _, seq in steps]}
        await work.connection.execute(_TAKE_STEPS, parameters)
        self.batches.append(len(leapt))

    async def on_bell(self, due: Sequence[Deadline], work: Work) -> None:
        if any((deadline.key, 0) in self.poison for deadline in due):
            raise ValueError("a bell is cracked")
        rung = [deadline.key for deadline in due]
        await work.connection.execute(_TAKE_STEPS, {"counters": rung, "seqs": [0] * len(rung)})
        self.fired += rung


class Kit:
    """One test's broker, database and service."""

    def __init__(self, database_url: str, bootstrap: str | None, *, seed: int | None = None) -> None:
        self.counting = Counting()
        self.group = f"g{uuid.uuid4().hex[:8]}"
        topics = [Stepped.topic.name, Noted.topic.name]
        self.memory = None if bootstrap else MemoryBroker(topics, partitions=PARTITIONS, seed=seed)
        self._bootstrap = bootstrap
        self._database_url = database_url
        self._feeder: RecordSink | None = None
        self._stack = AsyncExitStack()
        self.engine = create_async_engine(database_url)

    @asynccontextmanager
    async def afresh(self, *, seed: int) -> AsyncIterator["Kit"]:
        """The same database, emptied, with another broker in memory."""
        async with self.engine.begin() as connection:
            await connection.execute(text("truncate steps, inbox, outbox, dead_letters, deadlines"))
        fresh = Kit(self._database_url, None, seed=seed)
        try:
            yield fresh
        finally:
            await fresh.close()

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

    @property
    def consumer_group(self) -> str:
        return f"conformance.{self.group}"

    def source(self, member: str = "a", **changed: object) -> RecordSource:
        settings = self.settings(**changed)
        if self.memory:
            static = bool(settings.instance)
            return self.memory.source(self.consumer_group, [Stepped.topic.name], member, static=static)
        return KafkaSource(Broker.of(settings), settings, group=self.consumer_group, topics=[Stepped.topic.name])

    def sink(self, **changed: object) -> RecordSink:
        if self.memory:
            return self.memory.sink()
        return KafkaSink(Broker.of(self.settings(**changed)), client_id=self.group)

    def runtime(
        self, member: str = "a", *, counting: Counting | None = None, sink: RecordSink | None = None, **changed: object
    ) -> Runtime:
        """A process of the service, not yet started."""
        service = (counting or self.counting).service(self.group)
        settings = self.settings(**changed)
        return Runtime(service, settings, source=self.source(member, **changed), sink=sink or self.sink(**changed))

    @asynccontextmanager
    async def process(self, role: str, **changed: object) -> AsyncIterator[asyncio.subprocess.Process]:
        """A real process of the service on this kit's servers: see `process.py`. Killed at the end if it still runs."""
        settings = self.settings(**changed)
        environment = {
            f"OMS_{name.upper()}": str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in settings
        }
        topics = {"CONFORMANCE_IN": Stepped.topic.name, "CONFORMANCE_OUT": Noted.topic.name}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("process.py")),
            role,
            self.group,
            env=os.environ | environment | topics,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def broker_away(self) -> AsyncIterator["Door"]:
        """A way to the broker on which each client's first attempt fails."""
        if self.memory:
            self.memory.fail("connect")
            self.memory.fail("join")
            yield Door("unused:1", 0)
            assert self.memory.failures_left() == 0
            return
        host, port = str(self._bootstrap).split(":")
        door = Door("", 0)

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            door.knocks += 1
            if door.knocks % 2:
                writer.close()
                return
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        async with await asyncio.start_server(connect, "127.0.0.1") as server:
            door.address = "{}:{}".format(*server.sockets[0].getsockname())
            yield door
        assert door.knocks >= 6  # the check of topics, the producer, the consumer: each came twice

    @asynccontextmanager
    async def closed_gate(self) -> AsyncIterator[None]:
        """Until the end, handlers that are `gated` and transactions that `COMMIT_LATE` wait."""
        async with self.engine.begin() as connection:
            await connection.execute(text(f"select pg_advisory_xact_lock({GATE})"))
            yield

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

    async def committed(self) -> dict[Partition, int]:
        """The group's committed offsets."""
        if self.memory:
            return self.memory.committed(self.consumer_group)
        async with self._admin() as admin:
            offsets = await admin.list_consumer_group_offsets(self.consumer_group)
        return {Partition(p.topic, p.partition): said.offset for p, said in offsets.items() if said.offset >= 0}

    async def limit_messages(self, size: int) -> None:
        """From now on the topic of notes takes records up to so many bytes. Producers are not told."""
        if self.memory:
            self.memory.max_message_bytes = size
            return
        limit = {"max.message.bytes": str(size)}
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, Noted.topic.name, configs=limit)])
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap)
        await producer.start()
        try:
            # A broker takes its time to notice. What it stores meanwhile has no headers and is no note.
            async with asyncio.timeout(PATIENCE_S):
                while await _takes(producer, b"x" * (size + 1)) and size < MAX_MESSAGE_BYTES:
                    pass
        finally:
            await producer.stop()

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def dealt_with(self) -> set[tuple[str, int]]:
        """Steps that were taken or set aside."""
        both = """select counter, seq from steps union all
                  select key, (convert_from(payload, 'UTF8')::json ->> 'seq')::int from dead_letters"""
        async with self.engine.connect() as connection:
            return {(row.counter, row.seq) for row in await connection.execute(text(both))}

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

    async def end_transactions(self) -> None:
        """Take the connections away from whoever is within a transaction."""
        ending = (
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction' and pid <> pg_backend_pid()"
        )
        async with self.engine.connect() as connection:
            ended = (await connection.execute(text(ending))).scalars().all()
        assert ended
        assert all(ended)  # the relay may be within one, too

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

    async def log(self, count: int) -> list[Record]:
        """What the consumed topic holds: at least so many different events, partition by partition."""
        return await self._read(Stepped.topic.name, count)

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
                            if m.headers
                        ]
        finally:
            await consumer.stop()
        return found

    async def close(self) -> None:
        await self._stack.aclose()
        await self.engine.dispose()


def record_of(happened: Event, *, source: str = "/oms/test") -> Record:
    """An event as its producer sends it."""
    now = datetime.now(UTC)
    id_ = str(uuid.uuid4())
    return encode(happened, EventMeta(id_, source, happened.type, happened.key(), now, id_))


def structured(record: Record) -> Record:
    """The same event in CloudEvents' structured mode, where the value says everything."""
    said = {name.removeprefix("ce_"): value.decode() for name, value in record.headers if name.startswith("ce_")}
    document = json.dumps(said | {"data": json.loads(record.value or b"")}).encode()
    return record._replace(value=document, headers=[("content-type", b"application/cloudevents+json")])


def steps_of(counters: int, each: int) -> list[Stepped]:
    """Steps of several counters, taking turns."""
    return [Stepped(counter=f"c{n}", seq=seq) for seq in range(each) for n in range(counters)]


def expected_of(steps: Sequence[Stepped]) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {}
    for step in steps:
        told.setdefault(step.counter, []).append(step.seq)
    return told


async def _takes(producer: AIOKafkaProducer, value: bytes) -> bool:
    try:
        await producer.send_and_wait(Noted.topic.name, value)
    except MessageSizeTooLargeError:
        return False
    return True


@dataclass
class Door:
    """An address, and how often it was asked for a connection."""

    address: str
    knocks: int


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return  # one side has gone
    finally:
        writer.close()


def places_of(source: RecordSource) -> set[int]:
    """The partitions that a member has now."""
    if isinstance(source, MemorySource):
        return {partition.number for partition in source.positions}
    assert isinstance(source, KafkaSource)
    if source._consumer is None:
        return set()
    return {partition.partition for partition in source._consumer.assignment()}


@asynccontextmanager
async def crashing(runtime: Runtime) -> AsyncIterator[Runtime]:
    """A process that ends without draining, committing or saying good-bye, as after `kill -9`."""
    await runtime._start()
    try:
        yield runtime
    finally:
        await crash(runtime)


async def crash(runtime: Runtime) -> None:
    """End a running process where it stands."""
    for task in runtime._tasks:
        task.cancel()
    await asyncio.gather(*runtime._tasks, return_exceptions=True)
    await runtime._sink.stop()
    await runtime.close()
