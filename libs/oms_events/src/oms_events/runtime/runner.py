"""The runner: one loop that takes batches from Kafka and applies each in one transaction.

A batch spans all partitions of this member; each key's events stay in order. Offsets are committed on a timer:
reading a record again is harmless, since the inbox knows it. An error that passes by itself retries the same
batch for ever; any other is narrowed down to the one event that causes it, which becomes a dead letter.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from aiokafka.errors import UnknownTopicOrPartitionError

from oms_events.codec import Record, Undecodable, UnknownType, decode, type_of, without_headers
from oms_events.registry import current_type, model_of
from oms_events.runtime import crash_points, dead_letters, inbox
from oms_events.runtime.courtesy import Courtesy
from oms_events.runtime.database import Lane
from oms_events.runtime.dead_letters import DeadLetter, Requested
from oms_events.runtime.deliveries import Catch, Delivery, waves
from oms_events.runtime.logs import about, ids_of, kind_of, places_of
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.ports import Partition, RecordSource
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.service import Handler, Service
from oms_events.runtime.settings import Settings
from oms_events.runtime.stages import Stages
from oms_events.runtime.telemetry import BATCH_SIZE, EVENT_AGE, HANDLE_SECONDS, RECORDS, RETRIES
from oms_events.runtime.tracing import OFF, Tracing
from oms_events.runtime.trail import Trail, trail_of
from oms_events.runtime.transaction import transaction
from oms_events.runtime.trusted import trust
from oms_events.runtime.work import Work

log = structlog.get_logger()

_IDLE_FETCH_MS = 500


def _name_of(type_: str) -> str:
    """An event's type without its version."""
    return type_.rpartition(".")[0]


