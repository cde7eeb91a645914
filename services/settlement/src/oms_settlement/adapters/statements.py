"""Statements and their lines in the database.

Lines go in by COPY while the file is read and count for nothing until all of it was. What is long runs on the driver
itself, with a patience of its own: a file may have millions of lines.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.contracts.intake import StatementFile
from oms_events.envelope import EventMeta
from oms_events.runtime.documents import to_document

LONG_S = 600.0
"""How long a statement over a whole file may take."""
_MANY = 10_000
"""From so many lines on a bad plan hurts. What the planner knows of the table is from before they were read."""

_STATEMENT = """
    select statement_id, statement_no, account, channel, shop, format, file_sha256, uploaded_at,
           cast(cause as text) as cause, state, currency, period_from, period_to, lines, total_minor, groups,
           groups_done, conflicts_done
      from statements
"""
_REGISTER = text(
    """
    insert into statements (statement_id, account, channel, shop, format, file_sha256, size_bytes, file_name,
                            uploaded_at, uploaded_by, cause, state)
    select statement_id, account, channel, shop, format, file_sha256, size_bytes, file_name, uploaded_at, uploaded_by,
           cast(cause as json), 'received'
      from (select distinct on (statement_id) *
              from unnest(cast(:statement_id as uuid[]), cast(:account as text[]), cast(:channel as text[]),
                          cast(:shop as text[]), cast(:format as text[]), cast(:file_sha256 as text[]),
                          cast(:size_bytes as bigint[]), cast(:file_name as text[]),
                          cast(:uploaded_at as timestamptz[]), cast(:uploaded_by as text[]),
                          cast(:cause as text[])) with ordinality
                   as n(statement_id, account, channel, shop, format, file_sha256, size_bytes, file_name, uploaded_at,
                        uploaded_by, cause, place)
             order by statement_id, place desc) newest
     order by place
    on conflict (statement_id) do update
       set statement_no = excluded.statement_no, format = excluded.format, file_name = excluded.file_name,
           uploaded_at = excluded.uploaded_at, uploaded_by = excluded.uploaded_by, cause = excluded.cause,
           state = 'received', code = null, "row" = null, detail = null, finished_at = null
     where statements.state = 'refused' and statements.uploaded_at < excluded.uploaded_at
    """
)
_NEXT = text(
    f"""
    {_STATEMENT}
     where state not in ('posted', 'refused') and account <> all(cast(:without as text[]))
     order by statement_no limit 1 for update
    """
)
_LOCK = text(_STATEMENT + " where statement_no = :statement_no for update")
_STAGED = text("update statements set state = 'parsing', lines = :lines where statement_no = :statement_no")
_FOOTED = text(
    """
    update statements
       set state = 'matching', currency = :currency, platform_no = :platform_no, period_from = :period_from,
           period_to = :period_to, lines = :lines, total_minor = :total_minor, groups = :groups,
           lines_repeated = :repeated, lines_in_conflict = :in_conflict, lines_done = :repeated
     where statement_no = :statement_no
    """
)
_ADVANCE = text(
    """
    update statements
       set groups_done = :groups_done, conflicts_done = :conflicts_done, lines_done = lines_done + :lines,
           lines_cleared = lines_cleared + :cleared
     where statement_no = :statement_no
    """
)
_POSTED = text("update statements set state = 'posted', finished_at = :now where statement_no = :statement_no")
_REFUSE = text(
    """
    update statements set state = 'refused', code = :code, "row" = :row, detail = :detail, finished_at = :now, lines = 0
     where statement_no = :statement_no
    """
)
_IDS = text("select statement_no, statement_id from statements where statement_no = any(cast(:numbers as int[]))")
_NUMBERS = text("select statement_no, statement_id from statements where statement_id = any(cast(:ids as uuid[]))")
_OTHERS = text(
    """
    select exists (select 1 from statements
                    where account = :account and statement_no < :statement_no and state = 'posted')
    """
)
# A line is the same line in another file when its identity, component and place among its equals are the same: of n
# equal rows without an id, the n-th is the n-th again.
_FIND_REPEATED = """
    with told as (
        select distinct line.identity from statement_lines line
         where line.statement_no = $1
           and exists (select 1 from statement_lines earlier join statements using (statement_no)
                        where earlier.account_no = $2 and earlier.identity = line.identity
                          and earlier.statement_no < $1 and statements.state = 'posted')),
    mine as (
        select line_no, identity, component, native_id, order_no, amount_minor, posted_at,
               row_number() over (partition by identity, component order by line_no) as place
          from statement_lines where statement_no = $1 and identity in (select identity from told)),
    theirs as (
        select earlier.identity, earlier.component, earlier.order_no, earlier.amount_minor, earlier.posted_at,
               row_number() over (partition by earlier.identity, earlier.component
                                  order by earlier.statement_no, earlier.line_no) as place
          from statement_lines earlier join statements using (statement_no)
         where earlier.account_no = $2 and earlier.identity in (select identity from told)
           and earlier.statement_no < $1 and statements.state = 'posted' and earlier.finding is null)
    update statement_lines
       set finding = case when mine.native_id = ''
                            or (mine.order_no, mine.amount_minor, mine.posted_at)
                               = (theirs.order_no, theirs.amount_minor, theirs.posted_at)
                          then 'repeated' else 'conflict' end
      from mine join theirs using (identity, component, place)
     where statement_lines.statement_no = $1 and statement_lines.line_no = mine.line_no
