"""The broker in memory: what it may do to records, and what it may not."""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka.errors import IllegalStateError, KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from hypothesis import given
from hypothesis import strategies as st

from oms_events.codec import Record
from oms_events.runtime.ports import Partition, SendOvertaken
from oms_events.testing.memory_broker import CALM, MAX_MESSAGE_BYTES, Manners, MemoryBroker, MemorySource

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


async def fetched(source: MemorySource, *, max_records: int, timeout_ms: int) -> list[Record]:
    taken: list[Record] = []
    await source.fetch(taken.extend, max_records=max_records, timeout_ms=timeout_ms)
    return taken


async def drain(broker: MemoryBroker, source: MemorySource) -> list[Record]:
    """Everything there is, committed as it comes."""
    got: list[Record] = []
    async with asyncio.timeout(TIRELESS_S):
        while any(broker.committed("g").get(p, 0) < len(broker.log_of(p)) for p in broker.partitions_of([TOPIC])):
            taken = await fetched(source, max_records=5, timeout_ms=1)
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


@given(seed=st.integers(0, 2**32), turns=st.randoms(use_true_random=False))
async def test_the_same_seed_gives_the_same_decisions_whoever_comes_first(seed: int, turns: random.Random) -> None:
    """Two senders and a reader decide the same whatever turns the machine lets them take."""

    async def day(turns: random.Random) -> tuple[list[list[int]], dict[Partition, list[int]]]:
        broker = MemoryBroker([TOPIC], seed=seed, manners=Manners(hold_back=0.5, send_again=0, rebalance=0))
        await fill(broker)
        source = broker.source("g", [TOPIC])
        await source.start(nothing)
        pieces: dict[Partition, list[int]] = {partition: [] for partition in broker.partitions_of([TOPIC])}
        while any(len(broker.log_of(p)) > at for p, at in source.positions.items()):
            for _ in range(turns.randrange(3)):
                await asyncio.sleep(0)
            before = dict(source.positions)
            await fetched(source, max_records=10_000, timeout_ms=0)
            for partition, at in source.positions.items():
                if before[partition] < len(broker.log_of(partition)):
                    pieces[partition].append(at - before[partition])
        again = [[broker.dice("sink", str(number)).randrange(100) for _ in range(5)] for number in range(3)]
        return again, pieces

    assert await day(turns) == await day(random.Random(0))


FAILING = """
from oms_events.testing.memory_broker import MemoryBroker

def test_that_fails():
    broker = MemoryBroker(["t"])
    raise AssertionError(f"dice {[broker.dice('any').randrange(100) for _ in range(10)]}")
"""


def test_a_failing_test_tells_its_seed_and_can_be_played_again(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)

    def play(*options: str) -> tuple[str, str]:
        command = [sys.executable, "-m", "pytest", "-p", "oms_events.testing.fixtures", "-q", *options, "test_it.py"]
        alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        said = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False).stdout
        told = re.search(r"seed (\d+): play it again with --seed \1", said)
        thrown = re.search(r"AssertionError: (dice .*)", said)
        assert told is not None, said
        assert thrown is not None, said
        return told[1], thrown[1]

    seed, thrown = play()
    assert play("--seed", seed) == (seed, thrown)


async def test_a_static_member_keeps_its_partitions_until_its_session_ends() -> None:
    broker = MemoryBroker([TOPIC], manners=CALM)
    await fill(broker)
    staying, leaving = (broker.source("g", [TOPIC], name, static=True) for name in "ab")
    await staying.start(nothing)
    await leaving.start(nothing)
    had, generation = set(leaving.positions), staying.generation
    await leaving.stop()
    back = broker.source("g", [TOPIC], "b", static=True)
    await back.start(nothing)
    assert set(back.positions) == had
    assert staying.generation == generation
    await back.stop()
    with pytest.raises(IllegalStateError):
        await broker.expire("g", "a")
    await broker.expire("g", "b")
    assert set(staying.positions) == set(broker.partitions_of([TOPIC]))
    assert staying.generation > generation


async def test_two_live_members_of_one_name_are_refused() -> None:
    """Kafka would serve both, and nothing would fence them: a test must not rest on that."""
    broker = MemoryBroker([TOPIC], manners=CALM)
    await broker.source("g", [TOPIC], "a", static=True).start(nothing)
    with pytest.raises(IllegalStateError, match="called a"):
        await broker.source("g", [TOPIC], "a", static=True).start(nothing)


async def test_a_topic_that_takes_less_refuses_after_the_send_and_takes_along_what_was_queued_behind() -> None:
    broker = MemoryBroker([TOPIC], manners=CALM)
    broker.max_message_bytes = 10
    sink = broker.sink()
    generation = sink.generation
    answers = [await sink.send([Record(TOPIC, b"k", value, [])]) for value in (b"1", b"x" * 11, b"2")]
    told = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(error).__name__ for error in told] == [
        "NoneType",
        "MessageSizeTooLargeError",
        "OutOfOrderSequenceNumber",
    ]
    assert sink.generation > generation
    assert numbers(broker.records(TOPIC), "k") == [1]


async def test_after_a_rebalance_reading_goes_on_from_the_committed_offset() -> None:
    broker = MemoryBroker([TOPIC], partitions=1, manners=CALM)
    await fill(broker, keys=1)
    source = broker.source("g", [TOPIC])
    await source.start(nothing)
    await fetched(source, max_records=9, timeout_ms=0)
    await source.commit({Partition(TOPIC, 0): 4})
    before = source.generation
    await broker.rebalance("g")
    assert source.generation > before
    assert (await fetched(source, max_records=1, timeout_ms=0))[0].offset == 4


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


@pytest.mark.parametrize("static", [False, True])
async def test_a_member_that_dies_while_it_joins_takes_nothing_along(static: bool) -> None:
    broker = MemoryBroker([TOPIC], manners=CALM)
    await fill(broker)

    async def give_up() -> None:
        """Just as everything is taken from this member, the one for whom it is done dies."""
        if not joining.cancelling():
            asyncio.get_running_loop().call_soon(joining.cancel)

    staying, dying = broker.source("g", [TOPIC], "a"), broker.source("g", [TOPIC], "b", static=static)
    await staying.start(give_up)
    joining = asyncio.create_task(dying.start(nothing))
    with pytest.raises(asyncio.CancelledError):
        await joining
    if static:  # the group waits for it to come back
        await broker.expire("g", "b")
    assert len(await drain(broker, staying)) == 7 * 12


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
            for taken in await fetched(source, max_records=10, timeout_ms=1000):
                number = int(taken.value or b"")
                told.append(number)
                if number < 4:  # each has a consequence
                    await (await sink.send([record("k", number + 1)]))
        await fetched(source, max_records=1, timeout_ms=1000)

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
