"""Each event is applied once, each key's in order, whatever happens to members, handlers and offsets."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from prometheus_client import REGISTRY

from oms_events.codec import Record
from oms_events.envelope import Batch
from oms_events.registry import Event, Topic
from oms_events.runtime import kafka, runner
from oms_events.runtime.broker import Broker
from oms_events.runtime.courtesy import Courtesy
from oms_events.runtime.kafka import KafkaSink, TopicsMissing, partition_of
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.ports import Partition, Take
from oms_events.runtime.work import Work
from oms_events.testing.memory_broker import CALM, MemorySource

from .kit import (
    ONLY_KAFKA,
    ONLY_MEMORY,
    PARTITIONS,
    PATIENCE_S,
    Counting,
    Ignored,
    Kit,
    Leapt,
    LeaptV2,
    Stepped,
    crashing,
    expected_of,
    places_of,
    record_of,
    steps_of,
    structured,
    until,
)


async def test_everything_is_applied_once_and_in_order(kit: Kit) -> None:
    steps = steps_of(counters=20, each=10)
    async with kit.runtime().running():
        await kit.append(*steps)
        await kit.until_steps(expected_of(steps))


async def test_what_waits_is_taken_in_batches(kit: Kit) -> None:
    steps = steps_of(counters=20, each=10)
    await kit.append(*steps)
    async with kit.runtime().running():
        await kit.until_steps(expected_of(steps))
    assert len(kit.counting.batches) < len(steps) / 2
    kit.counting.batches.clear()
    async with kit.runtime(batch_max_records=3).running():
        await kit.append(*(Stepped(counter="more", seq=seq) for seq in range(9)))
        await kit.until_steps(expected_of(steps) | {"more": list(range(9))})
    assert max(kit.counting.batches) <= 3


@ONLY_KAFKA
@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_its_sender_compressed_is_read(kit: Kit, compression: str) -> None:
    # Padded: what would not get smaller is sent as it is.
    steps = [Stepped(counter="c", seq=seq, padding="x" * 1_000) for seq in range(3)]
    async with (
        AIOKafkaProducer(bootstrap_servers=kit.settings().kafka_bootstrap, compression_type=compression) as producer,
        kit.runtime().running(),
    ):
        for record in map(record_of, steps):
            await producer.send_and_wait(record.topic, record.value, record.key, headers=list(record.headers))
        await kit.until_steps(expected_of(steps))


async def test_errors_that_pass_are_waited_out(kit: Kit) -> None:
    kit.counting.transient_failures = 3
    steps = steps_of(counters=3, each=3)
    async with kit.runtime().running():
        await kit.append(*steps)
        await kit.until_steps(expected_of(steps))
    assert kit.counting.transient_failures == 0
    assert await kit.letters() == []


async def test_a_batch_in_hand_is_finished_before_its_partitions_go_to_someone_else(kit: Kit) -> None:
    kit.counting.hold = asyncio.Event()
    second = Counting()
    steps = steps_of(counters=12, each=2)
    await kit.append(*steps)
    async with kit.runtime("a").running():
        await kit.counting.entered.wait()
        async with kit.runtime("b", counting=second).running():
            assert not second.entered.is_set()
            kit.counting.hold.set()
            await kit.until_steps(expected_of(steps))


async def test_stopping_finishes_the_batch_in_hand_and_says_how_far_it_came(kit: Kit) -> None:
    steps = steps_of(counters=1, each=5)
    await kit.append(*steps)
    kit.counting.hold = asyncio.Event()
    async with kit.runtime(commit_interval_s=1e9).running():
        await kit.counting.entered.wait()
        asyncio.get_running_loop().call_later(0.05, kit.counting.hold.set)
    told = await kit.steps()
    done = len(told.get("c0", []))
    assert done >= 1
    again: list[Record] = []
    source = kit.source("b")
    await source.start(_nothing)

    async def something() -> bool:
        await source.fetch(again.extend, max_records=100, timeout_ms=100)
        return done == 5 or bool(again)

    await kit.append(Stepped(counter="c0", seq=5))
    await until(something)
    await source.stop()
    # Nothing that was applied is read again. By offset: a sender in doubt may have stored a step once more, further on.
    applied = min(record.offset for record in await kit.log(count=6) if _seq(record) == done - 1)
    assert all(record.offset > applied for record in again)


async def test_who_waits_for_work_stops_at_once(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_IDLE_FETCH_MS", 60_000)
    steps = steps_of(counters=3, each=2)
    stopping = asyncio.timeout(None)
    async with stopping, kit.runtime(drain_timeout_s=60.0).running():
        await kit.append(*steps)
        await kit.until_steps(expected_of(steps))
        stopping.reschedule(asyncio.get_running_loop().time() + PATIENCE_S)


async def _nothing() -> None:
    """A member with nothing in hand."""


def _seq(record: Record) -> int:
    return Stepped.model_validate_json(record.value or b"").seq


async def until_taken(kit: Kit, count: int) -> None:
    """Wait until so many steps were taken, whichever."""

    async def enough() -> bool:
        return sum(map(len, (await kit.steps()).values())) >= count

    await until(enough)


@pytest.mark.parametrize("members", [2, 3, 4])
async def test_members_come_and_go_while_records_flow(kit: Kit, members: int) -> None:
    steps = steps_of(counters=24, each=4 * members)
    ways = [Counting() for _ in range(members)]
    share = len(steps) // (2 * members)
    shares = iter([steps[place : place + share] for place in range(0, len(steps), share)])
    async with AsyncExitStack() as all_of_them:
        for number, counting in enumerate(ways):
            runtime = kit.runtime(f"m{number}", counting=counting, batch_max_records=10)
            await all_of_them.enter_async_context(runtime.running())
            await kit.append(*next(shares))  # these find the group taking in a member
            await until_it_has_partitions(runtime)
        for some in shares:
            await kit.append(*some)
        await until_taken(kit, len(steps) - share)  # the last records find the members leaving, one after the other
    async with kit.runtime("late").running():
        await kit.until_steps(expected_of(steps))
        assert await kit.notes(len(steps)) == expected_of(steps)
    assert all(counting.batches for counting in ways)


async def until_it_has_partitions(runtime: Runtime) -> None:
    async def has_some() -> bool:
        return bool(places_of(runtime._source))

    await until(has_some)


async def test_a_member_with_a_name_has_its_partitions_again_and_nobody_else_notices(kit: Kit) -> None:
    if kit.memory:
        kit.memory.manners = CALM  # it rebalances for no reason
    first = kit.runtime("a", instance="a")
    other = Counting()
    async with kit.runtime("b", counting=other, instance="b").running() as staying:
        source = staying.runner._source
        async with first.running():

            async def shared() -> bool:
                return len(places_of(source)) == len(places_of(first.runner._source)) == 2

            await until(shared)
            generation, kept, before = source.generation, places_of(source), places_of(first.runner._source)
        steps = steps_of(counters=16, each=3)
        await kit.append(*steps)
        await until_taken(kit, sum(_place(step) in kept for step in steps))
        taken = await kit.steps()
        assert {_place(Stepped(counter=counter, seq=0)) for counter in taken} <= kept
        back = kit.runtime("a", instance="a")
        async with back.running():
            await kit.until_steps(expected_of(steps))
            assert places_of(back.runner._source) == before
        assert (source.generation, places_of(source)) == (generation, kept)


def _place(step: Stepped) -> int:
    return partition_of(step.counter.encode(), range(PARTITIONS))


async def test_after_a_crash_everything_is_read_again_and_applied_once(kit: Kit) -> None:
    if kit.memory:
        kit.memory.manners = CALM  # a rebalance would commit
    steps = steps_of(counters=8, each=4)
    await kit.append(*steps)
    async with crashing(kit.runtime("a", commit_interval_s=1e9)):
        await kit.until_steps(expected_of(steps))
    before = _duplicates(kit)
    async with kit.runtime("a").running():
        await kit.append(Stepped(counter="c0", seq=4))
        expected = expected_of(steps)
        await kit.until_steps(expected | {"c0": [*expected["c0"], 4]})

        async def read_again() -> bool:
            return _duplicates(kit) >= before + len(steps)

        await until(read_again)


def _duplicates(kit: Kit) -> float:
    labels = {"group": kit.consumer_group, "type": Stepped.type, "outcome": "duplicate"}
    return REGISTRY.get_sample_value("oms_consumer_records_total", labels) or 0.0


async def test_a_crash_within_a_batch_leaves_nothing_half_done(kit: Kit) -> None:
    steps = steps_of(counters=4, each=4)
    await kit.append(*steps)
    kit.counting.hold = asyncio.Event()
    async with crashing(kit.runtime("a")):
        await kit.counting.entered.wait()
    assert await kit.steps() == {}
    kit.counting.hold = None
    async with kit.runtime("b").running():
        await kit.until_steps(expected_of(steps))


async def test_a_handler_that_never_comes_back_cannot_keep_a_process_from_ending(kit: Kit) -> None:
    """Nor can a dead connection turn its cancellation into an error that is waited out."""
    await kit.append(Stepped(counter="c", seq=0))
    kit.counting.hold = asyncio.Event()
    async with asyncio.timeout(PATIENCE_S), kit.runtime(drain_timeout_s=0.2).running():
        await kit.counting.entered.wait()
        await kit.end_transactions()
    assert await kit.steps() == {}


async def test_who_steps_back_rests_where_processors_are_short_and_leaves_all_the_same(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, resting = False, asyncio.Event()

    def rest_s(_: Courtesy) -> float:
        if short:
            resting.set()
        return 2 * PATIENCE_S if short else 0.0

    monkeypatch.setattr(Courtesy, "rest_s", rest_s)
    async with kit.runtime(nice=1).running():
        await kit.append(Stepped(counter="c", seq=0))
        await kit.until_steps({"c": [0]})
        short = True
        await asyncio.wait_for(resting.wait(), PATIENCE_S)
        await kit.append(Stepped(counter="c", seq=1))
        leaving = time.monotonic()
    assert time.monotonic() - leaving < PATIENCE_S
    assert await kit.steps() == {"c": [0]}


@ONLY_KAFKA
async def test_a_process_told_to_stop_finishes_its_batch_and_publishes_it(kit: Kit) -> None:
    steps = steps_of(counters=1, each=5)
    await kit.append(*steps)
    async with kit.process("serve", commit_interval_s=1e6, http_port=0) as process:
        async with kit.closed_gate():
            await until(kit.somebody_waits_for_a_lock)
            process.terminate()
            # It must not end before its batch has: that takes as long as the gate is closed.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), 0.3)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    done = len((await kit.steps())["c0"])
    assert sum((await kit.committed()).values()) == done >= 1
    assert await kit.outbox() == 0
    assert await kit.notes(done) == {"c0": list(range(done))}


@ONLY_KAFKA
async def test_a_process_killed_within_a_batch_leaves_nothing_half_done(kit: Kit) -> None:
    steps = steps_of(counters=8, each=3)
    async with kit.process("serve", http_port=0) as process:
        async with kit.closed_gate():
            await kit.append(*steps)
            await until(kit.somebody_waits_for_a_lock)
            process.kill()
            await process.wait()
        assert await kit.steps() == {}
    async with kit.runtime().running():  # once the session of the dead member is over
        await kit.until_steps(expected_of(steps))
        assert await kit.notes(len(steps)) == expected_of(steps)


async def test_no_offset_is_committed_of_what_was_not_dealt_with(kit: Kit) -> None:
    kit.counting.poison = {("c3", 2), ("c7", 0)}
    kit.counting.transient_failures = 2
    steps = steps_of(counters=10, each=12)
    looks: list[tuple[dict[Partition, int], set[tuple[str, int]]]] = []

    async def look() -> bool:
        # The offsets first: what they pass over must be done by then, and stays done.
        committed = await kit.committed()
        looks.append((committed, await kit.dealt_with()))
        return sum(committed.values()) >= len(steps)

    changed = {"commit_interval_s": 0.0, "batch_max_records": 15}
    feeding = asyncio.create_task(kit.append(*steps))
    async with crashing(kit.runtime("a", **changed)):
        await until_taken(kit, len(steps) // 4)
        await look()
    async with kit.runtime("b", **changed).running(), kit.runtime("c", **changed).running():
        await feeding
        await until(look)
    await look()
    log = await kit.log(len(steps))
    for committed, done in looks:
        for record in log:
            if record.offset < committed.get(Partition(record.topic, record.partition), 0):
                told = Stepped.model_validate_json(record.value or b"")
                assert (told.counter, told.seq) in done


@ONLY_KAFKA
async def test_a_group_that_cannot_be_left_does_not_keep_a_process(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_LEAVE_S", 0.2)
    async with asyncio.timeout(PATIENCE_S), kit.runtime().running() as runtime:
        await kit.append(Stepped(counter="c", seq=0))
        await until_taken(kit, 1)
        monkeypatch.setattr(runtime._source._consumer._coordinator, "close", asyncio.Event().wait)
        # As with no coordinator in sight: without a limit the block would not end.
    assert await kit.steps() == {"c": [0]}


class Closed:
    """A transport that uvloop has closed: it takes nothing more, and says so in its own way."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, _data: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    def __getattr__(self, name: str) -> object:
        return getattr(self._writer, name)


