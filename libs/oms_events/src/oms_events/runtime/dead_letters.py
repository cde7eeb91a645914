"""Dead letters: events a handler could not digest, kept with all it takes to understand and replay them.

Events of the same key that come later are parked behind the first, in order. States: `dead`, `parked`,
`replaying` (asked for), then `replayed` or `discarded`.
"""

import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.codec import Record

State = Literal["dead", "parked", "replaying", "replayed", "discarded"]
_DETAIL_LIMIT = 8192

_BURY = text(
    """
    insert into dead_letters
        (consumer, event_id, event_type, key, state, reason, detail, topic, partition, record_offset, headers, payload)
    select :consumer, d.event_id, d.event_type, d.key, d.state, d.reason, d.detail,
           d.topic, d.partition, d.record_offset, cast(d.headers as jsonb), d.payload
      from unnest(cast(:event_ids as uuid[]), cast(:event_types as text[]), cast(:keys as text[]),
                  cast(:states as text[]), cast(:reasons as text[]), cast(:details as text[]),
                  cast(:topics as text[]), cast(:partitions as int[]), cast(:offsets as bigint[]),
                  cast(:headers as text[]), cast(:payloads as bytea[]))
           as d(event_id, event_type, key, state, reason, detail, topic, partition, record_offset, headers, payload)
    on conflict (consumer, topic, partition, record_offset) do nothing
    """
)
_COLUMNS = (
    "id, consumer, event_id, event_type, key, state, reason, detail, topic, partition, record_offset,"
    " created_at, closed_at, closed_by"
)
_LIST = text(
    f"""
    select {_COLUMNS} from dead_letters
     where (cast(:state as text) is null or state = :state)
       and (cast(:all as boolean) or closed_at is null) and id > :after
     order by id limit :limit
    """
)
_SHOW = text(f"select {_COLUMNS}, headers, payload from dead_letters where id = :id")
# Here and below letters of one key are locked oldest first, as the one who replays them does. Locked as they come, two
# who want them would each wait for what the other holds.
_REPLAY = text(
    """
    update dead_letters set state = 'replaying' from (
        select id from dead_letters
         where closed_at is null
           and (consumer, key) = (select consumer, key from dead_letters where id = :id and closed_at is null)
         order by id for update) as waiting
     where dead_letters.id = waiting.id
    """
)
_DISCARD = text(
    """
    update dead_letters set state = 'discarded', closed_at = now(), closed_by = :by
     where id = :id and closed_at is null
    """
)
_REQUESTED = text(
    """
    select id, key, topic, partition, record_offset, headers, payload from dead_letters
     where consumer = :consumer and state = 'replaying' and closed_at is null order by id limit 1 for update
    """
)
_CLOSE = text("update dead_letters set state = 'replayed', closed_at = now() where id = :id")
_FOLLOW = text(
    """
    update dead_letters as parked set state = 'replaying'
     where parked.consumer = :consumer and parked.key = :key and parked.state = 'parked' and parked.closed_at is null
       and not exists (select 1 from dead_letters as dead
                        where dead.consumer = :consumer and dead.key = :key and dead.state = 'dead'
                          and dead.closed_at is null and dead.id < parked.id)
    """
)
_FAILED = text("update dead_letters set state = 'dead', reason = :reason, detail = :detail where id = :id")
_PARK_AGAIN = text(
    """
    update dead_letters set state = 'parked' from (
        select id from dead_letters
         where consumer = :consumer and key = :key and state = 'replaying' and closed_at is null
         order by id for update) as waiting
     where dead_letters.id = waiting.id
    """
)
_COUNT = text("select count(*) from dead_letters where closed_at is null")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be applied, or that waits behind one."""

    record: Record
    event_id: str | None
    event_type: str | None
    state: State
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """A dead letter somebody asked to replay."""

    id: int
    key: str
    record: Record


def key_of(record: Record) -> str:
    """The key that later records wait for."""
    key = (record.key or b"").decode(errors="replace")
    return _storable(key) if "\x00" in key else key


def _storable(said: str) -> str:
    """A text without what no text column holds: zero bytes and lone surrogates. Letters must always find room."""
    return said.replace("\x00", "\ufffd").encode(errors="replace").decode()


def describe(error: BaseException) -> tuple[str, str]:
    """Reason and detail of an error: its kind and first line, and where it came from, without local values."""
    # Database errors print their parameters, which may be personal data: keep the driver's own words only.
    said = getattr(error, "orig", None) or error
    reason = f"{type(said).__name__}: {str(said).splitlines()[0] if str(said) else ''}"[:500]
    detail = "".join(traceback.format_tb(error.__traceback__))[-_DETAIL_LIMIT:]
    return reason, detail


async def bury(connection: AsyncConnection, consumer: str, letters: Sequence[DeadLetter]) -> None:
    """Keep records that cannot be applied, in the transaction that marks them as taken."""
    if not letters:
        return
    records = [letter.record for letter in letters]
    await connection.execute(
        _BURY,
        {
            "consumer": consumer,
            "event_ids": [letter.event_id for letter in letters],
            "event_types": [letter.event_type and _storable(letter.event_type) for letter in letters],
            "keys": [key_of(record) for record in records],
            "states": [letter.state for letter in letters],
            "reasons": [_storable(letter.reason) for letter in letters],
            "details": [_storable(letter.detail) for letter in letters],
            "topics": [record.topic for record in records],
            "partitions": [record.partition for record in records],
            "offsets": [record.offset for record in records],
            "headers": [
                json.dumps(
                    [
                        [_storable(name), _storable((value or b"").decode(errors="replace"))]
                        for name, value in record.headers
                    ]
                )
                for record in records
            ],
            "payloads": [record.value for record in records],
        },
    )


async def next_requested(connection: AsyncConnection, consumer: str) -> Requested | None:
    """The oldest letter to replay now, locked until the transaction ends."""
    row = (await connection.execute(_REQUESTED, {"consumer": consumer})).one_or_none()
    if row is None:
        return None
    headers = [(name, value.encode()) for name, value in _json(row.headers)]
    record = Record(row.topic, row.key.encode(), row.payload, headers, row.partition, row.record_offset)
    return Requested(row.id, row.key, record)


async def close_replayed(connection: AsyncConnection, consumer: str, letter: Requested) -> None:
    """Mark a letter as applied, in the transaction that applied it. What was parked behind its key since the replay
    was asked for comes next: nobody else would ask for it."""
    await connection.execute(_CLOSE, {"id": letter.id})
    await connection.execute(_FOLLOW, {"consumer": consumer, "key": letter.key})


async def failed_again(connection: AsyncConnection, consumer: str, letter: Requested, error: BaseException) -> None:
    """A replay failed: the letter is dead again and what waits behind it is parked again."""
    reason, detail = describe(error)
    await connection.execute(_PARK_AGAIN, {"consumer": consumer, "key": letter.key})
    await connection.execute(_FAILED, {"id": letter.id, "reason": _storable(reason), "detail": _storable(detail)})


async def open_count(connection: AsyncConnection) -> int:
    """How many letters wait for somebody."""
    return int((await connection.execute(_COUNT)).scalar_one())


async def list_letters(
    connection: AsyncConnection,
    *,
    state: State | None = None,
    closed: bool = False,
    after: int = 0,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """A page of letters, oldest first; only open ones unless `closed`."""
    rows = await connection.execute(_LIST, {"state": state, "all": closed, "after": after, "limit": limit})
    return [dict(row._mapping) for row in rows]


async def show(connection: AsyncConnection, letter_id: int) -> dict[str, Any] | None:
    """One letter with headers and payload, or None."""
    row = (await connection.execute(_SHOW, {"id": letter_id})).one_or_none()
    if row is None:
        return None
    letter = dict(row._mapping)
    letter["headers"] = dict(_json(row.headers))
    letter["payload"] = (row.payload or b"").decode(errors="replace")
    return letter


async def replay(connection: AsyncConnection, letter_id: int) -> int:
    """Ask for a letter and all that waits behind its key to be applied again; answers how many."""
    return (await connection.execute(_REPLAY, {"id": letter_id})).rowcount


async def discard(connection: AsyncConnection, letter_id: int, *, by: str) -> int:
    """Give a letter up for good; what is parked behind it stays until replayed. Answers how many (0 or 1)."""
    return (await connection.execute(_DISCARD, {"id": letter_id, "by": by})).rowcount


def _json(value: object) -> Any:  # noqa: ANN401 - JSON is any shape
    return json.loads(value) if isinstance(value, str) else value
