"""Stored orders by the million: rows that the product wrote for some orders, copied with other ids and earlier times.

Copies are made inside the databases, set by set, so a million takes minutes. Every copy of an order has the same new
ids in every database and table. Ids that carry a time carry an earlier one, ids that do not stay random, and numbers
counted by the database are drawn from it. So tables and indexes grow as if the orders had come one after the other, in
the past. What stays as it was: the contents of documents, and whatever is not kept per order, as stock.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from oms_events.runtime import inbox

APART_S = 20
"""Seconds between an order and its next copy: more than the copied orders took together."""
MOST_COPIES = 8_000
"""Their times fill the two days before, for which the inbox keeps partitions; a copied waybill has room for more."""
_SAME_WIDTH = 0.05

_CLONE = f"""
create or replace function bench.clone(id uuid, n int) returns uuid immutable parallel safe language sql as $$
    select case when substr(id::text, 15, 1) in ('7', '8') then
        overlay(
            lpad(to_hex(('x' || replace(left(id::text, 13), '-', ''))::bit(48)::bigint - {APART_S * 1000}::bigint * n),
                 12, '0')
            || right(md5(id::text || n), 20) placing substr(id::text, 15, 1) from 13 for 1)::uuid
    else
        overlay(md5(id::text || n) placing substr(id::text, 15, 1) from 13 for 1)::uuid
    end
$$
"""
_TABLES = """
select relname from pg_class
 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by relname
"""
_COLUMNS = """
select column_name, data_type, is_identity = 'YES' as counted
  from information_schema.columns where table_schema = 'public' and table_name = $1 order by ordinal_position
"""
_SPECIAL: Mapping[str, str] = {
    "channel_order_no": "channel_order_no || '~' || n",
    # As long as the original, in the order of the copies' times, and of a kind that is never issued.
    "waybill_no": f"left(waybill_no, 1) || lpad(({MOST_COPIES} - n)::text, 4, '0') || right(waybill_no, 8)",
    "waybill_serial": "waybill_serial - n * 1000000::bigint",
    # Below all that are issued: the journal goes on from its highest.
    "entry_no": "entry_no - n * 1000000::bigint",
    "released_seq": "case when released_seq is not null then nextval('release_numbers') end",
}


class NotAlike(Exception):
    """Copies do not look like what they were copied from."""


@dataclass(frozen=True, slots=True)
class Template:
    """One table's rows to copy."""

    table: str
    columns: Sequence[str]
    values: Sequence[str]
    rows: int

    def statement(self) -> str:
        """Makes copy $1."""
        return (
            f"insert into public.{self.table} ({', '.join(self.columns)}) "
            f"select {', '.join(self.values)} from bench.{self.table} cross join (select $1::int as n) as copy"
        )


class Copier:
    """Copies in one service's database."""

    def __init__(self, service: str, sqlalchemy_url: str, connection: asyncpg.Connection) -> None:
        self.service = service
        self._sqlalchemy_url = sqlalchemy_url
        self._connection = connection
        self._templates: list[Template] = []

    async def begin(self, since: int, orders: int, earliest: date) -> None:
        """Keep what transactions from `since` on have written for so many orders. `earliest` is the day of the first
        copies: the inbox has a partition for each day, and would have had one then."""
        await self._keep_days(earliest)
        await self._connection.execute("create schema if not exists bench")
        await self._connection.execute(_CLONE)
        await self._connection.execute("set synchronous_commit = off")
        for (table,) in await self._connection.fetch(_TABLES):
            columns = await self._connection.fetch(_COLUMNS, table)
            if any(column["data_type"] == "uuid" for column in columns):
                await self._connection.execute(
                    f"create table bench.{table} as select * from public.{table} where xmin::text::bigint >= {since}"
                )
                rows = await self._connection.fetchval(f"select count(*) from bench.{table}")
                if rows >= orders / 2:
                    self._templates.append(_template(table, columns, rows))
                    await self._connection.execute(f"analyze bench.{table}")

    async def _keep_days(self, earliest: date) -> None:
        engine = create_async_engine(self._sqlalchemy_url)
        async with engine.begin() as connection:
            await inbox.keep_partitions(connection, earliest, days=365)
        await engine.dispose()

    @property
    def rows(self) -> int:
        """How many are copied each time."""
        return sum(template.rows for template in self._templates)

    async def copy(self, first: int, last: int) -> None:
        """Make the copies numbered `first` down to `last`, the earliest first, then let the server know its tables."""
        for n in range(first, last - 1, -1):
            async with self._connection.transaction():
                for template in self._templates:
                    await self._connection.execute(template.statement(), n, timeout=600)
        await self._connection.execute("vacuum (analyze, skip_locked)", timeout=1200)

    async def compare(self, n: int) -> None:
        """Whether copy `n` has as many rows as its original, and as wide ones. Raises NotAlike."""
        for template in self._templates:
            id_ = next(name for name, value in zip(template.columns, template.values, strict=True) if "clone" in value)
            count, width = await self._connection.fetchrow(
                f"""select count(*), coalesce(avg(pg_column_size(p.*)), 0)::float from public.{template.table} p
                     where {id_} in (select bench.clone({id_}, $1) from bench.{template.table})""",
                n,
            )
            expected = await self._connection.fetchval(
                f"select avg(pg_column_size(t.*))::float from bench.{template.table} t"
            )
            if count != template.rows or abs(width - expected) > _SAME_WIDTH * expected:
                raise NotAlike(
                    f"{self.service}.{template.table}: {count:,} rows of {width:.0f} bytes copied from "
                    f"{template.rows:,} rows of {expected:.0f} bytes"
                )


def _template(table: str, columns: Sequence[Any], rows: int) -> Template:
    copied = [column for column in columns if not column["counted"]]
    return Template(
        table,
        [column["column_name"] for column in copied],
        [_value(column["column_name"], column["data_type"]) for column in copied],
        rows,
    )


def _value(name: str, data_type: str) -> str:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if data_type == "uuid":
        return f"bench.clone({name}, n)"
    if data_type == "timestamp with time zone":
        return f"{name} - make_interval(secs => n * {APART_S})"
    return name


async def clone_of(connection: asyncpg.Connection, id_: str, n: int) -> str:
    """The id that a copy has."""
    return str(await connection.fetchval("select bench.clone($1::text::uuid, $2)", id_, n))


async def copy_all(copiers: Sequence[Copier], first: int, last: int) -> None:
    """In all databases at once."""
    await asyncio.gather(*(copier.copy(first, last) for copier in copiers))
