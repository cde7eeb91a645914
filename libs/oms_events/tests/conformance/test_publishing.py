"""What a transaction emits is published, each key's in the order of commit, whatever happens to the sink."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from oms_events.codec import Record
from oms_events.envelope import origin
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.ports import RecordSink

from .kit import ONLY_MEMORY, Kit, Noted, until

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Unreliable:
    """A sink that fails to order before the real one is asked, and can be held."""

    def __init__(self, inner: RecordSink) -> None:
        self._inner = inner
        self._failed = 0
        self.failures = 0
        self.held: asyncio.Event | None = None

    @property
    def generation(self) -> int:
        return self._inner.generation + self._failed

    async def start(self) -> None:
        await self._inner.start()

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:
        if self.held is not None:
            await self.held.wait()
        if self.failures:
            self.failures -= 1
            self._failed += 1
            raise ConnectionError("the sink failed on demand")
        if generation is not None:
            if generation != self.generation:
                raise ConnectionError("a send before this one failed")
            generation = self._inner.generation
        return await self._inner.send(records, generation=generation)

    async def stop(self) -> None:
        await self._inner.stop()


async def note(runtime: Runtime, counter: str, seq: int) -> None:
    """A command: one aggregate, one event."""
    async with runtime.transaction() as work:
        work.emit(Noted(counter=counter, seq=seq), cause=origin("/test", counter, str(seq), at=NOW))


async def until_published(kit: Kit) -> None:
    async def clear() -> bool:
        return await kit.outbox() == 0

    await until(clear)


async def test_what_is_emitted_is_published_in_order_and_the_outbox_is_cleared(kit: Kit) -> None:
    async with kit.runtime().running() as runtime:
        for seq in range(30):
            await note(runtime, f"c{seq % 3}", seq)
        await until_published(kit)
        assert await kit.notes(30) == {f"c{n}": list(range(n, 30, 3)) for n in range(3)}


async def test_nothing_is_published_of_a_transaction_that_fails(kit: Kit) -> None:
    async with kit.runtime().running() as runtime:
        with pytest.raises(ZeroDivisionError):
            await _fail_after_emitting(runtime)
        await note(runtime, "c", 1)
        assert await kit.notes(1) == {"c": [1]}


async def _fail_after_emitting(runtime: Runtime) -> None:
    async with runtime.transaction() as work:
        work.emit(Noted(counter="c", seq=0), cause=origin("/test", "failing", at=NOW))
        raise ZeroDivisionError


async def test_the_relay_publishes_what_a_failed_sink_left(kit: Kit) -> None:
    sink = Unreliable(kit.sink())
    async with kit.runtime(sink=sink).running() as runtime:
        sink.failures = 1
        await note(runtime, "c", 0)
        assert await kit.notes(1) == {"c": [0]}
        await until_published(kit)


async def test_the_relay_publishes_what_a_dead_process_left(kit: Kit) -> None:
    dead = kit.runtime()
    for seq in range(3):
        await note(dead, "c", seq)
    await dead.close()
    assert await kit.outbox() == 3
    async with kit.runtime().running():
        assert await kit.notes(3) == {"c": [0, 1, 2]}
        await until_published(kit)


@pytest.mark.parametrize("waiting", [1, 5])
async def test_nothing_of_a_key_overtakes_an_event_that_failed(kit: Kit, waiting: int) -> None:
    sink = Unreliable(kit.sink())
    async with kit.runtime(sink=sink).running() as runtime:
        await note(runtime, "c", 0)
        await until_published(kit)
        sink.held = asyncio.Event()
        for seq in range(1, 2 + waiting):
            await note(runtime, "c", seq)
        sink.failures = 1
        sink.held.set()
        for seq in range(2 + waiting, 10):
            await note(runtime, "c", seq)
        assert await kit.notes(10) == {"c": list(range(10))}
        await until_published(kit)


async def test_a_transaction_open_while_a_send_fails_does_not_overtake_it(kit: Kit) -> None:
    sink = Unreliable(kit.sink())
    async with kit.runtime(sink=sink).running() as runtime:
        sink.held = asyncio.Event()
        await note(runtime, "c", 0)
        async with runtime.engine.begin() as blocker:
            await blocker.execute(text("lock table outbox in share mode"))
            late = asyncio.create_task(note(runtime, "c", 1))
            await until(kit.somebody_waits_for_a_lock)
            sink.failures = 1
            sink.held.set()

            async def failed() -> bool:
                return sink.failures == 0

            await until(failed)
        await late
        assert await kit.notes(2) == {"c": [0, 1]}


async def test_two_writers_of_one_aggregate_publish_in_the_order_of_their_commits(kit: Kit) -> None:
    async with kit.engine.begin() as connection:
        await connection.execute(text("insert into steps (counter, seq) values ('c', 0)"))

    async def write(runtime: Runtime) -> None:
        for _ in range(15):
            async with runtime.transaction() as work:
                bump = "update steps set seq = seq + 1 where counter = 'c' returning seq"
                seq = (await work.connection.execute(text(bump))).scalar_one()
                work.emit(Noted(counter="c", seq=seq), cause=origin("/test", "c", str(seq), at=NOW))

    async with kit.runtime("a").running() as one, kit.runtime("b").running() as other:
        await asyncio.gather(write(one), write(other), write(one))
        assert await kit.notes(45) == {"c": list(range(1, 46))}
        await until_published(kit)


async def test_a_row_written_early_by_a_long_transaction_waits_for_those_before_it(kit: Kit) -> None:
    """The age of a row counts from its insertion: from the transaction's start, a late row could look old first."""
    dead = kit.runtime()
    async with dead.transaction() as slow:
        await slow.connection.execute(text("select 1"))
        await note(dead, "c", 0)
        slow.emit(Noted(counter="c", seq=1), cause=origin("/test", "slow", at=NOW))
    await dead.close()
    async with kit.engine.connect() as connection:
        rows = await connection.execute(text("select created_at from outbox order by id"))
        ages = list(rows.scalars())
    assert ages == sorted(ages)


@ONLY_MEMORY
async def test_a_lost_answer_ends_in_a_repetition_not_in_a_loss(kit: Kit) -> None:
    assert kit.memory is not None
    async with kit.runtime().running() as runtime:
        kit.memory.fail("ack")
        for seq in range(5):
            await note(runtime, "c", seq)
        assert await kit.notes(5) == {"c": [0, 1, 2, 3, 4]}
        await until_published(kit)
    assert len(kit.memory.records(Noted.topic.name)) > 5
