"""The sweeper: fires deadlines, runs periodic jobs and keeps the messaging tables small."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

import structlog
from sqlalchemy import text

from oms_events.runtime import dead_letters, deadlines, inbox, trail
from oms_events.runtime.database import Lane
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.logs import kind_of, places_of
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.service import Busy, Periodic, Service, Stepwise
from oms_events.runtime.settings import Settings
from oms_events.runtime.telemetry import RETRIES
from oms_events.runtime.tracing import OFF, Tracing
from oms_events.runtime.trail import trail_of
from oms_events.runtime.transaction import transaction
from oms_events.runtime.work import Work

log = structlog.get_logger()

_PAGE = 500
_PUT_OFF = timedelta(minutes=5)
"""How long a deadline waits whose handler fails for a reason that does not pass by itself."""
_PURGE_INTERVAL_S = 600.0
_ONE_AT_A_TIME = text("select pg_try_advisory_xact_lock(hashtext(:name))")
# Of the session, not of the transaction: between two steps nobody else may begin the same work.
_MINE = text("select pg_try_advisory_lock(hashtext(:name))")
_NOBODYS = text("select pg_advisory_unlock_all()")


class Sweeper:
    """Everything a service does because time passed."""

    def __init__(
        self,
        service: Service,
        *,
        lane: Lane,
        long_lanes: Mapping[str, Lane],
        publisher: Publisher,
        settings: Settings,
        turn: asyncio.Lock,
        clock: Callable[[], datetime],
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._service = service
        self._handlers = {wait.kind: wait.handle for wait in service.deadlines}
        self._lane = lane
        self._long_lanes = long_lanes
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
                tasks.create_task(self._repeat(job.interval_s, partial(self.run_job, job)))
            for long in self._service.long_jobs:
                # Without taking turns: it would keep the consumer waiting for as long as a step takes.
                tasks.create_task(self._repeat(long.interval_s, partial(self.run_long_job, long), in_turn=False))
            tasks.create_task(self._repeat(_PURGE_INTERVAL_S, self._purge))

    async def fire_due(self) -> list[str]:
        """Call the handlers of all deadlines that are over; answers why some were put off.

        A deadline whose handler fails is tried again later and stops no other. Raises errors that pass by themselves.
        """
        put_off: list[str] = []
        fired = _PAGE
        while fired == _PAGE:
            try:
                fired = await self._fire(page=_PAGE)
            except Exception as error:
                if is_transient(error):
                    raise
                fired = await self._fire_one_by_one(put_off)
        return put_off

    async def _fire(self, *, page: int) -> int:
        """Fire up to so many deadlines in one transaction; answers how many."""
        async with self._transaction() as work:
            due = await deadlines.take_due(work.connection, work.now, page=page)
            await self._handle(due, work)
        return len(due)

    async def _handle(self, due: Sequence[Deadline], work: Work) -> None:
        for kind, group in groupby(sorted(due, key=lambda deadline: deadline.kind), lambda d: d.kind):
            if kind in self._handlers:
                await self._handlers[kind](list(group), work)
            else:
                log.error("deadline of a kind nobody handles", kind=kind)

    async def _fire_one_by_one(self, put_off: list[str]) -> int:
        """Fire a page of deadlines each alone, putting off those that fail; answers how many there were."""
        fired = 0
        while fired < _PAGE:
            taken: list[Deadline] = []
            try:
                async with self._transaction() as work:
                    taken += await deadlines.take_due(work.connection, work.now, page=1)
                    await self._handle(taken, work)
            except Exception as error:
                if is_transient(error) or not taken:
                    raise
                put_off.append(dead_letters.describe(error)[0])
                log.error(
                    "deadline put off", kind=taken[0].kind, key=taken[0].key, error=kind_of(error), at=places_of(error)
                )
                async with self._transaction() as work:
                    work.schedule(taken[0].kind, taken[0].key, work.now + _PUT_OFF)
            if not taken:
                break
            fired += 1
        return fired

    async def run_job(self, job: Periodic) -> None:
        """Run a periodic job once, unless another process is running it."""
        async with self._transaction() as work:
            if (await work.connection.execute(_ONE_AT_A_TIME, {"name": job.name})).scalar_one():
                await job.run(work)

    async def run_long_job(self, job: Stepwise) -> None:
        """Run a stepwise job until it finds nothing to do, unless another process is at it."""
        lane = self._long_lanes[job.name]

        @asynccontextmanager
        async def begin() -> AsyncIterator[Work]:
            async with self._transaction(lane) as work:
                # Asked anew each time: a connection that broke took its lock along.
                if not (await work.connection.execute(_MINE, {"name": job.name})).scalar_one():
                    raise Busy
                yield work

        try:
            await job.run(begin)
        except Busy:
            return
        finally:
            async with lane.begin() as connection:
                await connection.execute(_NOBODYS)

    def _transaction(self, lane: Lane | None = None) -> AbstractAsyncContextManager[Work]:
        return transaction(
            (lane or self._lane).begin,
            self._publisher,
            source=self._service.source,
            now=self._clock(),
            trail=trail_of(self._tracing, self._service.group),
        )

    async def _repeat(self, interval_s: float, step: Callable[[], Awaitable[object]], *, in_turn: bool = True) -> None:
        waits = backoff()
        while True:
            try:
                async with self._turn if in_turn else nullcontext():
                    await step()
                waits, pause = backoff(), interval_s
            except Exception as error:  # noqa: BLE001 - a failing job must not stop the others
                RETRIES.labels(self._service.name, kind_of(error)).inc()
                log.log(
                    30 if is_transient(error) else 40,
                    "timed work will be tried again",
                    error=kind_of(error),
                    at=places_of(error),
                )
                pause = next(waits)
            await asyncio.sleep(pause)

    async def _purge(self) -> None:
        days = self._settings.inbox_retention_days
        async with self._lane.begin() as connection:
            if (await connection.execute(_ONE_AT_A_TIME, {"name": "inbox"})).scalar_one():
                await inbox.keep_partitions(connection, self._clock().date(), days=days)
                await trail.forget(connection, days=days)
        more = True
        while more:
            async with self._lane.begin() as connection:
                more = await inbox.purge(connection, days=days)
