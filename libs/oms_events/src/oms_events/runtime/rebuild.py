"""Rebuilding a projection: what a service keeps of other services' topics is read anew, from the first record on.

It runs while the service is stopped, and in order: a service that read the topic again between its other work would
for a while act on what was true long ago.
"""

from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from oms_events.codec import Record, Undecodable, decode, type_of
from oms_events.registry import current_type
from oms_events.runtime import dead_letters, inbox, offsets
from oms_events.runtime.broker import Broker
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service

_PAGE = 500
_POLL_MS = 500


class NotRebuildable(ValueError):
    """Reading this again would do more than fill a projection, or would not do it right."""


def projection_topics(service: Service) -> list[str]:
    """Topics of which the service keeps a projection and nothing else."""
    kinds: dict[str, set[bool]] = {}
    for subscription in service.consumes:
        kinds.setdefault(subscription.event.topic.name, set()).add(subscription.projection)
    return sorted(topic for topic, projections in kinds.items() if projections == {True})


async def rebuild(runtime: Runtime, topic: str, *, wait_s: float = 0.0) -> int:
    """Apply all that a topic holds again; answers how many records. The runtime runs without its consumer.

    Raises NotRebuildable for a topic that is more than a projection and while dead letters are open, and GroupActive
    while a process of the service may be reading.
    """
    service = runtime.service
    if topic not in (known := projection_topics(service)):
        raise NotRebuildable(f"{service.name} can rebuild what it keeps of: {', '.join(known) or 'nothing'}")
    await require_peace(runtime, wait_s=wait_s)
    applied = 0
    async for records in _read(runtime.broker, topic):
        applied += await _apply_again(runtime, records)
    return applied


async def require_peace(runtime: Runtime, *, wait_s: float = 0.0) -> None:
    """Return when nothing stands against reading again. Raises NotRebuildable while dead letters are open, and
    GroupActive while a process of the service may be reading."""
    async with runtime.connection() as connection:
        if await dead_letters.open_count(connection):
            raise NotRebuildable("dead letters are open: records of their keys would be parked, not applied")
    await offsets.until_empty(runtime.broker, runtime.service.group, wait_s=wait_s)


async def _apply_again(runtime: Runtime, records: Sequence[Record]) -> int:
    """Forget that these were applied, then apply them. Cut short, a repetition makes it whole."""
    handled = {subscription.event.type for subscription in runtime.service.consumes}
    ours = [record for record in records if current_type(type_of(record) or "") in handled]
    ids = []
    for record in ours:
        try:
            ids.append(decode(record).meta.id)
        except Undecodable:  # the runner sets it aside, once
            continue
    async with runtime.write() as connection:
        await inbox.forget(connection, runtime.service.group, ids)
    await runtime.runner.apply(ours)
    return len(ours)


async def _read(broker: Broker, topic: str) -> AsyncIterator[Sequence[Record]]:
    """Everything that a topic holds now, page by page, each partition's in order."""
    consumer = AIOKafkaConsumer(**broker.options(), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(*partition) for partition in await offsets.partitions_of(broker, [topic])]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_PAGE)
            yield [
                Record(m.topic, m.key, m.value, m.headers, m.partition, m.offset, m.timestamp)
                for messages in fetched.values()
                for m in messages
            ]
    finally:
        await consumer.stop()