@ONLY_KAFKA
async def test_connections_that_close_while_something_is_sent_are_opened_again(kit: Kit) -> None:
    steps = steps_of(counters=6, each=6)
    async with kit.runtime().running() as runtime:
        await kit.append(*steps[:12])
        await until_taken(kit, 12)
        consumer, producer = runtime._source._consumer, runtime._sink._producer
        clients = [consumer._client, producer.client]
        for client in clients:
            for connection in client._conns.values():
                connection._writer = Closed(connection._writer)
            client.force_metadata_update()
        await kit.append(*steps[12:])
        await kit.until_steps(expected_of(steps))
        assert await kit.notes(len(steps)) == expected_of(steps)
        assert not any(client._sync_task.done() for client in clients)


@ONLY_KAFKA
async def test_what_trickles_in_is_gathered_and_what_comes_after_a_pause_is_not_kept_waiting(kit: Kit) -> None:
    window_s = 1.0
    async with kit.runtime(batch_window_ms=int(1000 * window_s)).running():
        await kit.append(Stepped(counter="first", seq=0))
        await kit.until_steps({"first": [0]})
        kit.counting.batches.clear()
        for step in steps_of(counters=1, each=20):
            await kit.append(step)
            await asyncio.sleep(window_s / 50)
        await until_taken(kit, 21)
        assert len(kit.counting.batches) <= 3
        await asyncio.sleep(2.5 * window_s)
        asked_at = time.monotonic()
        await kit.append(Stepped(counter="last", seq=0))
        await until_taken(kit, 22)
        assert time.monotonic() - asked_at < window_s / 2


