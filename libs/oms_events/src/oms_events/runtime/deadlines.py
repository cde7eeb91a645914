"""Deadlines: every wait of a process has a row, and a sweeper that calls back when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.envelope import EventMeta, origin

_SAVE = text(
    """
    insert into deadlines (kind, key, due_at)
    select * from unnest(cast(:kinds as text[]), cast(:keys as text[]), cast(:due_ats as timestamptz[]))
    on conflict (kind, key) do update set due_at = excluded.due_at
    """
)
_DROP = text(
    """
    delete from deadlines using unnest(cast(:kinds as text[]), cast(:keys as text[])) as gone(kind, key)
     where deadlines.kind = gone.kind and deadlines.key = gone.key
    """
)
_TAKE = text(
    """
    delete from deadlines where (kind, key) in (
        select kind, key from deadlines where due_at <= :now order by due_at limit :page for update skip locked)
    returning kind, key, due_at
    """
)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A wait that ends: `kind` names the handler, `key` what waits."""

    kind: str
    key: str
    due_at: datetime

    def cause(self, source: str) -> EventMeta:
        """The deadline as the cause of events: firing it again gives the same ids."""
        return origin(source, "deadline", self.kind, self.key, self.due_at.isoformat(), at=self.due_at)


async def save(connection: AsyncConnection, wanted: Sequence[Deadline], dropped: Sequence[tuple[str, str]]) -> None:
    """Write and forget deadlines, at most one statement each."""
    if wanted:
        parameters = {
            "kinds": [deadline.kind for deadline in wanted],
            "keys": [deadline.key for deadline in wanted],
            "due_ats": [deadline.due_at for deadline in wanted],
        }
        await connection.execute(_SAVE, parameters)
    if dropped:
        await connection.execute(_DROP, {"kinds": [kind for kind, _ in dropped], "keys": [key for _, key in dropped]})


async def take_due(connection: AsyncConnection, now: datetime, *, page: int) -> list[Deadline]:
    """Remove and answer deadlines that are over, oldest first; those another process is taking are skipped."""
    rows = await connection.execute(_TAKE, {"now": now, "page": page})
    return sorted((Deadline(row.kind, row.key, row.due_at) for row in rows), key=lambda d: (d.due_at, d.kind, d.key))
