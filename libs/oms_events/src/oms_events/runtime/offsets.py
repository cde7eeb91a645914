"""A consumer group's offsets seen and set from outside, while nobody of the group reads."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, for_code

from oms_events.runtime.broker import Broker
from oms_events.runtime.ports import Partition

_LOOK_AGAIN_S = 0.5
_EMPTY = {"Empty", "Dead"}

To = Literal["earliest"] | datetime
"""Where to go on reading: at the first record there is, or at the first that is not older than a moment."""


class GroupActive(RuntimeError):
    """Somebody of the group reads, or may still: its offsets are not ours to set."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a group has come in a partition. `committed` is None where it never committed."""

    partition: Partition
    first: int
    committed: int | None
    end: int

    @property
    def behind(self) -> int:
        """Records that the group reads next."""
        return self.end - (self.first if self.committed is None else self.committed)


async def show(broker: Broker, group: str, topics: Sequence[str]) -> list[Place]:
    """Where the group stands in every partition of the topics. Raises KafkaError."""
    async with _outside(broker, group, topics) as consumer:
        partitions = sorted(consumer.assignment())
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        return [
            Place(Partition(tp.topic, tp.partition), first[tp], await consumer.committed(tp), ends[tp])
            for tp in partitions
        ]


async def reset(
    broker: Broker, group: str, topics: Sequence[str], to: To, *, wait_s: float = 0.0
) -> Mapping[Partition, int]:
    """Let the group read on from elsewhere; answers the next offsets.

    Raises GroupActive while it has members: after `wait_s` seconds, since one that stopped without a word is believed
    alive until its session ends. A moment after the last record is the end.
    """
    await until_empty(broker, group, wait_s=wait_s)
    async with _outside(broker, group, topics) as consumer:
        partitions = consumer.assignment()
        places = await consumer.beginning_offsets(partitions)
        if to != "earliest":
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(to.timestamp() * 1000)))
            ends = await consumer.end_offsets(partitions)
            places = {tp: found[tp].offset if found[tp] else ends[tp] for tp in partitions}
        try:
            await consumer.commit(places)
        except CommitFailedError:
            raise GroupActive(f"the group {group} came to life meanwhile; stop its processes") from None
        return {Partition(tp.topic, tp.partition): place for tp, place in sorted(places.items())}


async def until_empty(broker: Broker, group: str, *, wait_s: float = 0.0) -> None:
    """Return when the group has no members. Raises GroupActive when it still has some after so many seconds."""
    give_up_at = time.monotonic() + wait_s
    while members := await _members(broker, group):
        if time.monotonic() >= give_up_at:
            raise GroupActive(
                f"the group {group} has {members} members: stop the service's processes; one that has a name of its own"
                " (OMS_INSTANCE) or was killed counts as a member until its session ends, 30 s by default"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _members(broker: Broker, group: str) -> int:
    async with broker.admin() as admin:
        (response,) = await admin.describe_consumer_groups([group])
    ((code, _, state, _, _, members, *_),) = response.groups
    if code:
        raise for_code(code)(f"the group {group} cannot be described")
    return 0 if state in _EMPTY else max(1, len(members))


@asynccontextmanager
async def _outside(broker: Broker, group: str, topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that speaks for the group without being a member, with all partitions of the topics."""
    partitions = [TopicPartition(*partition) for partition in await partitions_of(broker, topics)]
    consumer = AIOKafkaConsumer(**broker.options(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        yield consumer
    finally:
        await consumer.stop()


async def partitions_of(broker: Broker, topics: Sequence[str]) -> list[tuple[str, int]]:
    """Every partition of the topics."""
    async with broker.admin() as admin:
        described = await admin.describe_topics(list(topics))
    return [(topic["topic"], partition["partition"]) for topic in described for partition in topic["partitions"]]
