"""The inbox: which events a consumer has already applied, kept in the transaction that applies them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Ids and keys come back only in the rare case that some are known or wait: reading hundreds of ids of every batch
# would cost as much as writing them.
_ADMIT = text(
    """
    with admitted as (
        insert into inbox (consumer, event_id)
        select :consumer, event_id from unnest(cast(:event_ids as uuid[])) as event_id
        on conflict do nothing
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
    delete from inbox where ctid = any(array(
        select ctid from inbox where handled_at < now() - make_interval(days => :days) limit :chunk))
    """
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the inbox says of a batch: ids never applied before, and keys that wait behind a dead letter."""

    fresh: frozenset[str]
    blocked: frozenset[str]


async def admit(
    connection: AsyncConnection, consumer: str, event_ids: Collection[str], keys: Collection[str]
) -> Admission:
    """Mark events as applied by this transaction and answer which were new.

    Ids are inserted in sorted order: two members with overlapping batches then wait for, not deadlock on, each other.
    """
    row = (await connection.execute(_ADMIT, {"consumer": consumer, "event_ids": sorted(event_ids)})).one()
    blocked: frozenset[str] = frozenset()
    if row.letters and keys:
        waiting = await connection.execute(_BLOCKED, {"consumer": consumer, "keys": list(keys)})
        blocked = frozenset(waiting.scalars())
    return Admission(frozenset(event_ids if row.fresh is None else row.fresh), blocked)


async def purge(connection: AsyncConnection, *, days: int, chunk: int = 5000) -> int:
    """Forget up to `chunk` marks older than `days`; answers how many."""
    return (await connection.execute(_PURGE, {"days": days, "chunk": chunk})).rowcount


async def forget(connection: AsyncConnection, consumer: str, event_ids: Collection[str]) -> None:
    """Forget that these events were applied: when they come again they are applied again."""
    await connection.execute(_FORGET, {"consumer": consumer, "event_ids": list(event_ids)})
