"""The relay: publishes outbox rows that the process which wrote them could not.

One relay per database works at a time (an advisory lock), and it takes rows in id order, so that one key's events
leave in order. Two relays that skipped each other's rows would break that.
"""

import asyncio
import time

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime import crash_points, outbox
from oms_events.runtime.database import Lane
from oms_events.runtime.logs import ids_of, kind_of
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.ports import RecordSink
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.settings import Settings
from oms_events.runtime.telemetry import RELAYED

log = structlog.get_logger()

_LOCK_ID = 0x0B0C5
_PAGE = 50
_LOCK = text("select pg_try_advisory_xact_lock(:lock_id)")


class Relay:
    """Publishes what was left behind, until stopped."""

    def __init__(self, service: str, *, sink: RecordSink, lane: Lane, publisher: Publisher, settings: Settings) -> None:
        self._service = service
        self._sink = sink
        self._lane = lane
        self._publisher = publisher
        self._settings = settings
        self.ticked_at = time.monotonic()

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
        rows = await outbox.pending(
            connection, mine=self._publisher.mine(), age_s=self._settings.relay_age_s, page=_PAGE
        )
        if not rows:
            return False
        records = [record for _, row in rows for record in row]
        ack = await self._sink.send(records)
        await ack
        crash_points.reach("sent")
        await outbox.delete(connection, [row_id for row_id, _ in rows])
        RELAYED.labels(self._service).inc(len(rows))
        log.info("relay published rows left behind", rows=len(rows), **ids_of(records))
        return len(rows) == _PAGE
