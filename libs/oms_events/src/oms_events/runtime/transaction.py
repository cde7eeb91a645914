"""The unit of work: what was done, what is waited for and what is to be published become true together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime import outbox
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.work import Work

Begin = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


@asynccontextmanager
async def transaction(begin: Begin, publisher: Publisher, *, source: str, now: datetime) -> AsyncIterator[Work]:
    """One transaction. The outbox row goes in last, so that for one key row order is commit order."""
    async with begin() as connection:
        work = Work(connection, source=source, now=now)
        yield work
        await work.save_schedule()
        ticket = await outbox.store(connection, work.records(), publisher.standing())
    publisher.submit(ticket)
