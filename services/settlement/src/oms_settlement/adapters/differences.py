"""Differences and write-offs in the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import Writing
from oms_events.values import derived_id

_DIFFERENCE = (
    "difference_id, account, channel, shop, order_id, order_no, statement_id, currency, component, reason,"
    " expected_minor, settled_minor, lines, detail, state, opened_at, closed_at, closed_by, note, rule, version"
)
_OF_ORDERS = text(
    f"""
    select {_DIFFERENCE} from differences
     where order_id = any(cast(:ids as uuid[])) and reason <> 'FX_SETTLEMENT' order by difference_id for update
    """
)
_LOCK = text(f"select {_DIFFERENCE} from differences where difference_id = :difference_id for update")
_ORDER_OF = text("select order_id from differences where difference_id = :difference_id")
_ORPHANS = text(
    f"""
    select {_DIFFERENCE} from differences where difference_id in (
        select difference.difference_id
          from differences difference
          join orders on orders.account = difference.account and orders.channel_order_no = difference.order_no
         where difference.state = 'open' and difference.reason = 'MISSING_ORDER'
         order by difference.difference_no limit :page)
       and state = 'open' and reason = 'MISSING_ORDER'  -- asked again of a row that we waited for
     order by difference_no for update
    """
)
_ORDERS_OF = text(
    """
    select account, channel_order_no, order_id from orders
      join unnest(cast(:accounts as text[]), cast(:order_nos as text[])) as wanted(account, order_no)
           using (account)
     where orders.channel_order_no = wanted.order_no
    """
)
_COLUMNS = {
    "difference_id": "uuid",
    "account": "text",
    "channel": "text",
    "shop": "text",
    "order_id": "uuid",
    "order_no": "text",
    "statement_id": "uuid",
    "currency": "text",
    "component": "text",
    "reason": "text",
    "expected_minor": "bigint",
    "settled_minor": "bigint",
    "lines": "bigint",
    "detail": "text",
    "state": "text",
    "opened_at": "timestamptz",
    "closed_at": "timestamptz",
    "closed_by": "text",
    "note": "text",
    "rule": "text",
    "version": "int",
}
_NAMES = ", ".join(_COLUMNS)
_SAVE = text(
    f"""
    insert into differences ({_NAMES})
    select {_NAMES}
      from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _COLUMNS.items())}) as n({_NAMES})
    on conflict (difference_id) do update
       set {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "difference_id")}
    """
)
_ADD_WRITE_OFFS = text(
    """
    insert into write_offs (write_off_id, difference_id, amount_minor, rule, by, note, posted_at, reverses)
    select * from unnest(cast(:write_off_id as uuid[]), cast(:difference_id as uuid[]), cast(:amount_minor as bigint[]),
                         cast(:rule as text[]), cast(:by as text[]), cast(:note as text[]),
                         cast(:posted_at as timestamptz[]), cast(:reverses as uuid[]))
    """
)
_LAST_WRITE_OFF = text(
    """
    select w.write_off_id, w.difference_id, w.amount_minor, w.rule, w.by, w.note, w.posted_at, w.reverses
      from write_offs w
     where w.difference_id = :difference_id and w.reverses is null
       and not exists (select 1 from write_offs u where u.difference_id = w.difference_id
                                                    and u.reverses = w.write_off_id)
    """
)
_SPENT = text(
    """
    select account, currency, spender, day, amount_minor from write_off_days
     where (account, currency, spender, day) in (
         select * from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:spenders as text[]),
                              cast(:days as date[])))
     order by account, currency, spender, day for update
    """
)
_BEGIN_DAYS = text(
    """
    insert into write_off_days (account, currency, spender, day, amount_minor)
    select n.*, 0 from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:spenders as text[]),
                              cast(:days as date[])) as n
    on conflict do nothing
    """
)
_SPEND = text(
    """
    insert into write_off_days as known (account, currency, spender, day, amount_minor)
    select * from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:spenders as text[]),
                         cast(:days as date[]), cast(:amounts as bigint[]))
    on conflict (account, currency, spender, day) do update
       set amount_minor = known.amount_minor + excluded.amount_minor
    """
)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def difference_id(*what: str) -> UUID:
    """The id of a difference. It carries no time: the same component of the same order has one for ever."""
    return derived_id("difference", *what, at=_EPOCH)


@dataclass(slots=True)
class Difference:
    """A difference as it stands."""

    difference_id: UUID
    account: str
    channel: str
    shop: str
    order_id: UUID | None
    order_no: str
    statement_id: UUID | None
    currency: str
    component: str
    reason: str
    expected_minor: int
    settled_minor: int
    lines: int
    detail: str
    state: str
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None
    rule: str | None = None
    version: int = 1

    @property
    def match_key(self) -> str:
        """The key under which others hear of it."""
        return str(self.order_id or self.difference_id)

    @property
    def gap_minor(self) -> int:
        return self.settled_minor - self.expected_minor


class WriteOff(NamedTuple):
    """A write-off, or the undoing of one."""

    write_off_id: UUID
    difference_id: UUID
    amount_minor: int
    rule: str
    by: str
    note: str
    posted_at: datetime
    reverses: UUID | None = None


class Spender(NamedTuple):
    """Whose limit of which day."""

    account: str
    currency: str
    spender: str
    day: date


async def of_orders(connection: AsyncConnection, order_ids: Collection[UUID]) -> dict[tuple[UUID, str], Difference]:
    """Differences by order and component, locked."""
    rows = await connection.execute(_OF_ORDERS, {"ids": sorted(order_ids)})
    return {(row.order_id, row.component): _difference(row) for row in rows}


async def order_of(connection: AsyncConnection, difference_id: UUID) -> UUID | None:
    """The order that a difference is about, if there is one."""
    found: UUID | None = (await connection.execute(_ORDER_OF, {"difference_id": difference_id})).scalar_one_or_none()
    return found


async def lock(connection: AsyncConnection, difference_id: UUID) -> Difference | None:
    """One difference, locked until the transaction ends."""
    row = (await connection.execute(_LOCK, {"difference_id": difference_id})).one_or_none()
    return _difference(row) if row else None


async def orphans(connection: AsyncConnection, page: int) -> dict[UUID, Difference]:
    """Lines whose order was not known, and is now: differences by id, locked."""
    return {row.difference_id: _difference(row) for row in await connection.execute(_ORPHANS, {"page": page})}


async def orders_of(connection: AsyncConnection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """Orders by account and number."""
    wanted = sorted(names)
    parameters = {"accounts": [account for account, _ in wanted], "order_nos": [number for _, number in wanted]}
    rows = await connection.execute(_ORDERS_OF, parameters)
    return {(row.account, row.channel_order_no): row.order_id for row in rows}


async def save(writing: Writing, changed: Sequence[Difference]) -> None:
    """Write differences that are new or were locked."""
    if changed:
        await writing.execute(_SAVE, {name: [getattr(one, name) for one in changed] for name in _COLUMNS})


async def add_write_offs(writing: Writing, write_offs: Sequence[WriteOff]) -> None:
    """Add write-offs."""
    if write_offs:
        columns = zip(WriteOff._fields, map(list, zip(*write_offs, strict=True)), strict=True)
        await writing.execute(_ADD_WRITE_OFFS, dict(columns))


async def last_write_off(connection: AsyncConnection, difference_id: UUID) -> WriteOff | None:
    """The write-off of a difference that was not undone."""
    row = (await connection.execute(_LAST_WRITE_OFF, {"difference_id": difference_id})).one_or_none()
    return WriteOff(*row) if row else None


async def spent(connection: AsyncConnection, spenders: Collection[Spender]) -> dict[Spender, int]:
    """What was given up under each limit on its day, locked: of two who decide at once the second waits."""
    if not spenders:
        return {}
    await connection.execute(_BEGIN_DAYS, _spender_columns(sorted(spenders)))
    rows = await connection.execute(_SPENT, _spender_columns(sorted(spenders)))
    return {Spender(row.account, row.currency, row.spender, row.day): row.amount_minor for row in rows}


async def spend(writing: Writing, amounts: Mapping[Spender, int]) -> None:
    """Count what was given up."""
    rows = sorted((spender, amount) for spender, amount in amounts.items() if amount)
    if rows:
        columns = _spender_columns([spender for spender, _ in rows])
        await writing.execute(_SPEND, columns | {"amounts": [amount for _, amount in rows]})


def _spender_columns(spenders: Sequence[Spender]) -> dict[str, Any]:
    return {
        "accounts": [one.account for one in spenders],
        "currencies": [one.currency for one in spenders],
        "spenders": [one.spender for one in spenders],
        "days": [one.day for one in spenders],
    }


def _difference(row: Row[Any]) -> Difference:
    return Difference(**row._mapping)
