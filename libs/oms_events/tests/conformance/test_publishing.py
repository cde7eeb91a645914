"""What a transaction emits is published, each key's in the order of commit, whatever happens to the sink."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

import pytest
from aiokafka.errors import KafkaError
from sqlalchemy import text

from oms_events.codec import Record, RecordTooLarge
from oms_events.envelope import origin
from oms_events.registry import MAX_RECORD_BYTES
from oms_events.runtime.kafka import partition_of
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.ports import RecordSink

from .kit import BUMP, COMMIT_LATE, ONLY_KAFKA, ONLY_MEMORY, PARTITIONS, WRITES, Kit, Noted, crashing, record_of, until

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Unreliable:
    """A sink that fails to order before the real one is asked, and can be held; or its answers never come."""

    def __init__(self, inner: RecordSink) -> None:
        self._inner = inner
        self._failed = 0
        self.failures = 0
        self.held: asyncio.Event | None = None
        self.mute = False
        self.stuck: asyncio.Event | None = None
        """The next records are taken, and go no further until it is set."""
        self.sent = asyncio.Event()

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
        if self.stuck is not None:
            stuck, self.stuck = self.stuck, None
            return asyncio.ensure_future(self._go_on(stuck, records))
        answer = await self._inner.send(records, generation=generation)
        if self.mute:
            await answer
            self.sent.set()
            return asyncio.get_running_loop().create_future()
        return answer

    async def _go_on(self, stuck: asyncio.Event, records: Sequence[Record]) -> None:
        await stuck.wait()
        await (await self._inner.send(records))

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


async def test_one_transaction_publishes_much_in_the_order_in_which_it_was_emitted(kit: Kit) -> None:
    async with kit.runtime().running() as runtime:
        async with runtime.transaction() as work:
            for seq in range(230):  # one cause: only their place tells the events apart
                work.emit(Noted(counter=f"c{seq % 3}", seq=seq), cause=origin("/test", "much", at=NOW))
        assert await kit.notes(230) == {f"c{n}": list(range(n, 230, 3)) for n in range(3)}


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


async def test_what_waits_takes_a_fraction_of_the_room_of_its_records(kit: Kit) -> None:
    dead = kit.runtime()
    notes = [Noted(counter=f"c{number}", seq=0) for number in range(200)]
    async with dead.transaction() as work:
        for noted in notes:
            work.emit(noted, cause=origin("/test", noted.counter, at=NOW))
    await dead.close()
    async with kit.engine.connect() as connection:
        room = (await connection.execute(text("select octet_length(packed) from outbox"))).scalar_one()
    records = [record_of(noted) for noted in notes]
    assert room < 0.2 * sum(len(r.value or b"") + sum(len(value or b"") for _, value in r.headers) for r in records)


async def test_the_relay_publishes_what_a_version_before_this_one_left(kit: Kit) -> None:
    left = record_of(Noted(counter="c", seq=0))
    heads = [(left.topic, [(name, (value or b"").decode()) for name, value in left.headers], len(left.value or b""))]
    async with kit.engine.begin() as connection:
        await connection.execute(
            text("insert into outbox (keys, heads, payload) values (array['c'], :heads, :payload)"),
            {"heads": json.dumps(heads), "payload": left.value},
        )
    dead = kit.runtime()
    await note(dead, "c", 1)
    await dead.close()
    async with kit.runtime().running():
        assert await kit.notes(2) == {"c": [0, 1]}
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


async def test_a_transaction_that_commits_late_is_not_left_out(kit: Kit) -> None:
    """It began and stored its row before others, which are published by the time it commits."""
    async with kit.runtime().running() as runtime:
        async with kit.closed_gate():
            late = asyncio.create_task(note_late(runtime, "late", 0))
            await until(kit.somebody_waits_for_a_lock)
            for seq in range(20):
                await note(runtime, f"c{seq % 2}", seq)
            expected = {f"c{n}": list(range(n, 20, 2)) for n in range(2)}
            assert await kit.notes(20) == expected
        await late
        assert await kit.notes(21) == expected | {"late": [0]}
        await until_published(kit)


async def test_transactions_of_one_key_that_commit_late_keep_their_order(kit: Kit) -> None:
    """The first holds the aggregate's row until it has committed; the rest come after it, whoever waits for whom."""
    await start_counting(kit)

    async def bump(runtime: Runtime, number: int, *, late: bool) -> None:
        async with runtime.transaction() as work:
            seq = (await work.connection.execute(BUMP)).scalar_one()
            work.emit(Noted(counter="c", seq=seq), cause=origin("/test", str(number), at=NOW))
            if late:
                await work.connection.execute(COMMIT_LATE)

    async with kit.runtime("a", pool_size=12).running() as one, kit.runtime("b", pool_size=12).running() as other:
        async with kit.closed_gate():
            first = asyncio.create_task(bump(one, 0, late=True))
            await until(kit.somebody_waits_for_a_lock)
            behind = [asyncio.create_task(bump((one, other)[n % 2], n, late=n % 3 == 0)) for n in range(1, 10)]
            for seq in range(5):
                await note(other, "free", seq)
            assert await kit.notes(5) == {"free": [0, 1, 2, 3, 4]}
        await asyncio.gather(first, *behind)
        assert await kit.notes(15) == {"c": list(range(1, 11)), "free": [0, 1, 2, 3, 4]}
        await until_published(kit)


