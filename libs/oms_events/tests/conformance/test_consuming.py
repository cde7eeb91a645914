"""Each event is applied once, each key's in order, whatever happens to members, handlers and offsets."""

import asyncio

from prometheus_client import REGISTRY

from oms_events.codec import Record
from oms_events.testing.memory_broker import CALM

from .kit import ONLY_MEMORY, Counting, Ignored, Kit, Stepped, crashing, expected_of, record_of, steps_of, until


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
    fetched: list[Record] = []
    source = kit.source("b")
    await source.start(_nothing)

    async def something() -> bool:
        fetched.extend(await source.fetch(max_records=100, timeout_ms=100))
        return done == 5 or bool(fetched)

    await kit.append(Stepped(counter="c0", seq=5))
    await until(something)
    await source.stop()
    # Nothing that was applied is read again.
    assert all(_seq(record) >= done for record in fetched)


async def _nothing() -> None:
    """A member with nothing in hand."""


def _seq(record: Record) -> int:
    return Stepped.model_validate_json(record.value or b"").seq


async def test_members_come_and_go_in_the_middle(kit: Kit) -> None:
    steps = steps_of(counters=24, each=12)
    feeding = asyncio.create_task(kit.append(*steps))
    async with kit.runtime("a", batch_max_records=20).running():
        await kit.counting.entered.wait()
        async with kit.runtime("b", batch_max_records=20).running():

            async def half() -> bool:
                return sum(map(len, (await kit.steps()).values())) > len(steps) / 2

            await until(half)
        await feeding
        await kit.until_steps(expected_of(steps))


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
    labels = {"group": f"conformance.{kit.group}", "type": Stepped.type, "outcome": "duplicate"}
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


async def test_events_nobody_handles_are_passed_over(kit: Kit) -> None:
    stranger = record_of(Stepped(counter="c", seq=99))
    renamed = [(name, b"oms.other.Thing.v7" if name == "ce_type" else value) for name, value in stranger.headers]
    async with kit.runtime().running():
        await kit.append(Stepped(counter="c", seq=0), Ignored(counter="c"))
        await kit.append_records(Record(stranger.topic, stranger.key, stranger.value, renamed))
        await kit.append(Stepped(counter="c", seq=1))
        await kit.until_steps({"c": [0, 1]})
    assert await kit.letters() == []


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


@ONLY_MEMORY
async def test_a_member_taken_for_dead_does_no_harm(kit: Kit) -> None:
    assert kit.memory is not None
    steps = steps_of(counters=12, each=6)
    source = kit.memory.source(kit.group, [Stepped.topic.name], "b")
    first = kit.runtime("a")
    second = type(first)(kit.counting.service(kit.group), kit.settings(), source=source, sink=kit.sink())
    async with first.running(), second.running():
        await kit.append(*steps[:20])
        await kit.memory.evict(source)
        await kit.append(*steps[20:])
        await kit.until_steps(expected_of(steps))
        await kit.memory.quiet(first.publisher.drain, second.publisher.drain)
    assert await kit.steps() == expected_of(steps)