async def test_an_idle_consumer_takes_a_burst_in_batches(kit: Kit) -> None:
    async with kit.runtime().running():
        await kit.append(Stepped(counter="first", seq=0))
        await kit.until_steps({"first": [0]})

        async def idle() -> bool:
            return sum((await kit.committed()).values()) >= 1

        await until(idle)
        kit.counting.batches.clear()
        burst = steps_of(counters=50, each=8)
        await asyncio.gather(*(kit.append(*burst[n::50]) for n in range(50)))
        await kit.until_steps(expected_of(burst) | {"first": [0]})
    assert len(kit.counting.batches) < len(burst) / 2


NOBODYS = {
    "another event": b"oms.other.Thing.v7",
    "a version to come": b"oms.conformance.Ignored.v9",
    "no name that a text column holds": b"a\x00",
}


@pytest.mark.parametrize("form", ["binary", "structured"])
@pytest.mark.parametrize("what", NOBODYS)
async def test_events_nobody_handles_are_passed_over(kit: Kit, what: str, form: str) -> None:
    stranger = record_of(Stepped(counter="c", seq=99))
    stranger = stranger._replace(headers=list((dict(stranger.headers) | {"ce_type": NOBODYS[what]}).items()))
    if form == "structured":
        stranger = structured(stranger)
    async with kit.runtime().running():
        await kit.append(Stepped(counter="c", seq=0), Ignored(counter="c"))
        await kit.append_records(stranger)
        await kit.append(Stepped(counter="c", seq=1))
        await kit.until_steps({"c": [0, 1]})
    assert await kit.letters() == []