async def note_late(runtime: Runtime, counter: str, seq: int) -> None:
    async with runtime.transaction() as work:
        work.emit(Noted(counter=counter, seq=seq), cause=origin("/test", counter, str(seq), at=NOW))
        await work.connection.execute(COMMIT_LATE)


async def start_counting(kit: Kit) -> None:
    async with kit.engine.begin() as connection:
        await connection.execute(text("insert into steps (counter, seq) values ('c', 0)"))


@ONLY_KAFKA
async def test_two_processes_that_write_one_aggregate_publish_in_the_order_of_their_commits(kit: Kit) -> None:
    await start_counting(kit)
    async with kit.process("write") as one, kit.process("write") as other:
        assert [await process.wait() for process in (one, other)] == [0, 0]
    async with kit.runtime().running():  # what the two may have left behind
        assert await kit.notes(2 * WRITES) == {"c": list(range(1, 2 * WRITES + 1))}
        await until_published(kit)


async def test_the_next_relay_takes_over_when_the_one_at_work_is_killed(kit: Kit) -> None:
    writer = kit.runtime()
    for seq in range(30):
        await note(writer, f"c{seq % 3}", seq)
    await writer.close()
    async with kit.process("hold", roles="relay", relay_age_s=0.0) as holder:
        assert holder.stdout is not None
        while b"holding" not in (said := await asyncio.wait_for(holder.stdout.readline(), 15)):
            assert said, "the process ended"
        probe = kit.runtime("probe", relay_age_s=0.0)
        assert not await probe.relay.publish_page()
        await probe.close()
        async with kit.runtime("b", relay_age_s=0.0).running():
            assert await kit.outbox() == 30
            holder.kill()
            assert await kit.notes(30) == {f"c{n}": list(range(n, 30, 3)) for n in range(3)}
            await until_published(kit)


async def test_a_relay_that_dies_after_sending_repeats_and_reorders_nothing(kit: Kit) -> None:
    writer = kit.runtime()
    for seq in range(9):
        await note(writer, f"c{seq % 3}", seq)
    sink = Unreliable(kit.sink())
    sink.mute = True
    async with crashing(kit.runtime(sink=sink, relay_age_s=0.0)):
        await asyncio.wait_for(sink.sent.wait(), 15)
    for seq in range(9, 15):
        await note(writer, f"c{seq % 3}", seq)
    await writer.close()
    async with kit.runtime("b").running():
        assert await kit.notes(15) == {f"c{n}": list(range(n, 15, 3)) for n in range(3)}
        await until_published(kit)


async def test_an_event_too_large_is_refused_and_nothing_is_stored(kit: Kit) -> None:
    async with kit.runtime().running() as runtime:
        with pytest.raises(RecordTooLarge):
            await _grow_too_large(runtime)
        assert await kit.outbox() == 0
        assert await kit.steps() == {}
        await note(runtime, "c", 0)
        assert await kit.notes(1) == {"c": [0]}


