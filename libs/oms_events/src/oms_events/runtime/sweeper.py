"""The sweeper: fires deadlines, runs periodic jobs and keeps the messaging tables small."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import groupby

import structlog
from sqlalchemy import text

from oms_events.runtime import dead_letters, deadlines, inbox, outbox
from oms_events.runtime.database import Lane
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.service import Periodic, Service
from oms_events.runtime.settings import Settings
from oms_events.runtime.telemetry import DEAD_LETTERS_OPEN, OUTBOX_AGE, OUTBOX_ROWS, RETRIES
from oms_events.runtime.transaction import transaction
from oms_events.runtime.work import Work

log = structlog.get_logger()

_PAGE = 500
_PURGE_INTERVAL_S = 600.0
_GAUGE_INTERVAL_S = 5.0
_ONE_AT_A_TIME = text("select pg_try_advisory_xact_lock(hashtext(:name))")


class Sweeper:
    """Everything a service does because time passed."""

    def __init__(
        self,
        service: Service,
        *,
        lane: Lane,
        publisher: Publisher,
        settings: Settings,
        turn: asyncio.Lock,
        clock: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._handlers = {wait.kind: wait.handle for wait in service.deadlines}
        self._lane = lane
        self._publisher = publisher
        self._settings = settings
        self._clock = clock
        self._turn = turn

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._handlers:
                tasks.create_task(self._repeat(self._settings.deadline_interval_s, self.fire_due))
            for job in self._service.jobs:
                tasks.create_task(self._repeat(job.interval_s, lambda job=job: self.run_job(job)))  # type: ignore[misc]
            tasks.create_task(self._repeat(_PURGE_INTERVAL_S, self._purge))
            tasks.create_task(self._repeat(_GAUGE_INTERVAL_S, self._gauges))

    async def fire_due(self) -> None:
        """Call the handlers of all deadlines that are over."""
        fired = _PAGE
        while fired == _PAGE:
            async with self._transaction() as work:
                due = await deadlines.take_due(work.connection, work.now, page=_PAGE)
                for kind, group in groupby(sorted(due, key=lambda deadline: deadline.kind), lambda d: d.kind):
                    if kind in self._handlers:
                        await self._handlers[kind](list(group), work)
                    else:
                        log.error("deadline of a kind nobody handles", kind=kind)
            fired = len(due)

    async def run_job(self, job: Periodic) -> None:
        """Run a periodic job once, unless another process is running it."""
        async with self._transaction() as work:
            if (await work.connection.execute(_ONE_AT_A_TIME, {"name": job.name})).scalar_one():
                await job.run(work)

    def _transaction(self) -> AbstractAsyncContextManager[Work]:
        return transaction(self._lane.begin, self._publisher, source=self._service.source, now=self._clock())

    async def _repeat(self, interval_s: float, step: Callable[[], Awaitable[None]]) -> None:
        waits = backoff()
        while True:
            try:
                async with self._turn:
                    await step()
                waits, pause = backoff(), interval_s
            except Exception as error:  # noqa: BLE001 - a failing job must not stop the others
                reason = dead_letters.describe(error)[0]
                RETRIES.labels(self._service.name, type(error).__name__).inc()
                log.log(30 if is_transient(error) else 40, "timed work will be tried again", error=reason)
                pause = next(waits)
            await asyncio.sleep(pause)

    async def _purge(self) -> None:
        async with self._lane.begin() as connection:
            await inbox.purge(connection, days=self._settings.inbox_retention_days)

    async def _gauges(self) -> None:
        async with self._lane.begin() as connection:
            rows, age_s = await outbox.backlog(connection)
            letters = await dead_letters.open_count(connection)
        OUTBOX_ROWS.labels(self._service.name).set(rows)
        OUTBOX_AGE.labels(self._service.name).set(age_s)
        DEAD_LETTERS_OPEN.labels(self._service.name).set(letters)