async def test_records_of_an_old_version_are_read_as_the_new_one_in_their_order(kit: Kit) -> None:
    told: list[Event] = []
    for counter in ("c0", "c1", "c2"):
        told += [
            Leapt(counter=counter, first=0, count=3),
            Stepped(counter=counter, seq=3),
            LeaptV2(counter=counter, seqs=(4, 5)),
            Leapt(counter=counter, first=6, count=1),
            Stepped(counter=counter, seq=7),
        ]
    await kit.append(*told)
    async with kit.runtime().running():
        await kit.until_steps({counter: list(range(8)) for counter in ("c0", "c1", "c2")})
    assert max(kit.counting.batches) > 1
    assert await kit.letters() == []


async def test_a_process_without_its_topics_does_not_start(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepped, "topic", Topic(f"{Stepped.topic.name}-nowhere", key="counter"))
    monkeypatch.setattr(LeaptV2, "topic", Stepped.topic)
    with pytest.raises((TopicsMissing, UnknownTopicOrPartitionError)):
        async with asyncio.timeout(10), kit.runtime().running() as runtime:
            await runtime.failed()


async def test_a_broker_that_is_away_at_the_start_is_waited_for(kit: Kit) -> None:
    steps = steps_of(counters=3, each=3)
    await kit.append(*steps)
    async with kit.broker_away() as broker, kit.runtime(kafka_bootstrap=broker.address).running():
        await kit.until_steps(expected_of(steps))


