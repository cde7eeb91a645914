"""A scenario: one service on a real database, events in, events out, no broker.

    await scenario.given(SkuDefined(...))
    assert await scenario.when(OrderPlaced(...)) == [StockReserved(...)]

The service's own runner applies the events, inbox and outbox included; only Kafka is left out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from oms_events.codec import Record, decode, encode
from oms_events.envelope import EventMeta, origin
from oms_events.registry import Event
from oms_events.runtime.http import build_app
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings
from oms_events.runtime.watch import Watch
from oms_events.runtime.work import Work

E = TypeVar("E", bound=Event)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""Where a scenario's clock starts, unless told otherwise."""


class CollectingSink:
    """A record sink that keeps what it is sent."""

    generation = 0

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def start(self) -> None:
        """Nothing to connect to."""

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:  # noqa: ARG002
        self.records.extend(records)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def stop(self) -> None:
        """Nothing to flush."""


class Scenario:
    """Drives one service by hand."""

    def __init__(self, service: Service, database_url: str, *, start: datetime = START) -> None:
        self.now = start
        self.service = service
        self._sink = CollectingSink()
        self._offsets = count()
        self._causes = count()
        settings = Settings(database_url=SecretStr(database_url), kafka_bootstrap="unused:1", relay_age_s=0.0)
        self.runtime = Runtime(service, settings, sink=self._sink, clock=lambda: self.now)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(build_app(self.runtime)), base_url="http://service.test"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Scenario"]:
        """Publishing at work; everything else happens when the test says so."""
        publishing = asyncio.create_task(self.runtime.publisher.run())
        try:
            yield self
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await self.client.aclose()
            await self.runtime.close()

    def record(self, event: Event, *, meta: EventMeta | None = None) -> Record:
        """An event as Kafka would hand it over. Without `meta` it is one that nobody saw before."""
        if meta is None:
            cause = origin("/test", str(next(self._causes)), at=self.now)
            meta = EventMeta(cause.id, "/test", event.type, event.key(), self.now, cause.id)
        encoded = encode(event, meta)
        return Record(encoded.topic, encoded.key, encoded.value, encoded.headers, 0, next(self._offsets))

    async def given(self, *events: Event) -> None:
        """Let events have happened."""
        await self.when(*events)

    async def when(self, *events: Event) -> list[Event]:
        """Apply events as one batch; answers what the service published."""
        return await self.deliver(*(self.record(event) for event in events))

    async def deliver(self, *records: Record) -> list[Event]:
        """Apply records as one batch, the same ones again if the test likes. Raises AssertionError when a handler
        failed on one."""
        await self.runtime.runner.apply(records)
        await self._assert_no_dead_letters()
        return await self.published()

    async def advance(self, by: timedelta) -> list[Event]:
        """Move the clock and fire the deadlines that are over by then."""
        self.now += by
        if failures := await self.runtime.sweeper.fire_due():
            raise AssertionError(f"a handler failed: {failures}")
        return await self.published()

    async def run_jobs(self) -> list[Event]:
        """Run every job once, long ones to their end."""
        for job in self.service.jobs:
            await self.runtime.sweeper.run_job(job)
        for long in self.service.long_jobs:
            await self.runtime.sweeper.run_long_job(long)
        return await self.published()

    async def published(self) -> list[Event]:
        """What the service published since last asked (an API call publishes too), and what it left to the relay."""
        await self.runtime.publisher.drain()
        while await self.runtime.relay.publish_page():
            pass
        records, self._sink.records = self._sink.records, []
        return [decode(record).event for record in records]

    async def sample_gauges(self) -> None:
        """Bring the service's gauges up to date."""
        watch = Watch(self.service)
        for gauge in self.service.gauges:
            watch.sampled(gauge, self.runtime.connection)
        await watch.look()

    def transaction(self) -> AbstractAsyncContextManager[Work]:
        """A unit of work, to look into the database or to call application code."""
        return self.runtime.transaction()

    async def dead_letters(self) -> list[tuple[str, str]]:
        """State and reason of open dead letters, oldest first."""
        async with self.runtime.connection() as connection:
            rows = await connection.execute(
                text("select state, reason from dead_letters where closed_at is null order by id")
            )
            return [(row.state, row.reason) for row in rows]

    async def _assert_no_dead_letters(self) -> None:
        if letters := await self.dead_letters():
            raise AssertionError(f"a handler failed: {letters}")


def only(events: Sequence[Event], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
