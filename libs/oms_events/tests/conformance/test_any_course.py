"""Whatever happens in whatever order: each event takes effect once, each key's in order.

Hypothesis makes up courses of records and their repetitions, members that come, leave, crash or are taken for dead,
rebalances, and failures of broker, database and handlers. On the broker in memory, with a real database.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from aiokafka.errors import KafkaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_events.codec import Record
from oms_events.runtime import dead_letters
from oms_events.runtime.lifecycle import Runtime
from oms_events.testing.memory_broker import MemoryBroker, MemorySource, Operation

from .kit import ONLY_MEMORY, Kit, Stepped, crash, expected_of, record_of, until

KEYS = 4
COURSES = 30
"""So many take about 15 s."""

Course = list[tuple[str, object]]
_append = st.tuples(st.just("append"), st.lists(st.integers(0, KEYS - 1), min_size=1, max_size=12))
_repeat = st.tuples(st.just("repeat"), st.lists(st.integers(0, 50), min_size=1, max_size=6))
_member = st.tuples(st.sampled_from(["join", "leave", "crash", "evict"]), st.integers(0, 2))
_fail = st.tuples(st.just("fail"), st.sampled_from(["fetch", "commit", "send", "ack", "join", "connect"]))
_upset = st.tuples(st.sampled_from(["transient", "poison", "replay"]), st.integers(0, KEYS - 1))
_rest = st.tuples(st.sampled_from(["rebalance", "wait"]), st.just(0))
_courses = st.lists(st.one_of(_append, _append, _repeat, _member, _fail, _upset, _rest), min_size=4, max_size=20)


class Day:
    """One course of events. Methods without a word of their own are the steps of a course."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._broker = cast("MemoryBroker", kit.memory)
        self._outside = self._broker.sink()
        self._told: list[Stepped] = []
        self._records: list[Record] = []
        self._members: dict[int, Runtime] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Day"]:
        await self.join(0)
        try:
            yield self
        finally:
            for place in list(self._members):
                await self.leave(place)

    async def play(self, course: Course) -> None:
        for step, detail in course:
            await getattr(self, step)(detail)

    async def end(self) -> None:
        """Everything is mended; what is owed must come true."""
        self._kit.counting.poison.clear()
        await self.join(0)

        async def all_taken() -> bool:
            for key in range(KEYS):
                await self.replay(key)
            return sum(map(len, (await self._kit.steps()).values())) >= len(self._told)

        await until(all_taken)
        expected = expected_of(self._told)
        assert await self._kit.steps() == expected
        assert await self._kit.notes(len(self._told)) == expected

    # --- steps ------------------------------------------------------------------------------------------------

    async def append(self, keys: Sequence[int]) -> None:
        for key in keys:
            step = Stepped(counter=f"k{key}", seq=self._next(key))
            self._told.append(step)
            self._records.append(record_of(step))
            await self._send(self._records[-1])

    async def repeat(self, which: Sequence[int]) -> None:
        """Records that were sent before come again."""
        for number in which:
            if self._records:
                await self._send(self._records[number % len(self._records)])

    async def join(self, place: int) -> None:
        if place not in self._members:
            runtime = self._kit.runtime(f"m{place}", relay_interval_s=0.02, relay_age_s=0.1, batch_max_records=5)
            await runtime._start()
            self._members[place] = runtime

    async def leave(self, place: int) -> None:
        if runtime := self._members.pop(place, None):
            await runtime._stop()

    async def crash(self, place: int) -> None:
        if runtime := self._members.pop(place, None):
            await crash(runtime)

    async def evict(self, place: int) -> None:
        if place in self._members:
            source = cast("MemorySource", self._members[place].runner._source)
            if source in self._broker.members(self._kit.consumer_group):
                await self._broker.evict(source)

    async def rebalance(self, _: int) -> None:
        if self._broker.members(self._kit.consumer_group):
            await self._broker.rebalance(self._kit.consumer_group)

    async def fail(self, operation: Operation) -> None:
        self._broker.fail(operation)

    async def transient(self, times: int) -> None:
        self._kit.counting.transient_failures = times

    async def poison(self, key: int) -> None:
        """The key's next event cannot be digested."""
        self._kit.counting.poison.add((f"k{key}", self._next(key)))

    async def replay(self, key: int) -> None:
        async with self._kit.engine.begin() as connection:
            for letter in await dead_letters.list_letters(connection):
                if letter["key"] == f"k{key}":
                    await dead_letters.replay(connection, letter["id"])
        for runtime in self._members.values():
            runtime.runner.replay_soon()

    async def wait(self, _: int) -> None:
        """Let half of what was told be dealt with."""

        async def half() -> bool:
            return len(await self._kit.dealt_with()) >= len(self._told) // 2

        if self._members:
            await until(half)

    # ----------------------------------------------------------------------------------------------------------

    def _next(self, key: int) -> int:
        return sum(step.counter == f"k{key}" for step in self._told)

    async def _send(self, record: Record) -> None:
        """As often as it takes, as any producer does."""
        sent = False
        while not sent:
            try:
                await (await self._outside.send([record]))
                sent = True
            except KafkaError:
                sent = False


@ONLY_MEMORY
@settings(
    max_examples=COURSES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(course=_courses, seed=st.integers(0, 2**32 - 1))
async def test_each_event_takes_effect_once_and_in_order_whatever_happens(kit: Kit, course: Course, seed: int) -> None:
    async with kit.afresh(seed=seed) as fresh, Day(fresh).running() as day:
        await day.play(course)
        await day.end()