@ONLY_MEMORY
async def test_a_broker_that_fails_for_a_moment_is_waited_for(kit: Kit) -> None:
    steps = steps_of(counters=5, each=5)
    assert kit.memory is not None
    async with kit.runtime().running() as runtime:
        kit.memory.fail("fetch", times=2)
        kit.memory.fail("commit", times=2)
        await kit.append(*steps)
        await kit.until_steps(expected_of(steps))
        await kit.memory.quiet(runtime.publisher.drain)


async def test_what_is_in_hand_is_without_headers_that_can_be_written_again(kit: Kit) -> None:
    kit.counting.hold = asyncio.Event()
    step = Stepped(counter="a", seq=0)
    async with kit.runtime().running() as runtime:
        await kit.append(step)
        await kit.counting.entered.wait()
        in_hand = {(delivery.key, delivery.record.headers) for delivery in runtime.runner.in_hand}
        kit.counting.hold.set()
        await kit.until_steps({"a": [0]})
    assert in_hand == {("a", ())}


@ONLY_KAFKA
async def test_records_are_handed_over_a_few_at_a_time(kit: Kit) -> None:
    steps = steps_of(counters=1, each=120)
    await kit.append(*steps)
    source = kit.source()
    await source.start(_nothing)
    handed: list[int] = []

    async def all_of_them() -> bool:
        await source.fetch(lambda records: handed.append(len(records)), max_records=1000, timeout_ms=100)
        return sum(handed) >= len(steps)

    await until(all_of_them)
    await source.stop()
    assert max(handed) <= kafka._PIECE


async def test_what_several_handlers_share_is_prepared_before_the_first(kit: Kit) -> None:
    prepared: list[list[Event]] = []

    async def prepare(happened: Batch[Event], work: Work) -> None:
        assert not kit.counting.batches
        prepared.append([item.event for item in happened])

    service = replace(kit.counting.service(kit.group), prepare=prepare)
    runtime = Runtime(service, kit.settings(), source=kit.source(), sink=kit.sink())
    events = [Stepped(counter="a", seq=0), LeaptV2(counter="b", seqs=(0, 1)), Stepped(counter="c", seq=0)]
    one, two, three = [record_of(event)._replace(partition=0, offset=at) for at, event in enumerate(events)]
    await runtime.runner.apply([one, two])
    await runtime.runner.apply([three])
    await runtime.close()
    assert prepared == [events[:2]]
    assert kit.counting.batches == [1, 1, 1]


