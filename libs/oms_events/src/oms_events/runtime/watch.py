"""What a process says of itself every few seconds: how far it is behind, what waits, which loop is silent."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime import dead_letters, outbox
from oms_events.runtime.deliveries import Delivery
from oms_events.runtime.logs import kind_of
from oms_events.runtime.ports import RecordSource
from oms_events.runtime.retry import is_transient
from oms_events.runtime.service import Sampled, Service
from oms_events.runtime.telemetry import DEAD_LETTERS_OPEN, LAG, LOOP_SILENT, OLDEST, OUTBOX_AGE, OUTBOX_ROWS

log = structlog.get_logger()

_INTERVAL_S = 5.0
_PATIENCE_S = 4.0
"""How long a look may take. A broker or database that does not answer leaves its gauges as they were."""

Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Watch:
    """Keeps gauges true. It is told what there is to look at, and looks at each apart from the work it watches."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._looks: list[Callable[[], Awaitable[None]]] = []
        self._waiting_since: float | None = None

    def loop(self, name: str, ticked_at: Callable[[], float]) -> None:
        """Watch a loop that says when, by the monotonic clock, it last came round."""

        async def look() -> None:
            LOOP_SILENT.labels(self._service.name, name).set(max(0.0, time.monotonic() - ticked_at()))

        self._looks.append(look)

    def backlog(self, connect: Connect) -> None:
        """Watch the outbox and the dead letters."""

        async def look() -> None:
            async with connect() as connection:
                rows, age_s = await outbox.backlog(connection)
                letters = await dead_letters.open_count(connection)
            OUTBOX_ROWS.labels(self._service.name).set(rows)
            OUTBOX_AGE.labels(self._service.name).set(age_s)
            DEAD_LETTERS_OPEN.labels(self._service.name).set(letters)

        self._looks.append(look)

    def sampled(self, what: Sampled, connect: Connect) -> None:
        """Watch what a service counts in its database."""

        async def look() -> None:
            async with connect() as connection:
                counted = await what.count(connection)
            what.gauge.clear()
            for labels, value in counted.items():
                what.gauge.labels(*labels).set(value)

        self._looks.append(look)

    def consumer(self, source: RecordSource, in_hand: Callable[[], Sequence[Delivery]]) -> None:
        """Watch what is left to apply: records of this member's partitions, and those it has in hand."""

        async def look() -> None:
            await self._look_at_lag(source, in_hand)

        self._looks.append(look)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> None:
        """Look at everything once."""
        for look in self._looks:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await look()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.debug("gauges left as they were", error=kind_of(error))

    async def _look_at_lag(self, source: RecordSource, in_hand: Callable[[], Sequence[Delivery]]) -> None:
        behind = await source.behind()
        deliveries = in_hand()
        lag = Counter(delivery.record.topic for delivery in deliveries)
        for partition, left in behind.items():
            lag[partition.topic] += left
        for topic in self._service.topics():
            LAG.labels(self._service.group, topic.name).set(lag[topic.name])
        OLDEST.labels(self._service.group).set(self._oldest_s(deliveries, waiting=lag.total() > 0))

    def _oldest_s(self, in_hand: Sequence[Delivery], *, waiting: bool) -> float:
        """By the records in hand; of those still with the broker we know only since when we see them wait."""
        if in_hand:
            self._waiting_since = None
            return max(0.0, time.time() - min(delivery.record.timestamp_ms for delivery in in_hand) / 1000)
        if not waiting:
            self._waiting_since = None
            return 0.0
        self._waiting_since = self._waiting_since or time.monotonic()
        return time.monotonic() - self._waiting_since
