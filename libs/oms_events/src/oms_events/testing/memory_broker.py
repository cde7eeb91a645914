"""A broker in memory that is no kinder than Kafka.

Within a partition records keep their order; across partitions they come in any. Records come late, in pieces and,
after a rebalance, again from the committed offset. A sender that doubts whether its records arrived sends them again.

All of it follows from a seed (`oms_events.testing.seeds`). Each partition of a group, each group and each sender has
dice of its own, thrown only when there is something to decide: so the same seed gives each of them the same decisions,
however the machine lets them take turns.

    broker = MemoryBroker(topics, seed=7)
    runtime = Runtime(service, settings, source=broker.source(group, names), sink=broker.sink())
    ...
    await broker.quiet(runtime.publisher.drain)
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    UnknownTopicOrPartitionError,
)

from oms_events.codec import Record
from oms_events.runtime.kafka import partition_of
from oms_events.runtime.ports import Partition, SendOvertaken, Take
from oms_events.testing import seeds

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 1_048_576
Operation = Literal["connect", "join", "fetch", "commit", "send", "ack"]
"""What can be made to fail. After a failed `send` nothing was stored; after a failed `ack` everything was."""
_DOUBT_SPAN = 20
"""A batch sent again out of doubt comes within so many later batches."""
_LARGEST_PIECE = 10
"""So many records are handed over at a time at most: fewer than Kafka's, so that more happens between two pieces."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How rough the broker is: each a probability between 0 and 1."""

    hold_back: float = 0.3
    """That a fetch leaves a partition out, or takes only a piece of it."""
    send_again: float = 0.05
    """That a stored batch is stored once more, later."""
    rebalance: float = 0.01
    """That a fetch makes the group rebalance."""


ROUGH = Manners()
CALM = Manners(0, 0, 0)