@ONLY_KAFKA
async def test_an_error_that_comes_after_some_records_loses_none_of_them(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = 0
    getmany = AIOKafkaConsumer.getmany

    async def failing(consumer: AIOKafkaConsumer, *, timeout_ms: int, max_records: int) -> Any:
        nonlocal failed
        if timeout_ms == 0 and failed < 2:
            failed += 1
            raise KafkaConnectionError("in the middle of it")
        return await getmany(consumer, timeout_ms=timeout_ms, max_records=max_records)

    steps = steps_of(counters=3, each=25)
    await kit.append(*steps)
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", failing)
    async with kit.runtime().running():
        await kit.until_steps(expected_of(steps))
    assert failed == 2


@ONLY_MEMORY
async def test_of_a_group_divided_while_records_are_handed_over_those_of_the_new_division_are_applied(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kit.memory is not None
    memory, divided = kit.memory, False
    memory.manners = CALM
    go_on = MemorySource._go_on

    async def divide(source: MemorySource, take: Take, max_records: int) -> None:
        nonlocal divided
        if not divided:
            divided = True
            await memory.rebalance(kit.consumer_group)
        await go_on(source, take, max_records)

    monkeypatch.setattr(MemorySource, "_go_on", divide)
    steps = steps_of(counters=3, each=5)
    await kit.append(*steps)
    async with kit.runtime().running():
        await kit.until_steps(expected_of(steps))
    assert divided


@ONLY_MEMORY
async def test_a_member_taken_for_dead_does_no_harm(kit: Kit) -> None:
    assert kit.memory is not None
    steps = steps_of(counters=12, each=6)
    source = kit.memory.source(kit.consumer_group, [Stepped.topic.name], "b")
    first = kit.runtime("a")
    second = type(first)(kit.counting.service(kit.group), kit.settings(), source=source, sink=kit.sink())
    async with first.running(), second.running():
        await kit.append(*steps[:20])
        await kit.memory.evict(source)
        await kit.append(*steps[20:])
        await kit.until_steps(expected_of(steps))
        await kit.memory.quiet(first.publisher.drain, second.publisher.drain)
    assert await kit.steps() == expected_of(steps)


@ONLY_KAFKA
async def test_partitions_added_while_a_static_member_was_away_are_read_when_it_is_back(kit: Kit) -> None:
    """It is given its old partitions without a new assignment: the added ones would belong to nobody."""
    settings = kit.settings()
    async with kit.runtime(instance="static").running():
        await kit.append(Stepped(counter="before", seq=0))
        await kit.until_steps({"before": [0]})
    await add_partitions(settings.kafka_bootstrap, Stepped.topic, 2 * PARTITIONS)
    counters = [f"after-{number}" for number in range(20)]
    moved = {partition_of(counter.encode(), range(2 * PARTITIONS)) for counter in counters}
    assert max(moved) >= PARTITIONS
    async with kit.runtime(instance="static").running():
        # A writer that knows the new partitions.
        sink = KafkaSink(Broker.of(settings), client_id="after")
        await (await sink.send([record_of(Stepped(counter=counter, seq=0)) for counter in counters]))
        await sink.stop()
        await kit.until_steps({key: [0] for key in ["before", *counters]})


async def add_partitions(bootstrap: str, topic: Topic, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_partitions({topic.name: NewPartitions(count)})
    await admin.close()


@ONLY_KAFKA
async def test_a_member_that_has_not_started_is_behind_nowhere(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch may look while the client is still reaching for the broker."""
    starting = asyncio.Event()

    async def never(_: AIOKafkaConsumer) -> None:
        starting.set()
        await asyncio.Event().wait()

    async def nothing() -> None: ...

    monkeypatch.setattr(AIOKafkaConsumer, "start", never)
    source = kit.source()
    start = asyncio.create_task(source.start(nothing))
    await starting.wait()
    assert await source.behind() == {}
    start.cancel()
    await asyncio.wait([start])
