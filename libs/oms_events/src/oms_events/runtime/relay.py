"""The relay: publishes outbox rows that the process which wrote them could not.

One relay per database works at a time (an advisory lock), and it takes rows in id order, so that one key's events
leave in order. Two relays that skipped each other's rows would break that.

A row that the broker refuses (too large for its topic, no right to write there) is held, and with it later rows of
its keys; the others pass it. What is held is tried again after a while, for ever: only a person can mend the cause.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.codec import Record
from oms_events.runtime import crash_points, outbox
from oms_events.runtime.database import Lane
from oms_events.runtime.logs import ids_of, kind_of
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.ports import RecordSink
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.settings import Settings
from oms_events.runtime.telemetry import RELAYED
from oms_events.runtime.tracing import OFF, Tracing

log = structlog.get_logger()

_LOCK_ID = 0x0B0C5
_PAGE = 50
_REFUSALS = (
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
_HOLD_S = 5.0
"""How long a refused row is left alone."""
_LOCK = text("select pg_try_advisory_xact_lock(:lock_id)")


class Relay:
    """Publishes what was left behind, until stopped."""

    def __init__(
        self,
        service: str,
        *,
        sink: RecordSink,
        lane: Lane,
        publisher: Publisher,
        settings: Settings,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._service = service
        self._sink = sink
        self._lane = lane
        self._publisher = publisher
        self._settings = settings
        self.ticked_at = time.monotonic()
        self._held: dict[int, frozenset[bytes | None]] = {}
        """Rows that were refused or wait behind one, with their keys."""
        self._held_until = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        waits = backoff()
        while True:
            self.ticked_at = time.monotonic()
            try:
                full = await self.publish_page()
                waits = backoff()
                pause = 0.0 if full else self._settings.relay_interval_s
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("relay will try again", error=kind_of(error))
                pause = next(waits)
            await asyncio.sleep(pause)

    async def publish_page(self) -> bool:
        """Publish one page of rows left behind; answers whether there may be more.

        The lock is held until the rows are gone: a relay that lost its connection has lost the lock too.
        """
        async with self._lane.begin() as connection:
            return await self._publish_locked(connection)

    async def _publish_locked(self, connection: AsyncConnection) -> bool:
        if not (await connection.execute(_LOCK, {"lock_id": _LOCK_ID})).scalar_one():
            return False
        if self._held and time.monotonic() > self._held_until:
            self._held.clear()
        passed_over = [*self._publisher.mine(), *self._held]
        rows = await outbox.pending(connection, mine=passed_over, age_s=self._settings.relay_age_s, page=_PAGE)
        if not rows:
            return False
        since_ns = time.time_ns()
        published = await self._publish(rows)
        crash_points.reach("sent")
        await outbox.delete(connection, published)
        RELAYED.labels(self._service).inc(len(published))
        told = [record for row_id, records in rows if row_id in published for record in records]
        self._tracing.published(told, since_ns, by="relay")
        log.info("relay published rows left behind", rows=len(published), **ids_of(told))
        return len(rows) == _PAGE

    async def _publish(self, rows: Sequence[tuple[int, list[Record]]]) -> list[int]:
        """Publish a page at once or, where something in it is refused or held, row by row; answers which rows."""
        if not self._held:
            try:
                await (await self._sink.send([record for _, records in rows for record in records]))
            except KafkaError as error:
                if error.retriable:
                    raise
                # A refusal, or what an idempotent producer says of all that it had queued behind one.
            else:
                return [row_id for row_id, _ in rows]
        return [row_id for row_id, records in rows if await self._publish_unless_held(row_id, records)]

    async def _publish_unless_held(self, row_id: int, records: Sequence[Record]) -> bool:
        keys = frozenset(record.key for record in records)
        if not any(keys & held for held in self._held.values()):
            try:
                await (await self._sink.send(records))
            except _REFUSALS as error:
                log.error("the broker refuses a row", row=row_id, error=type(error).__name__)
                self._held_until = time.monotonic() + _HOLD_S
            else:
                return True
        self._held[row_id] = keys
        return False
