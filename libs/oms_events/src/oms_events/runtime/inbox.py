"""The inbox: which events a consumer has already applied, kept in the transaction that applies them."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADMIT = text(
    """
    with admitted as (
        insert into inbox (consumer, event_id)
        select :consumer, event_id from unnest(cast(:event_ids as uuid[])) as event_id
        on conflict do nothing
        returning event_id
    )
    select (select array_agg(event_id) from admitted) as fresh,
           (select array_agg(distinct key) from dead_letters
             where consumer = :consumer and closed_at is null and key = any(cast(:keys as text[]))) as blocked
    """
)

_PURGE = text(
    """
    delete from inbox where ctid = any(array(
        select ctid from inbox where handled_at < now() - make_interval(days => :days) limit :chunk))
    """
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the inbox says of a batch: ids never applied before, and keys that wait behind a dead letter."""

    fresh: frozenset[UUID]
    blocked: frozenset[str]


async def admit(
    connection: AsyncConnection, consumer: str, event_ids: Collection[UUID], keys: Collection[str]
) -> Admission:
    """Mark events as applied by this transaction and answer which were new.

    Ids are inserted in sorted order: two members with overlapping batches then wait for, not deadlock on, each other.
    """
    parameters = {"consumer": consumer, "event_ids": sorted(event_ids), "keys": list(keys)}
    row = (await connection.execute(_ADMIT, parameters)).one()
    return Admission(frozenset(row.fresh or ()), frozenset(row.blocked or ()))


async def purge(connection: AsyncConnection, *, days: int, chunk: int = 5000) -> int:
    """Forget up to `chunk` marks older than `days`; answers how many."""
    return (await connection.execute(_PURGE, {"days": days, "chunk": chunk})).rowcount