class MemoryBroker:
    """Topics, consumer groups and their offsets."""

    def __init__(
        self, topics: Iterable[str], *, partitions: int = 4, seed: int | None = None, manners: Manners = ROUGH
    ) -> None:
        self.seed = seeds.draw() if seed is None else seed
        self.manners = manners
        self.max_message_bytes = MAX_MESSAGE_BYTES
        """What a topic takes. A producer knows only the limit that topics have from the start."""
        self._dice: dict[str, random.Random] = {}
        self._logs: dict[Partition, list[Record]] = {
            Partition(topic, number): [] for topic in topics for number in range(partitions)
        }
        self._partitions = partitions
        self._groups: dict[str, _Group] = {}
        self._sinks: list[MemorySink] = []
        self._failures: Counter[Operation] = Counter()
        self._doubted: list[tuple[int, Sequence[Record]]] = []
        self._rebalances: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        log.info("memory broker", seed=self.seed, partitions=partitions)

    # --- what tests and systems ask for ------------------------------------------------------------------------

    def source(self, group: str, topics: Sequence[str], member: str = "", *, static: bool = False) -> "MemorySource":
        """A member of a group, not yet joined. A `static` one keeps its partitions while it is away (see `expire`):
        whoever joins by its name has them, and nobody else notices."""
        state = self._groups.setdefault(group, _Group(self, group))
        return MemorySource(self, state, topics, member or f"{group}.{len(state.members)}", static=static)

    def sink(self) -> "MemorySink":
        """A producer."""
        sink = MemorySink(self, self.dice("sink", str(len(self._sinks))))
        self._sinks.append(sink)
        return sink

    def records(self, topic: str) -> list[Record]:
        """Everything a topic holds, partition by partition."""
        return [record for partition, log_ in sorted(self._logs.items()) if partition.topic == topic for record in log_]

    def committed(self, group: str) -> dict[Partition, int]:
        """A group's committed offsets."""
        return dict(self._groups[group].committed)

    def members(self, group: str) -> "list[MemorySource]":
        """Who is in a group now."""
        return list(self._groups[group].members)

    def fail(self, operation: Operation, *, times: int = 1) -> None:
        """Make the next calls of an operation fail."""
        self._failures[operation] += times

    async def rebalance(self, group: str) -> None:
        """Make a group share its partitions anew."""
        await self._groups[group].rebalance()

    async def evict(self, source: "MemorySource") -> None:
        """Take a member for dead, as Kafka does when its session ends. It notices when it next asks for records, after
        it got what it had at hand."""
        await source.evict()

    async def expire(self, group: str, member: str) -> None:
        """End the session of a static member that is away: the others get its partitions."""
        await self._groups[group].expire(member)

    def rebalance_soon(self, group: str) -> None:
        """Make a group share its partitions anew, without waiting for it."""
        self._rebalances.add(asyncio.create_task(self._rebalance_and_say(group)))

    async def _rebalance_and_say(self, group: str) -> None:
        try:
            await self.rebalance(group)
        finally:
            self._rebalances = {task for task in self._rebalances if task is not asyncio.current_task()}
            await self.announce()

    async def quiet(self, *drains: Callable[[], Awaitable[None]], timeout_s: float = 30.0) -> None:
        """Wait until every group has dealt with everything, and nothing new comes of it.

        `drains` are waited for in between: what has committed but is not yet sent (`runtime.publisher.drain`).
        Raises TimeoutError, naming what is left.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await self._wait_until(lambda: not self._left())
                    stored = self._stored()
                    for drain in drains:
                        await drain()
                    if not self._left() and stored == self._stored():
                        return
        except TimeoutError:
            raise TimeoutError(f"memory broker (seed {self.seed}) is not quiet: {'; '.join(self._left())}") from None

    # --- what sources and sinks do -----------------------------------------------------------------------------

    def partitions_of(self, topics: Sequence[str]) -> list[Partition]:
        """Raises UnknownTopicOrPartitionError."""
        found = [partition for partition in self._logs if partition.topic in topics]
        if missing := set(topics) - {partition.topic for partition in found}:
            raise UnknownTopicOrPartitionError(", ".join(sorted(missing)))
        return found

    def log_of(self, partition: Partition) -> Sequence[Record]:
        return self._logs[partition]

    def failures_left(self) -> int:
        """Failures asked for that have not come yet."""
        return self._failures.total()

    def fails(self, operation: Operation) -> bool:
        """Whether this call was chosen to fail."""
        if not self._failures[operation]:
            return False
        self._failures[operation] -= 1
        return True

    def dice(self, *whose: str) -> random.Random:
        """One actor's own source of chance."""
        name = "/".join(whose)
        if name not in self._dice:
            self._dice[name] = random.Random(f"{self.seed}/{name}")  # noqa: S311 - chance for tests, not a secret
        return self._dice[name]

    async def store(self, records: Sequence[Record], dice: random.Random) -> None:
        """Append a sender's records, now and then followed later by a repetition."""
        self._append(records)
        if records and dice.random() < self.manners.send_again:
            self._doubted.append((dice.randrange(1, _DOUBT_SPAN), records))
        due = [again for wait, again in self._doubted if wait <= 1]
        self._doubted = [(wait - 1, again) for wait, again in self._doubted if wait > 1]
        for again in due:
            self._append(again)
        await self.announce()

    def _append(self, records: Sequence[Record]) -> None:
        for record in records:
            log_ = self._logs[Partition(record.topic, partition_of(record.key, range(self._partitions)))]
            number = partition_of(record.key, range(self._partitions))
            stamp = int(time.time() * 1000)
            log_.append(record._replace(partition=number, offset=len(log_), timestamp_ms=stamp))

    async def announce(self) -> None:
        """Wake everyone who waits for something to change."""
        async with self._changed:
            self._changed.notify_all()

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(holds)

    async def changed_within(self, timeout_s: float) -> None:
        """Return when something changed, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return

    def _stored(self) -> int:
        return sum(map(len, self._logs.values()))

    def _left(self) -> list[str]:
        waiting = [f"{sink.unsettled} batches on their way" for sink in self._sinks if sink.unsettled]
        waiting += ["a rebalance is under way" for _ in self._rebalances]
        return waiting + [line for group in self._groups.values() for line in group.left()]


@dataclass(eq=False)
class _Group:
    """A consumer group: who is in it, who reads which partition, how far each was committed."""

    broker: MemoryBroker
    name: str
    members: "list[MemorySource]" = field(default_factory=list)
    committed: dict[Partition, int] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def join(self, member: "MemorySource") -> None:
        async with self._turn:
            if member.static and (before := self._named(member.name)):
                await self._take_over(before, member)
                return
            await self._revoke()
            self.members.append(member)
            await self._assign()

    def _named(self, name: str) -> "MemorySource | None":
        return next((member for member in self.members if member.static and member.name == name), None)

    async def _take_over(self, before: "MemorySource", member: "MemorySource") -> None:
        """The static member is back: its partitions wait for it, and nobody else is disturbed."""
        if not before.away:
            raise IllegalStateError(f"two live members are called {member.name}; no broker would have told them apart")
        self.members[self.members.index(before)] = member
        member.positions = {partition: self.committed.get(partition, 0) for partition in before.positions}
        await self.broker.announce()

    async def leave(self, member: "MemorySource") -> None:
        """The member goes without a word: it has committed what it wanted to, or it has crashed."""
        async with self._turn:
            if member.static:  # it says no good-bye; until its session ends it is expected back
                member.away = True
                member.positions = {partition: self.committed.get(partition, 0) for partition in member.positions}
            elif member in self.members:
                self.members.remove(member)
                member.positions = {}
                await self._revoke()
                await self._assign()

    async def evict(self, member: "MemorySource") -> None:
        """The group gives a silent member up and goes on without it; the member does not know yet."""
        async with self._turn:
            self.members.remove(member)
            await self._revoke()
            await self._assign()

    async def expire(self, name: str) -> None:
        """Give up a static member that is away."""
        async with self._turn:
            member = self._named(name)
            if member is None or not member.away:
                raise IllegalStateError(f"{name} is not away")
            self.members.remove(member)
            await self._revoke()
            await self._assign()

    async def rebalance(self) -> None:
        async with self._turn:
            await self._revoke()
            await self._assign()

    async def _revoke(self) -> None:
        """Every member gives up everything, as in Kafka's eager protocol, and is waited for."""
        await asyncio.gather(*(member.revoke() for member in self.members if not member.away))

    async def _assign(self) -> None:
        """Deal the partitions anew; each is read from its committed offset."""
        dice = self.broker.dice("assign", self.name)
        for member in self.members:
            member.positions = {}
        for topic in sorted({topic for member in self.members for topic in member.topics}):
            readers = [member for member in self.members if topic in member.topics]
            dice.shuffle(readers)
            for i, partition in enumerate(self.broker.partitions_of([topic])):
                readers[i % len(readers)].positions[partition] = self.committed.get(partition, 0)
        await self.broker.announce()

    def left(self) -> list[str]:
        owned = {partition: member for member in self.members for partition in member.positions}
        known = owned.keys() | self.committed.keys()
        lines = []
        for partition in sorted(known):
            member = owned.get(partition)
            position = member.positions[partition] if member else self.committed[partition]
            if behind := len(self.broker.log_of(partition)) - position:
                lines.append(f"{self.name} lacks {behind} of {partition.topic}-{partition.number}")
        return lines + [f"{member.name} is at work" for member in self.members if not (member.idle or member.away)]