"""
_COUNT_FINDINGS = """
    select count(*) filter (where finding = 'repeated') as repeated,
           count(*) filter (where finding = 'conflict') as in_conflict
      from statement_lines where statement_no = $1 and finding is not null
"""
_GROUP = """
    with summed as (
        select order_no, component, sum(amount_minor)::bigint as amount, count(*) as lines, max(posted_at) as last_at
          from statement_lines where statement_no = $1 and finding is null
         group by order_no, component),
    grouped as (
        select order_no, max(last_at) as settled_at,
               json_object_agg(component, json_build_array(amount, lines) order by component) as sums
          from summed group by order_no)
    insert into statement_groups (statement_no, position, order_no, order_id, settled_at, sums)
    select $1, row_number() over (order by grouped.order_no) - 1, grouped.order_no, orders.order_id,
           grouped.settled_at, grouped.sums
      from grouped
      left join orders on grouped.order_no <> '' and orders.account = $2 and orders.channel_order_no = grouped.order_no
"""
_GROUPS = text(
    """
    select order_no, order_id, settled_at, cast(sums as text) as sums from statement_groups
     where statement_no = :statement_no and position >= :first and position < :last order by position
    """
)
_ADOPT = text(
    """
    update statement_groups set order_id = found.order_id
      from unnest(cast(:statement_ids as uuid[]), cast(:order_nos as text[]), cast(:order_ids as uuid[]))
           as found(statement_id, order_no, order_id)
      join statements using (statement_id)
     where statement_groups.statement_no = statements.statement_no and statement_groups.order_no = found.order_no
    """
)
_CONFLICTS = text(
    """
    select line_no, native_id, identity, order_no, component, amount_minor, posted_at from statement_lines
     where statement_no = :statement_no and finding = 'conflict' and line_no > :after order by line_no limit :page
    """
)
_EARLIER = text(
    """
    select distinct on (line.identity, line.component) line.identity, line.component, line.amount_minor,
           statements.period_from, statements.period_to
      from statement_lines line join statements using (statement_no)
     where line.account_no = (select account_no from accounts where account = :account)
       and line.identity = any(cast(:identities as text[])) and line.statement_no < :statement_no
       and statements.state = 'posted' and line.finding is null
     order by line.identity, line.component, line.statement_no desc, line.line_no
    """
)
_LINE_COLUMNS = (
    "statement_no",
    "line_no",
    "file_row",
    "account_no",
    "native_id",
    "identity",
    "order_no",
    "component",
    "amount_minor",
    "posted_at",
    "label",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that is being imported."""

    statement_id: UUID
    statement_no: int
    account: str
    channel: str
    shop: str
    format: str
    file_sha256: str
    uploaded_at: datetime
    cause: EventMeta
    state: str
    currency: str | None
    period_from: datetime | None
    period_to: datetime | None
    lines: int
    total_minor: int
    groups: int
    groups_done: int
    conflicts_done: int