async def _grow_too_large(runtime: Runtime) -> None:
    async with runtime.transaction() as work:
        await work.connection.execute(text("insert into steps (counter, seq) values ('fat', 0)"))
        cause = origin("/test", "fat", at=NOW)
        work.emit(Noted(counter="fat", seq=0), cause=cause)
        work.emit(Noted(counter="fat", seq=1, padding="x" * MAX_RECORD_BYTES), cause=cause)


async def test_nothing_comes_through_behind_a_record_that_was_refused(kit: Kit) -> None:
    """Not even where the producer has never been before: a broker takes any sequence from a stranger."""
    await kit.limit_messages(10_000)
    sink = kit.sink()
    await sink.start()
    elsewhere = next(key for key in "abdefgh" if _place(key) != _place("c"))
    await (await sink.send([record_of(Noted(counter=elsewhere, seq=0))]))
    generation = sink.generation
    answers: list[Awaitable[None]] = []
    overtaken = 0
    for seq, size in enumerate([20_000, *[0] * 30]):
        record = record_of(Noted(counter="c", seq=seq, padding="x" * size))
        try:
            answers.append(await sink.send([record], generation=generation))
        except ConnectionError:
            overtaken += 1
        await asyncio.sleep(0)
    told = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(error, KafkaError) for error in told)
    assert len(told) + overtaken == 31
    await (await sink.send([record_of(Noted(counter="c", seq=31))], generation=sink.generation))
    await sink.stop()
    assert await kit.notes(2) == {elsewhere: [0], "c": [31]}


def _place(key: str) -> int:
    return partition_of(key.encode(), range(PARTITIONS))


async def test_what_the_broker_refuses_is_published_when_it_takes_it_and_holds_up_no_other_key(kit: Kit) -> None:
    """A topic's limit below ours: an idempotent producer is out of sequence after a refusal and must be built anew."""
    await kit.limit_messages(10_000)
    async with kit.runtime().running() as runtime:
        await note(runtime, "fat", 0)
        async with runtime.transaction() as work:
            fat = Noted(counter="fat", seq=1, padding="x" * 20_000)
            work.emit(fat, cause=origin("/test", "too large for the topic", at=NOW))
        await note(runtime, "fat", 2)
        for seq in range(80):
            await note(runtime, f"c{seq % 8}", seq)
        through = {f"c{n}": list(range(n, 80, 8)) for n in range(8)} | {"fat": [0]}
        assert await kit.notes(81) == through
        assert await kit.outbox() >= 2
        await kit.limit_messages(1_048_576)
        assert await kit.notes(83) == through | {"fat": [0, 1, 2]}
        await until_published(kit)


async def test_nothing_overtakes_an_event_that_is_still_on_its_way_when_another_send_fails(kit: Kit) -> None:
    """The failed producer goes on with what it has in flight; the relay has a new one, and must not be faster."""
    sink = Unreliable(kit.sink())
    async with kit.runtime(sink=sink).running() as runtime:
        stuck = sink.stuck = asyncio.Event()
        await note(runtime, "c", 0)

        async def taken() -> bool:
            return sink.stuck is None

        await until(taken)
        sink.failures = 1
        await note(runtime, "other", 0)

        async def failed() -> bool:
            return sink.failures == 0

        await until(failed)
        await note(runtime, "c", 1)
        await note(runtime, "free", 0)
        told = await kit.notes(2)
        stuck.set()
        assert told == {"other": [0], "free": [0]}
        assert await kit.notes(4) == {"c": [0, 1], "other": [0], "free": [0]}
        await until_published(kit)


async def test_two_writers_of_one_aggregate_publish_in_the_order_of_their_commits(kit: Kit) -> None:
    await start_counting(kit)

    async def write(runtime: Runtime) -> None:
        for _ in range(15):
            async with runtime.transaction() as work:
                seq = (await work.connection.execute(BUMP)).scalar_one()
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
