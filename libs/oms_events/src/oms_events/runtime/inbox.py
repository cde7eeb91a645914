"""The inbox: which events a consumer has already applied, kept in the transaction that applies them.

One row for every event would grow for ever, and deleting millions of rows costs more than writing them. Event ids begin
with the time of what they tell of, so the table is partitioned by them, a day each: new rows go to one end of a small
index, and a day is forgotten by dropping its partition. Ids of other days (old orders imported, ids of foreign
producers) share the default partition, from which rows are deleted.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import structlog
from asyncpg import IntegrityConstraintViolationError, UniqueViolationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.retry import Transient

log = structlog.get_logger()

_DAYS_AHEAD = 3
_PREFIX = "inbox_day_"

# What is known is looked up, not left to `on conflict do nothing`: that writes and locks each row twice, which made the
# inbox twice as dear, new ids and known ones alike. Ids and keys come back only in the rare case that some are known or
# wait: reading hundreds of ids of every batch would cost as much as writing them.
_ADMIT = text(
    """
    with admitted as (
        insert into inbox (consumer, event_id)
        select :consumer, event_id from unnest(cast(:event_ids as uuid[])) as event_id
         where event_id not in (
            select event_id from inbox where consumer = :consumer and event_id = any(cast(:event_ids as uuid[])))
        returning event_id
    )
    select case when (select count(*) from admitted) < cardinality(cast(:event_ids as uuid[]))
                then array(select cast(event_id as text) from admitted) end as fresh,
           exists (select 1 from dead_letters where consumer = :consumer and closed_at is null) as letters
    """
)
_BLOCKED = text(
    """
    select distinct key from dead_letters
     where consumer = :consumer and closed_at is null and key = any(cast(:keys as text[]))
    """
)

_FORGET = text("delete from inbox where consumer = :consumer and event_id = any(cast(:event_ids as uuid[]))")
_PURGE = text(
    """
    delete from inbox_other where ctid = any(array(
        select ctid from inbox_other where handled_at < now() - make_interval(days => :days) limit :chunk))
    """
)
_PARTITIONS = text(
    "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid"
    " where inhparent = 'inbox'::regclass and relname like :names"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the inbox says of a batch: ids never applied before, and keys that wait behind a dead letter."""

    fresh: frozenset[str]
    blocked: frozenset[str]


async def admit(
    connection: AsyncConnection, consumer: str, event_ids: Collection[str], keys: Collection[str]
) -> Admission:
    """Mark events as applied by this transaction and answer which were new. By a lane.

    Ids are inserted in sorted order: two members with overlapping batches then wait for, not deadlock on, each other.
    Raises `Transient` in the one that waited: it did not see what the other has now applied, and will when it looks
    again.
    """
    try:
        found = await connection.execute(_ADMIT, {"consumer": consumer, "event_ids": sorted(event_ids)})
    except UniqueViolationError as error:
        raise Transient("another member applied some of these events meanwhile") from error
    row = found.one()
    blocked: frozenset[str] = frozenset()
    if row.letters and keys:
        waiting = await connection.execute(_BLOCKED, {"consumer": consumer, "keys": list(keys)})
        blocked = frozenset(waiting.scalars())
    return Admission(frozenset(event_ids if row.fresh is None else row.fresh), blocked)


async def purge(connection: AsyncConnection, *, days: int, chunk: int = 5000) -> bool:
    """Forget up to `chunk` marks of the default partition older than `days`; answers whether there may be more."""
    return (await connection.execute(_PURGE, {"days": days, "chunk": chunk})).rowcount == chunk


async def keep_partitions(connection: AsyncConnection, today: date, *, days: int) -> None:
    """Make the partitions of the days to come, and drop those whose events are older than `days`. By a lane.

    Raises a transient error when somebody holds the table for more than two seconds: those behind us must not wait.
    """
    there = set((await connection.execute(_PARTITIONS, {"names": f"{_PREFIX}%"})).scalars())
    wanted = {_name(today + timedelta(days=ahead)): today + timedelta(days=ahead) for ahead in range(_DAYS_AHEAD)}
    oldest = _name(today - timedelta(days=days))
    await connection.execute(text("set local lock_timeout = '2s'"))
    for name in sorted(there):
        if name < oldest:
            await connection.execute(text(f"drop table {name}"))
    for name in sorted(wanted.keys() - there):
        await _create(connection, name, wanted[name])


async def _create(connection: AsyncConnection, name: str, day: date) -> None:
    bounds = f"from ('{_first_id(day)}') to ('{_first_id(day + timedelta(days=1))}')"
    try:
        async with connection.begin_nested():
            await connection.execute(text(f"create table {name} partition of inbox for values {bounds}"))
            await connection.execute(text(f"alter table {name} set (autovacuum_vacuum_insert_scale_factor = 0.2)"))
    except IntegrityConstraintViolationError:
        # Events of that day are in the default partition already, from before partitions were looked after here.
        log.info("inbox keeps a day in its default partition", day=day.isoformat())


def _name(day: date) -> str:
    return f"{_PREFIX}{day:%Y%m%d}"


def _first_id(day: date) -> str:
    """The lowest id that begins with a time of this day."""
    millis = f"{int(datetime.combine(day, time(), UTC).timestamp() * 1000):012x}"
    return f"{millis[:8]}-{millis[8:]}-0000-0000-000000000000"


async def forget(connection: AsyncConnection, consumer: str, event_ids: Collection[str]) -> None:
    """Forget that these events were applied: when they come again they are applied again."""
    await connection.execute(_FORGET, {"consumer": consumer, "event_ids": list(event_ids)})