class Group(NamedTuple):
    """What a statement says of one order: amount and number of lines by component."""

    order_no: str
    order_id: UUID | None
    settled_at: datetime
    sums: dict[str, tuple[int, int]]


class Conflict(NamedTuple):
    """A line that another file told otherwise, and what that one said."""

    line_no: int
    native_id: str
    order_no: str
    component: str
    amount_minor: int
    posted_at: datetime
    earlier_minor: int
    earlier_from: datetime
    earlier_to: datetime


class Footed(NamedTuple):
    """What a whole file says of itself."""

    currency: str
    platform_no: str
    period_from: datetime
    period_to: datetime
    lines: int
    total_minor: int


async def register(connection: AsyncConnection, received: Sequence[tuple[str, StatementFile, EventMeta]]) -> None:
    """Take statements down that are not known yet, in the order in which they came. One that was refused and is
    handed in again begins anew: its account may have been set up since, or its format was named wrongly."""
    files = [file for _, file, _ in received]
    await connection.execute(
        _REGISTER,
        {
            "statement_id": [file.statement_id for file in files],
            "account": [account for account, _, _ in received],
            "channel": [file.channel for file in files],
            "shop": [file.shop for file in files],
            "format": [file.format for file in files],
            "file_sha256": [file.file_sha256 for file in files],
            "size_bytes": [file.size_bytes for file in files],
            "file_name": [file.file_name for file in files],
            "uploaded_at": [file.uploaded_at for file in files],
            "uploaded_by": [file.uploaded_by for file in files],
            "cause": [to_document(meta._asdict()) for _, _, meta in received],
        },
    )


async def next_open(connection: AsyncConnection, without: Collection[str]) -> Statement | None:
    """The oldest statement that is not finished and of none of these accounts, locked: what a later file of its
    account repeats depends on it."""
    row = (await connection.execute(_NEXT, {"without": list(without)})).one_or_none()
    return _statement(row) if row else None


async def lock(connection: AsyncConnection, statement_no: int) -> Statement:
    """A statement, locked until the transaction ends."""
    return _statement((await connection.execute(_LOCK, {"statement_no": statement_no})).one())


async def stage(
    connection: AsyncConnection, statement_no: int, records: Iterable[Sequence[Any]], *, lines: int
) -> None:
    """Add lines of a file that is being read; `lines` is how many there are then."""
    driver = await _driver(connection)
    await driver.copy_records_to_table("statement_lines", records=records, columns=_LINE_COLUMNS)
    await connection.execute(_STAGED, {"statement_no": statement_no, "lines": lines})


async def foot(connection: AsyncConnection, statement: Statement, account_no: int, footed: Footed) -> None:
    """All of the file was read and it foots: find what other files told before, and sum up per order."""
    driver = await _driver(connection)
    number = statement.statement_no
    others = {"account": statement.account, "statement_no": number}
    repeated = in_conflict = 0
    if footed.lines >= _MANY:
        await driver.execute("analyze statement_lines", timeout=LONG_S)
    if (await connection.execute(_OTHERS, others)).scalar_one():
        await driver.execute(_FIND_REPEATED, number, account_no, timeout=LONG_S)
        repeated, in_conflict = await driver.fetchrow(_COUNT_FINDINGS, number, timeout=LONG_S)
    made = await driver.execute(_GROUP, number, statement.account, timeout=LONG_S)
    groups = int(made.rpartition(" ")[2])
    parameters = footed._asdict() | {"groups": groups, "repeated": repeated, "in_conflict": in_conflict}
    await connection.execute(_FOOTED, parameters | {"statement_no": number})