class MemorySource:
    """One member of a group. It waits with time to spare only when it has dealt with all it was given."""

    def __init__(
        self, broker: MemoryBroker, group: _Group, topics: Sequence[str], name: str, *, static: bool = False
    ) -> None:
        self.name = name
        self.topics = topics
        self.static = static
        self.away = False
        self.positions: dict[Partition, int] = {}
        self.idle = False
        self._broker = broker
        self._group = group
        self._generation = 0
        self._on_revoked: Callable[[], Awaitable[None]] | None = None
        self._evicted = False
        self._put_off = False

    @property
    def generation(self) -> int:
        return self._generation

    async def start(self, on_revoked: Callable[[], Awaitable[None]]) -> None:
        if self._broker.fails("join"):
            raise KafkaConnectionError("joining failed on demand")
        self._broker.partitions_of(self.topics)
        self._on_revoked = on_revoked
        await self._join()

    async def _join(self) -> None:
        """A member that dies meanwhile is in the group all the same, until the group notices: the others have given up
        their partitions for it, and must get them back."""
        joining = asyncio.create_task(self._group.join(self))
        try:
            await asyncio.shield(joining)
        except asyncio.CancelledError:
            await joining
            await self._group.leave(self)
            raise

    async def fetch(self, take: Take, *, max_records: int, timeout_ms: int) -> None:
        broker = self._broker
        if self._put_off or broker.fails("fetch"):
            self._put_off = False
            raise KafkaConnectionError("fetch failed on demand")
        if self._behind() and broker.dice("rebalance", self._group.name).random() < broker.manners.rebalance:
            broker.rebalance_soon(self._group.name)
        if self._evicted:
            await self._rejoin(take, max_records)
            return
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            await asyncio.sleep(0)
            if records := self._piece(max_records):
                self.idle = False
                take(records)
                await self._go_on(take, max_records - len(records))
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            idle = not self._behind()
            if idle and not self.idle:  # said once: two idle groups that said so again would wake each other for ever
                self.idle = True
                await broker.announce()
            self.idle = idle
            await broker.changed_within(left_s if idle else 0.001)

    async def _go_on(self, take: Take, max_records: int) -> None:
        """Hand over what else is there. Between two pieces others have their turn, and may divide the group anew. What
        fails now is told by the next fetch, as the real source does."""
        while max_records > 0:
            await asyncio.sleep(0)
            self._put_off = self._broker.fails("fetch")
            records = [] if self._put_off or self._evicted else self._piece(max_records)
            if not records:
                return
            take(records)
            max_records -= len(records)

    def _piece(self, max_records: int) -> Sequence[Record]:
        if not self._behind():
            return ()
        most = min(max_records, _LARGEST_PIECE)
        return self._take(self._broker.dice("piece", self._group.name, self.name).randint(1, most))

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._broker.fails("commit"):
            raise KafkaConnectionError("commit failed on demand")
        if self._evicted:
            return
        # What belongs to someone else by now is not ours to commit.
        self._group.committed.update({p: next_ for p, next_ in offsets.items() if p in self.positions})

    async def behind(self) -> Mapping[Partition, int]:
        return {partition: len(self._broker.log_of(partition)) - at for partition, at in self.positions.items()}

    async def stop(self) -> None:
        self.idle = False
        await self._group.leave(self)

    async def evict(self) -> None:
        """Be taken for dead."""
        self._evicted = True
        await self._group.evict(self)

    async def _rejoin(self, take: Take, max_records: int) -> None:
        """What was fetched before the eviction still comes; then the member learns of it and joins anew."""
        stale, self.positions = self._take(max_records), {}
        if stale:
            take(stale)
            return
        self._evicted = False
        await self.revoke()
        await self._join()

    async def revoke(self) -> None:
        """Called by the group: let the member finish, then take everything from it."""
        if self._on_revoked is None:
            raise IllegalStateError("the source is not started")
        await self._on_revoked()
        self.positions = {}
        self._generation += 1

    def _behind(self) -> bool:
        return any(len(self._broker.log_of(partition)) > at for partition, at in self.positions.items())

    def _take(self, max_records: int) -> list[Record]:
        """Some of what is there: partitions in any order, each one's records in theirs."""
        broker, group, taken = self._broker, self._group.name, list[Record]()
        partitions = sorted(self.positions)
        if self._behind():
            broker.dice("order", group, self.name).shuffle(partitions)
        for partition in partitions:
            start = self.positions[partition]
            available = min(len(broker.log_of(partition)) - start, max_records - len(taken))
            dice = broker.dice("fetch", group, partition.topic, str(partition.number))
            if available > 0 and dice.random() < broker.manners.hold_back:
                available = int(dice.random() * available)
            taken += broker.log_of(partition)[start : start + available]
            self.positions[partition] = start + max(0, available)
        return taken


