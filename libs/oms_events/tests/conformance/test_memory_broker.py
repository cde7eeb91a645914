"""The broker in memory: what it may do to records, and what it may not."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from hypothesis import given
from hypothesis import strategies as st

from oms_events.codec import Record
from oms_events.runtime.ports import Partition, SendOvertaken
from oms_events.testing.memory_broker import CALM, MAX_MESSAGE_BYTES, MemoryBroker, MemorySource

TOPIC = "t"
TIRELESS_S = 5.0


def record(key: str, number: int) -> Record:
    return Record(TOPIC, key.encode(), str(number).encode(), [])


async def nothing() -> None:
    """A member with nothing in hand."""


async def fill(broker: MemoryBroker, keys: int = 7, each: int = 12) -> None:
    sink = broker.sink()
    for number in range(each):
        await (await sink.send([record(f"k{key}", number) for key in range(keys)]))


async def drain(broker: MemoryBroker, source: MemorySource) -> list[Record]:
    """Everything there is, committed as it comes."""
    got: list[Record] = []
    async with asyncio.timeout(TIRELESS_S):
        while any(broker.committed("g").get(p, 0) < len(broker.log_of(p)) for p in broker.partitions_of([TOPIC])):
            taken = await source.fetch(max_records=5, timeout_ms=1)
            got += taken
            await source.commit({Partition(TOPIC, r.partition): r.offset + 1 for r in taken})
    return got


def numbers(records: Sequence[Record], key: str) -> list[int]:
    return [int(r.value or b"") for r in records if r.key == key.encode()]


@given(seed=st.integers(0, 2**32))
async def test_nothing_is_lost_and_each_partition_keeps_its_order(seed: int) -> None:
    broker = MemoryBroker([TOPIC], seed=seed)
    await fill(broker)
    source = broker.source("g", [TOPIC])
    await source.start(nothing)
    got = await drain(broker, source)
    await source.stop()
    for key in range(7):
        first_times = list(dict.fromkeys(numbers(got, f"k{key}")))
        assert first_times == list(range(12))


async def test_the_same_seed_gives_the_same_day() -> None:
    async def day(seed: int) -> list[tuple[int, int]]:
        broker = MemoryBroker([TOPIC], seed=seed)
        await fill(broker)
        return [(r.partition, r.offset) for r in broker.records(TOPIC)]

    assert await day(4) == await day(4)
    assert len({len(await day(seed)) for seed in range(20)}) > 1


async def test_after_a_rebalance_reading_goes_on_from_the_committed_offset() -> None:
    broker = MemoryBroker([TOPIC], partitions=1, manners=CALM)
    await fill(broker, keys=1)
    source = broker.source("g", [TOPIC])
    await source.start(nothing)
    await source.fetch(max_records=9, timeout_ms=0)
    await source.commit({Partition(TOPIC, 0): 4})
    before = source.generation
    await broker.rebalance("g")
    assert source.generation > before
    assert (await source.fetch(max_records=1, timeout_ms=0))[0].offset == 4


async def test_a_member_is_waited_for_before_its_partitions_go() -> None:
    broker = MemoryBroker([TOPIC], partitions=2, manners=CALM)
    done = asyncio.Event()
    first, second = broker.source("g", [TOPIC], "a"), broker.source("g", [TOPIC], "b")
    await first.start(lambda: _wait(done))
    joining = asyncio.create_task(second.start(nothing))
    await asyncio.sleep(0)
    assert not joining.done()
    assert second.positions == {}
    done.set()
    await joining
    assert [len(first.positions), len(second.positions)] == [1, 1]


async def _wait(done: asyncio.Event) -> None:
    await done.wait()


async def test_a_failed_send_takes_along_what_was_queued_behind_it() -> None:
    broker = MemoryBroker([TOPIC], manners=CALM)
    sink = broker.sink()
    generation = sink.generation
    broker.fail("send")
    answers = [await sink.send([record("k", number)]) for number in range(3)]
    assert all(isinstance(e, KafkaError) for e in await asyncio.gather(*answers, return_exceptions=True))
    with pytest.raises(SendOvertaken):
        await sink.send([record("k", 3)], generation=generation)
    await (await sink.send([record("k", 4)], generation=sink.generation))
    assert numbers(broker.records(TOPIC), "k") == [4]


async def test_what_kafka_refuses_is_refused() -> None:
    broker = MemoryBroker([TOPIC])
    with pytest.raises(MessageSizeTooLargeError):
        await broker.sink().send([Record(TOPIC, b"k", b"x" * (MAX_MESSAGE_BYTES + 1), [])])
    with pytest.raises(UnknownTopicOrPartitionError):
        await broker.sink().send([Record("nowhere", b"k", b"", [])])
    with pytest.raises(UnknownTopicOrPartitionError):
        await broker.source("g", ["nowhere"]).start(nothing)


async def test_quiet_waits_for_a_member_at_work_and_for_what_comes_of_it() -> None:
    broker = MemoryBroker([TOPIC], manners=CALM)
    source, sink = broker.source("g", [TOPIC]), broker.sink()
    await source.start(nothing)
    told: list[int] = []

    async def consume() -> None:
        while len(told) < 5:
            for taken in await source.fetch(max_records=10, timeout_ms=1000):
                number = int(taken.value or b"")
                told.append(number)
                if number < 4:  # each has a consequence
                    await (await sink.send([record("k", number + 1)]))
        await source.fetch(max_records=1, timeout_ms=1000)

    await (await sink.send([record("k", 0)]))
    consuming = asyncio.create_task(consume())
    await broker.quiet()
    assert told == [0, 1, 2, 3, 4]
    consuming.cancel()


async def test_quiet_names_what_is_left() -> None:
    broker = MemoryBroker([TOPIC], partitions=1, manners=CALM)
    await broker.source("g", [TOPIC]).start(nothing)
    await fill(broker, keys=1, each=3)
    with pytest.raises(TimeoutError, match="g lacks 3 of t-0"):
        await broker.quiet(timeout_s=0.05)