async def groups(connection: AsyncConnection, statement_no: int, first: int, last: int) -> list[Group]:
    """What a statement says of some orders."""
    rows = await connection.execute(_GROUPS, {"statement_no": statement_no, "first": first, "last": last})
    return [Group(row.order_no, row.order_id, row.settled_at, from_json(row.sums)) for row in rows]


async def conflicts(connection: AsyncConnection, statement: Statement, page: int) -> list[Conflict]:
    """Lines that another file told otherwise, from where the last page ended."""
    asked = {"statement_no": statement.statement_no, "after": statement.conflicts_done, "page": page}
    lines = list(await connection.execute(_CONFLICTS, asked))
    if not lines:
        return []
    named = {
        "account": statement.account,
        "statement_no": statement.statement_no,
        "identities": [line.identity for line in lines],
    }
    earlier = {(row.identity, row.component): row for row in await connection.execute(_EARLIER, named)}
    return [
        Conflict(
            line.line_no,
            line.native_id,
            line.order_no,
            line.component,
            line.amount_minor,
            line.posted_at,
            said.amount_minor,
            said.period_from,
            said.period_to,
        )
        for line in lines
        if (said := earlier[line.identity, line.component])
    ]


async def advance(
    connection: AsyncConnection, statement_no: int, *, groups_done: int, conflicts_done: int, lines: int, cleared: int
) -> None:
    """Say how far a statement is."""
    await connection.execute(
        _ADVANCE,
        {
            "statement_no": statement_no,
            "groups_done": groups_done,
            "conflicts_done": conflicts_done,
            "lines": lines,
            "cleared": cleared,
        },
    )


async def finish(connection: AsyncConnection, statement_no: int, now: datetime) -> None:
    """Every line of it is posted."""
    await connection.execute(_POSTED, {"statement_no": statement_no, "now": now})


async def refuse(
    connection: AsyncConnection, statement_no: int, *, code: str, row: int | None, detail: str, now: datetime
) -> None:
    """Refuse a statement as a whole: what was read of it goes."""
    driver = await _driver(connection)
    await driver.execute("delete from statement_lines where statement_no = $1", statement_no, timeout=LONG_S)
    parameters = {"statement_no": statement_no, "code": code, "row": row, "detail": detail, "now": now}
    await connection.execute(_REFUSE, parameters)


async def ids_of(connection: AsyncConnection, numbers: Collection[int]) -> dict[int, UUID]:
    """Ids of statements by number."""
    if not numbers:
        return {}
    rows = await connection.execute(_IDS, {"numbers": sorted(numbers)})
    return {row.statement_no: row.statement_id for row in rows}


async def numbers_of(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, int]:
    """Numbers of statements by id."""
    rows = await connection.execute(_NUMBERS, {"ids": sorted(ids)})
    return {row.statement_id: row.statement_no for row in rows}


async def adopt(connection: AsyncConnection, found: Sequence[tuple[UUID, str, UUID]]) -> None:
    """Tell groups of lines whose order they are: by statement, order number, order."""
    if found:
        statement_ids, order_nos, order_ids = map(list, zip(*found, strict=True))
        parameters = {"statement_ids": statement_ids, "order_nos": order_nos, "order_ids": order_ids}
        await connection.execute(_ADOPT, parameters)


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 - asyncpg tells no types
    """The driver's own connection, within the same transaction: a statement of ours must have begun it."""
    return (await connection.get_raw_connection()).driver_connection


def _statement(row: Row[Any]) -> Statement:
    fields = dict(row._mapping)
    cause = from_json(fields.pop("cause"))
    meta = EventMeta(**(cause | {"time": datetime.fromisoformat(cause["time"])}))
    return Statement(cause=meta, **fields)