class MemorySink:
    """A producer. Batches are stored one after the other; one that fails takes along those queued behind it, as an
    idempotent producer of Kafka does, and begins a new generation."""

    def __init__(self, broker: MemoryBroker, dice: random.Random) -> None:
        self._broker = broker
        self._dice = dice
        self._generation = 0
        self._queue: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._storing: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def unsettled(self) -> int:
        """Batches neither stored nor refused yet."""
        return len(self._queue)

    async def start(self) -> None:
        if self._broker.fails("connect"):
            raise KafkaConnectionError("connecting failed on demand")

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:
        if generation not in {None, self._generation}:
            raise SendOvertaken("a send before this one failed")
        try:
            self._broker.partitions_of(sorted({record.topic for record in records}))
            if _largest(records) > MAX_MESSAGE_BYTES:
                raise MessageSizeTooLargeError("a record exceeds the producer's limit")
        except KafkaError:
            self._generation += 1
            raise
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((records, answer))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store())
        return answer

    async def stop(self) -> None:
        if self._storing is not None:
            await self._storing

    async def _store(self) -> None:
        while self._queue:
            for _ in range(self._dice.randrange(4)):
                await asyncio.sleep(0)
            records, answer = self._queue[0]
            if self._broker.fails("send"):
                self._break(KafkaConnectionError("send failed on demand"))
                continue
            if _largest(records) > self._broker.max_message_bytes:
                self._break(MessageSizeTooLargeError("a record exceeds the topic's limit"))
                continue
            await self._broker.store(records, self._dice)
            if self._broker.fails("ack"):
                self._break(KafkaConnectionError("the answer to a send was lost on demand"))
                continue
            self._queue.pop(0)
            _settle(answer, None)
        await self._broker.announce()

    def _break(self, error: Exception) -> None:
        (_, answer), *behind = self._queue
        self._queue = []
        self._generation += 1
        _settle(answer, error)
        for _, later in behind:
            _settle(later, OutOfOrderSequenceNumber())


def _largest(records: Sequence[Record]) -> int:
    return max((len(record.value or b"") for record in records), default=0)


def _settle(answer: asyncio.Future[None], error: Exception | None) -> None:
    if answer.done():  # its sender has given up waiting
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)