class Runner:
    """Applies one service's events."""

    def __init__(
        self,
        service: Service,
        *,
        source: RecordSource,
        lane: Lane,
        publisher: Publisher,
        settings: Settings,
        turn: asyncio.Lock,
        stages: Stages,
        tracing: Tracing = OFF,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tracing = tracing
        self._service = service
        self._group = service.group
        self._handlers: Mapping[str, Handler] = {s.event.type: s.handle for s in service.consumes}
        self._names = {_name_of(type_) for type_ in self._handlers}
        self._source = source
        self._lane = lane
        self._publisher = publisher
        self._settings = settings
        self._clock = clock
        self._applying = turn
        self._stages = stages
        self._positions: dict[tuple[str, int], int] = {}
        self._courtesy = Courtesy() if settings.nice else None
        self._stopping = asyncio.Event()
        self._waiting: asyncio.Timeout | None = None
        """Around the fetch under way: `stop` ends it."""
        self._replay_wanted = asyncio.Event()
        self._committed_at = 0.0
        self.ticked_at = time.monotonic()
        self.in_hand: Sequence[Delivery] = ()
        """What was fetched and is not yet applied."""

    # --- the loop -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Consume until `stop`; then finish the batch in hand, commit and leave."""
        await self._join()
        waits = backoff()
        try:
            while not self._stopping.is_set():
                try:
                    with self._stages.of("fetch"):
                        catch = await self._fetch()
                    waits = backoff()
                except Exception as error:
                    if not is_transient(error):
                        raise
                    if self._stopping.is_set():
                        break
                    log.warning("fetching will be tried again", group=self._group, error=kind_of(error))
                    await asyncio.sleep(next(waits))
                    continue
                self.ticked_at = time.monotonic()
                self.in_hand = catch.deliveries
                async with self._applying:
                    if catch.generation == self._source.generation:
                        await self._apply(catch)
                self.in_hand = ()
                await self._commit_when_due()
                await self._replay_when_wanted()
                await self._rest()
            await self._commit()
        finally:
            await self._source.stop()

    async def _rest(self) -> None:
        """Leave the processors to others for a while, where we are one that steps back."""
        seconds = self._courtesy.rest_s() if self._courtesy else 0.0
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _join(self) -> None:
        """Join the group, however long the broker is away. Raises UnknownTopicOrPartitionError."""
        for wait in backoff(cap=5.0):
            try:
                await self._source.start(self._on_revoked)
            except Exception as error:
                if not is_transient(error) or isinstance(error, UnknownTopicOrPartitionError):
                    raise
                log.warning("joining will be tried again", group=self._group, error=type(error).__name__)
                self.ticked_at = time.monotonic()
                await asyncio.sleep(wait)
            else:
                return

    def stop(self) -> None:
        """Ask the loop to end after the batch in hand, or at once while it waits for one."""
        self._stopping.set()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(0)

    def replay_soon(self) -> None:
        """Look for dead letters to replay before the next batch."""
        self._replay_wanted.set()

    async def _fetch(self) -> Catch:
        """What comes next. Where the group is divided anew meanwhile, only what came after that: of a new generation
        nothing would ever come again. Raises TimeoutError when told to stop meanwhile."""
        catch = Catch(self._source.generation)

        def take(records: Sequence[Record]) -> None:
            nonlocal catch
            if catch.generation != self._source.generation:
                catch = Catch(self._source.generation)
            self._read(records, catch)

        try:
            async with asyncio.timeout(None) as self._waiting:
                await self._source.fetch(take, max_records=self._settings.batch_max_records, timeout_ms=_IDLE_FETCH_MS)
        finally:
            self._waiting = None
        return catch

    async def apply(self, records: Sequence[Record]) -> None:
        """Apply records in one transaction, or as few as it takes to set the bad ones aside."""
        catch = Catch(self._source.generation)
        self._read(records, catch)
        await self._apply(catch)

    async def _apply(self, catch: Catch) -> None:
        if catch.deliveries:
            await self._settle(catch.deliveries)
        crash_points.reach("offsets")
        self._positions |= catch.positions

    def _read(self, records: Sequence[Record], catch: Catch) -> None:
        with self._stages.of("decode"):
            for record in records:
                catch.positions[record.topic, record.partition] = record.offset + 1
                if (delivery := self._deliver(record)) is not None:
                    catch.deliveries.append(delivery)

    def _deliver(self, record: Record) -> Delivery | None:
        """Decode what this service handles; None for types it does not subscribe to.

        A version of a subscribed event that this code does not know is set aside as unreadable, never skipped: its
        writer was upgraded before its reader, and the reader will want it once it can read it.
        """
        type_ = type_of(record)
        if type_ is not None and not self._wants(type_):
            return None
        key = dead_letters.key_of(record)
        try:
            received = decode(record, read_ours=trust)
        except UnknownType as error:
            return self._unreadable(record, key, error) if self._wants(error.type) else None
        except Undecodable as error:
            return self._unreadable(record, key, error)
        if received.event.type not in self._handlers:
            return None
        return Delivery(without_headers(record, received.meta), key, received)

    def _wants(self, type_: str) -> bool:
        """Whether this service handles the type, or would if it knew the version."""
        if type_ in self._handlers or current_type(type_) in self._handlers:
            return True
        return _name_of(type_) in self._names and model_of(type_) is None

    def _unreadable(self, record: Record, key: str, error: Undecodable) -> Delivery:
        log.error(
            "record cannot be read and becomes a dead letter",
            group=self._group,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            **ids_of([record]),
        )
        return Delivery(record, key, None, error)

    async def _on_revoked(self) -> None:
        """Finish the batch in hand and say how far we came, before the partitions go to someone else."""
        async with self._applying:
            await self._commit()
            self._positions.clear()

    async def _commit_when_due(self) -> None:
        if self._positions and time.monotonic() - self._committed_at >= self._settings.commit_interval_s:
            async with self._applying:
                await self._commit()

    async def _commit(self) -> None:
        positions, self._positions = self._positions, {}
        self._committed_at = time.monotonic()
        if not positions:
            return
        await self._tracing.flush()
        try:
            with self._stages.of("commit"):
                await self._source.commit({Partition(*place): next_ for place, next_ in positions.items()})
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("offsets will be committed later", group=self._group, error=kind_of(error))
            self._positions = positions

    # --- applying a batch -----------------------------------------------------------------------------------

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        """Apply a batch, whatever it takes."""
        error = await self._attempt(lambda work: self._transact(deliveries, work))
        if error is None:
            return
        if len(deliveries) == 1:
            await self._bury(deliveries[0], error)
            return
        middle = len(deliveries) // 2
        await self._settle(deliveries[:middle])
        await self._settle(deliveries[middle:])

    async def _attempt(self, apply: Callable[[Work], Awaitable[None]]) -> Exception | None:
        """One transaction, repeated while its errors pass by themselves; answers the error that will not."""
        for wait in backoff():
            started = time.monotonic()
            try:
                with self._stages.of("commit"):
                    async with transaction(
                        self._lane.begin,
                        self._publisher,
                        source=self._service.source,
                        now=self._clock(),
                        trail=trail_of(self._tracing, self._group),
                    ) as work:
                        with self._stages.of("handle"):
                            await apply(work)
                        crash_points.reach("handled")
            except Exception as error:  # noqa: BLE001 - the one place that judges errors
                if not is_transient(error):
                    return error
                RETRIES.labels(self._group, kind_of(error)).inc()
                log.warning("batch will be tried again", group=self._group, error=kind_of(error))
                self.ticked_at = time.monotonic()
                await asyncio.sleep(wait)
                continue
            HANDLE_SECONDS.labels(self._group).observe(time.monotonic() - started)
            return None
        return None

    async def _transact(self, deliveries: Sequence[Delivery], work: Work) -> None:
        BATCH_SIZE.labels(self._group).observe(len(deliveries))
        known = {d.received.meta.id: d for d in reversed(deliveries) if d.received is not None}
        admission = await inbox.admit(work.connection, self._group, known.keys(), {d.key for d in deliveries})
        letters, fresh = self._sort(deliveries, known, admission, work.trail)
        await dead_letters.bury(work.connection, self._group, letters)
        await self._handle(fresh, work)

    def _sort(
        self,
        deliveries: Sequence[Delivery],
        known: Mapping[str, Delivery],
        admission: inbox.Admission,
        trail: Trail | None,
    ) -> tuple[list[DeadLetter], list[Delivery]]:
        """What must be buried, and what is new and free to be handled."""
        letters: list[DeadLetter] = []
        fresh: list[Delivery] = []
        blocked = set(admission.blocked)
        for delivery in deliveries:
            received, key = delivery.received, delivery.key
            if received is None:
                letters.append(DeadLetter(delivery.record, None, type_of(delivery.record), "dead", str(delivery.error)))
                blocked.add(key)
            elif received.meta.id not in admission.fresh or known[received.meta.id] is not delivery:
                RECORDS.labels(self._group, received.meta.type, "duplicate").inc()
                if trail is not None:
                    trail.repeated(received, delivery.record)
            elif key in blocked:
                letters.append(
                    DeadLetter(
                        delivery.whole(),
                        received.meta.id,
                        received.meta.type,
                        "parked",
                        "waits behind its key",
                    )
                )
                RECORDS.labels(self._group, received.meta.type, "parked").inc()
            else:
                fresh.append(delivery)
        return letters, fresh

    async def _handle(self, fresh: Sequence[Delivery], work: Work) -> None:
        records = {d.received.meta.id: d.record for d in fresh if d.received} if work.trail is not None else {}
        runs = waves(fresh, self._handlers)
        if len(runs) > 1 and self._service.prepare is not None:
            await self._service.prepare([item for _, run in runs for item in run], work)
        for handle, run in runs:
            started_ns = time.time_ns()
            await handle(run, work)
            if work.trail is not None:
                work.trail.handled(run, records, started_ns)
            for type_, count in Counter([item.event.type for item in run]).items():
                RECORDS.labels(self._group, type_, "applied").inc(count)
            oldest = min([item.meta.time for item in run])
            EVENT_AGE.labels(self._group).observe(max(0.0, (work.now - oldest).total_seconds()))

    async def _bury(self, delivery: Delivery, error: Exception) -> None:
        reason, detail = dead_letters.describe(error)
        meta = delivery.received.meta if delivery.received else None
        log.error(
            "event became a dead letter",
            group=self._group,
            error=kind_of(error),
            at=places_of(error),
            topic=delivery.record.topic,
            partition=delivery.record.partition,
            offset=delivery.record.offset,
            **(about(delivery.received) if delivery.received else {}),
        )
        letter = DeadLetter(
            delivery.whole(), meta.id if meta else None, meta.type if meta else None, "dead", reason, detail
        )

        async def keep(work: Work) -> None:
            ids = [meta.id] if meta else []
            admission = await inbox.admit(work.connection, self._group, ids, [])
            if not meta or admission.fresh:
                await dead_letters.bury(work.connection, self._group, [letter])

        unexpected = await self._attempt(keep)
        if unexpected is not None:
            raise unexpected
        RECORDS.labels(self._group, meta.type if meta else "undecodable", "dead").inc()
        if delivery.received is not None:
            self._tracing.failed(self._group, delivery.record, delivery.received, kind_of(error))

    # --- replay ---------------------------------------------------------------------------------------------

    async def _replay_when_wanted(self) -> None:
        if self._replay_wanted.is_set():
            self._replay_wanted.clear()
            async with self._applying:
                await self._replay()

    async def _replay(self) -> None:
        """Apply the letters somebody asked for, one by one in their order."""
        while await self._replay_next():
            pass

    async def _replay_next(self) -> bool:
        """Apply one letter, or say why it cannot be; answers whether there was one."""
        taken: list[Requested] = []

        async def apply(work: Work) -> None:
            letter = await dead_letters.next_requested(work.connection, self._group)
            taken[:] = [letter] if letter else []
            if letter:
                await self._reapply(letter, work)

        error = await self._attempt(apply)
        if taken and error is not None:
            reason = error
            await self._attempt(lambda work: dead_letters.failed_again(work.connection, self._group, taken[0], reason))
        return bool(taken)

    async def _reapply(self, letter: Requested, work: Work) -> None:
        delivery = self._deliver(letter.record)
        if delivery is not None and delivery.received is None:
            raise delivery.error or Undecodable("the record cannot be read")
        if delivery is not None and delivery.received is not None:
            await self._handle([delivery], work)
        await dead_letters.close_replayed(work.connection, self._group, letter)
