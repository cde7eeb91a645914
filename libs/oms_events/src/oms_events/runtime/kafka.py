"""Kafka through aiokafka: the record source, the record sink, and the check that topics exist."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    for_code,
)

from oms_events.codec import Record
from oms_events.registry import Topic
from oms_events.runtime import aiokafka_patch
from oms_events.runtime.broker import Broker
from oms_events.runtime.ownership import unowned
from oms_events.runtime.ports import Partition, SendOvertaken, Take
from oms_events.runtime.retry import backoff
from oms_events.runtime.settings import SettingRefused, Settings
from oms_events.runtime.window import Window

log = structlog.get_logger()

aiokafka_patch.apply()

_MAX_POLL_INTERVAL_MS = 24 * 60 * 60 * 1000
"""A batch waits as long as its database is away. Liveness is judged by the process, not by the group."""
_METADATA_MAX_AGE_MS = 30_000
"""How soon a running consumer hears of added partitions. Sooner than the client's default of 5 minutes, which is what
writers keep: what they write there must not wait for a reader."""
_LOOK_FOR_UNOWNED_S = 30.0
_LEAVE_S = 5.0
"""How long leaving a group may take. The client tries for ever while no broker coordinates the group."""
_IDLE_WAIT_MS = 500
"""How long the broker keeps a question open while nothing comes."""
_MUCH_BYTES = 256 * 1024
"""A batch that is worth its cost, whatever the window."""
_TOPIC_ALREADY_EXISTS = 36
_REPLICAS = 3
_BATCH_BYTES = 256 * 1024
_PIECE = 50
"""So many records are handed over at a time."""
_WORTH_BATCHING = 16
"""From so many records on, batches filled by us cost a third of handing the client one record after the other."""


class TopicsMissing(RuntimeError):
    """The broker lacks topics this process needs. Starting without them would hang, not fail."""


class KafkaSource:
    """One member of a consumer group."""

    def __init__(self, broker: Broker, settings: Settings, *, group: str, topics: Sequence[str]) -> None:
        self._broker = broker
        self._settings = settings
        self._group = group
        self._topics = topics
        self._generation = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned_anew = False
        self._look_at = 0.0
        self._window = Window(settings.batch_window_ms / 1000)
        self._put_off: Exception | None = None

    @property
    def generation(self) -> int:
        return self._generation

    async def start(self, on_revoked: Callable[[], Awaitable[None]]) -> None:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            **self._broker.options(),
            group_id=self._group,
            group_instance_id=f"{self._group}.{settings.instance}" if settings.instance else None,
            client_id=f"{self._group}.{settings.instance or 'member'}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=int(settings.drain_timeout_s * 3000),
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            fetch_max_wait_ms=_IDLE_WAIT_MS,
        )
        consumer.subscribe(self._topics, listener=_Listener(self, on_revoked))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer  # only now: others ask how far behind we are, and a client half made has no answer

    async def fetch(self, take: Take, *, max_records: int, timeout_ms: int) -> None:
        if self._assigned_anew and time.monotonic() >= self._look_at:
            await self._claim_unowned()
        self._window.asked(time.monotonic())
        count = 0
        while piece := await self._piece(min(_PIECE, max_records - count), timeout_ms=0 if count else timeout_ms):
            take(piece)
            count += len(piece)
            if count == max_records:
                break
        if count and self._settings.batch_window_ms:
            self._gather(self._window.handed(count, time.monotonic()))

    async def _piece(self, max_records: int, *, timeout_ms: int) -> Sequence[Record]:
        """Some of what is there. Without a time to wait it raises nothing: the client tells of an error once, and the
        records handed over before it would be lost with it. The next one that may wait does."""
        error, self._put_off = self._put_off, None
        if error is not None:
            raise error
        try:
            by_partition = await self._require().getmany(timeout_ms=timeout_ms, max_records=max_records)
        except Exception as error:
            if timeout_ms:
                raise
            self._put_off = error
            return ()
        return [
            Record(m.topic, m.key, m.value, m.headers, m.partition, m.offset, m.timestamp)
            for messages in by_partition.values()
            for m in messages
        ]

    def _gather(self, window_s: float) -> None:
        """Let the broker keep back what comes next until the window is over or it is much.

        The client asks for more as soon as it has handed over what it had. Answered at the first record, as it is
        while nothing goes on, it would ask again and again while a batch is under way.
        """
        self._ask(wait_ms=int(1000 * window_s), min_bytes=_MUCH_BYTES)
        asyncio.get_running_loop().call_later(window_s / 2, self._ask)

    def _ask(self, *, wait_ms: int = _IDLE_WAIT_MS, min_bytes: int = 1) -> None:
        """How the broker is to answer what the client asks from now on. The client has no public way to change it."""
        fetcher = self._require()._fetcher
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = wait_ms, min_bytes

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        try:
            await self._require().commit({TopicPartition(p.topic, p.number): next_ for p, next_ in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # Someone else owns the partitions now and will read these records again; the inbox knows them.
            log.info("offsets not committed", group=self._group, reason=type(error).__name__)

    async def _claim_unowned(self) -> None:
        """Ask for a new assignment where the one that we were given leaves partitions to nobody."""
        self._look_at = time.monotonic() + _LOOK_FOR_UNOWNED_S
        try:
            nobodys = await unowned(self._broker, self._group, self._topics)
        except SettingRefused as error:
            # A login that was changed while we run is the next start's matter: what is connected goes on.
            raise KafkaConnectionError(str(error)) from None
        self._assigned_anew = nobodys is None
        if nobodys:
            log.warning("partitions without an owner", group=self._group, count=len(nobodys))
            # The client has no public way. Only the group's leader can have it divided anew; each member asks.
            self._require()._coordinator.request_rejoin()

    async def behind(self) -> Mapping[Partition, int]:
        if self._consumer is None:
            return {}
        # Not the client's `highwater`: it stands still while fetched records wait, so just when a consumer is stuck.
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        positions = {tp: await self._consumer.position(tp) for tp in ends}
        return {Partition(tp.topic, tp.partition): max(0, end - positions[tp]) for tp, end in ends.items()}

    async def stop(self) -> None:
        if self._consumer is None:
            return
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._consumer.stop()
        except TimeoutError:
            log.warning("gone without leaving the group", group=self._group)

    def revoked(self) -> None:
        """Records fetched so far are no longer ours."""
        self._generation += 1

    def assigned(self) -> None:
        """Partitions were given to us; whether all have an owner is to be looked at."""
        self._assigned_anew = True

    def _require(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the source is not started")
        return self._consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(self, source: KafkaSource, on_revoked: Callable[[], Awaitable[None]]) -> None:
        self._source = source
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked:
            await self._on_revoked()
        self._source.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        log.info("partitions assigned", count=len(assigned))
        self._source.assigned()


class _Acquaintance:
    """Which partitions know a producer, and which are just being introduced to it.

    A broker refuses what comes behind a refused batch only where it has stored something of the producer before: from
    a stranger it takes any sequence. So the first batch of a partition travels alone.
    """

    def __init__(self) -> None:
        self._known: dict[str, set[int]] = {}
        self._familiar: set[str] = set()
        """Topics of which every partition knows the producer: nothing to look at any more."""
        self._under_way: dict[tuple[str, int], asyncio.Future[None]] = {}

    async def strangers(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> set[tuple[str, int]]:
        """Partitions of these records that do not know the producer and are not being introduced to it by others: for
        these it waits. They count as being introduced from now on, until `settled`."""
        found: set[tuple[str, int]] = set()
        for topic in {record.topic for record in records} - self._familiar:
            partitions = list(await producer.partitions_for(topic))
            known = self._known.setdefault(topic, set())
            if len(known) == len(partitions):
                self._familiar.add(topic)
                continue
            numbers = {partition_of(record.key, partitions) for record in records if record.topic == topic}
            found |= {(topic, number) for number in numbers - known}
        while waits := [self._under_way[slot] for slot in found if slot in self._under_way]:
            await asyncio.wait(waits)
        found = {(topic, number) for topic, number in found if number not in self._known[topic]}
        self._under_way |= dict.fromkeys(found, asyncio.get_running_loop().create_future()) if found else {}
        return found

    def settled(self, strangers: set[tuple[str, int]], *, stored: bool) -> None:
        """The first batches of these partitions were stored, or not."""
        for slot in strangers:
            under_way = self._under_way.pop(slot)
            if not under_way.done():  # one for all that went together
                under_way.set_result(None)
            if stored:
                self._known[slot[0]].add(slot[1])


class KafkaSink:
    """An idempotent producer that is thrown away and built anew after an error it cannot get over.

    After a refused batch an idempotent producer stays out of sequence for good (aio-libs/aiokafka#1017).
    """

    def __init__(self, broker: Broker, *, client_id: str) -> None:
        self._broker = broker
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._generation = 0
        self._acquaintance = _Acquaintance()

    @property
    def generation(self) -> int:
        return self._generation

    async def start(self) -> None:
        await self._ready()

    async def _ready(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._broker.options(),
                    client_id=self._client_id,
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=0,
                    max_batch_size=_BATCH_BYTES,
                    max_request_size=1_000_000,
                    partitioner=partition_of,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer, self._acquaintance = producer, _Acquaintance()
            return self._producer

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:
        producer, acquaintance, strangers = await self._turn(records)
        if generation not in {None, self._generation}:
            acquaintance.settled(strangers, stored=False)
            raise SendOvertaken("a send before this one failed")
        try:
            if len(records) < _WORTH_BATCHING:
                acks = [await producer.send(r.topic, value=r.value, key=r.key, headers=r.headers) for r in records]
            else:
                acks = await _send_batches(producer, records)
        except BaseException as error:
            acquaintance.settled(strangers, stored=False)
            if isinstance(error, KafkaError):
                await self._discard(producer)
            raise
        settling = asyncio.ensure_future(self._settled(producer, acks))
        if strangers:
            settling.add_done_callback(lambda told: acquaintance.settled(strangers, stored=_succeeded(told)))
        return settling

    async def _turn(self, records: Sequence[Record]) -> tuple[AIOKafkaProducer, _Acquaintance, set[tuple[str, int]]]:
        """The producer, once it may queue these records, and the partitions that it is introduced to by them."""
        while True:
            producer, acquaintance = await self._ready(), self._acquaintance
            try:
                strangers = await acquaintance.strangers(producer, records)
            except KafkaError:
                await self._discard(producer)
                raise
            if producer is self._producer:
                return producer, acquaintance, strangers
            acquaintance.settled(strangers, stored=False)

    async def _settled(self, producer: AIOKafkaProducer, acks: Sequence[Awaitable[object]]) -> None:
        results = await asyncio.gather(*acks, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            await self._discard(producer)
            raise errors[0]

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        async with self._lock:
            # Another send may have met the same error and done this already.
            still_in_use = self._producer is producer
            if still_in_use:
                self._producer = None
                self._generation += 1
        if still_in_use:
            await producer.stop()

    async def stop(self) -> None:
        async with self._lock:
            producer = self._producer
            self._producer = None
            if producer is not None:
                await producer.stop()


def _succeeded(told: "asyncio.Future[None]") -> bool:
    return not told.cancelled() and told.exception() is None


def partition_of(key: bytes | None, partitions: Sequence[int], _available: Sequence[int] = ()) -> int:
    """The partition of a key: CRC-32, as librdkafka's `consistent` partitioner.

    The client's own hash runs in pure Python and costs more than encoding the event.
    """
    return zlib.crc32(key or b"") % len(partitions)


async def _send_batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Awaitable[object]]:
    """Fill and queue a batch per partition. One partition's batches are queued in the records' order."""
    acks: list[Awaitable[object]] = []
    by_topic: dict[str, list[Record]] = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append(record)
    for topic, its_records in by_topic.items():
        partitions = list(await producer.partitions_for(topic))
        filling: dict[int, Any] = {}
        for record in its_records:
            partition = partition_of(record.key, partitions)
            batch = filling.get(partition)
            if (
                batch is None
                or batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None) is None
            ):
                if batch is not None:  # full
                    acks.append(await _queue(producer, batch, topic, partition))
                batch = filling[partition] = producer.create_batch()
                batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None)
        acks += [await _queue(producer, batch, topic, partition) for partition, batch in filling.items()]
    return acks


async def _queue(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> Awaitable[object]:  # noqa: ANN401 - aiokafka ships no types
    batch.close()
    ack: Awaitable[object] = await producer.send_batch(batch, topic, partition=partition)
    return ack


async def ensure_topics(
    broker: Broker, topics: Sequence[Topic], *, partitions: int, replication: int | None = None
) -> list[str]:
    """Create what is missing; answers the names created. A topic that exists stays as it is.

    Without `replication`: three replicas, or as many as there are brokers. Waits until consumer groups can be
    formed, too: on a new cluster the first question makes the broker create what it needs for them. Raises KafkaError
    when the broker refuses a topic, SettingRefused when it refuses us.
    """
    async with broker.admin() as admin:
        copies = replication or min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        wanted = [NewTopic(topic.name, partitions, copies, topic_configs=topic.config()) for topic in topics]
        response = await admin.create_topics(wanted)
        await _until_groups_form(admin)
        refused = {name for name, code, *_ in response.topic_errors if code not in (0, _TOPIC_ALREADY_EXISTS)}
        await _until_known(admin, {topic.name for topic in topics} - refused)
    created = []
    for name, code, *_ in response.topic_errors:  # an error is in the answer; the client does not raise it
        if code == 0:
            created.append(name)
        elif code != _TOPIC_ALREADY_EXISTS:
            raise for_code(code)(f"topic {name} was refused")
    return created


async def _until_known(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """A broker answers that a topic is made before it has heard of it itself."""
    for wait in backoff(first=0.1, cap=1.0):
        if names <= set(await admin.list_topics()):
            return
        await asyncio.sleep(wait)


async def _until_groups_form(admin: AIOKafkaAdminClient) -> None:
    for wait in backoff(first=0.1, cap=1.0):
        try:
            await admin.find_coordinator("any")
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(wait)
        except GroupAuthorizationFailedError:  # where access lists are kept, only our own groups may be asked for
            return
        else:
            return


async def require_topics(broker: Broker, names: Sequence[str]) -> None:
    """Raise TopicsMissing, naming them, unless every topic exists; SettingRefused where the broker refuses us."""
    async with broker.admin() as admin:
        missing = sorted(set(names) - set(await admin.list_topics()))
    if missing:
        raise TopicsMissing(f"the broker lacks the topics {', '.join(missing)}; create them with `oms-events topics`")
