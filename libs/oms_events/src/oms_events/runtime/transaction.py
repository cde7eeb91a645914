"""The unit of work: what was done, what is waited for and what is to be published become true together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime import outbox
from oms_events.runtime.outbox import Publisher, Ticket
from oms_events.runtime.trail import Trail
from oms_events.runtime.work import Work

Begin = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


@asynccontextmanager
async def transaction(
    begin: Begin, publisher: Publisher, *, source: str, now: datetime, trail: Trail | None = None
) -> AsyncIterator[Work]:
    """One transaction. The outbox row goes in last, so that for one key row order is commit order."""
    ticket: Ticket | None = None
    done: Sequence[int] = ()
    try:
        async with begin() as connection:
            work = Work(connection, source=source, now=now, trail=trail)
            yield work
            await work.save_schedule()
            records = work.encode()
            if trail is not None:
                records = await trail.settle(connection, records)
            if records:
                done = publisher.take_done()
                ticket = await outbox.store(connection, records, publisher.standing(), done=done)
    except BaseException:
        publisher.give_back(done)
        raise
    work.count()
    if trail is not None:
        trail.tell()
    if ticket is not None:
        publisher.submit(ticket)
        publisher.forget(done)
