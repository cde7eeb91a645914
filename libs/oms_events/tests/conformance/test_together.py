"""Statements sent together do what they would have done one by one."""

from uuid import uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import together

from .kit import ONLY_MEMORY, Kit

pytestmark = ONLY_MEMORY

_ORDERS = text("create temp table o (id uuid primary key, note text)")
_LINES = text("create temp table l (id uuid references o, no int, at timestamptz, unique (id, no))")
_ORDER = text("insert into o select id, :note from unnest(cast(:ids as uuid[])) as id")
_LINE = text(
    "insert into l (id, no, at) select id, :no, '2026-03-02 09:30:00+00' from unnest(cast(:ids as uuid[])) as id"
)
_COUNT = text("select count(*) from o")
_ALL = text("select o.note, l.no, l.at = '2026-03-02 09:30:00+00' from o join l using (id)")


async def test_they_go_in_one_round_trip_each_with_its_own_parameters(kit: Kit) -> None:
    sent: list[str] = []
    order_id = str(uuid4())
    async with kit.engine.begin() as connection:
        await connection.execute(_ORDERS)
        await connection.execute(_LINES)
        event.listen(kit.engine.sync_engine, "before_cursor_execute", lambda *call: sent.append(call[2]))
        async with together(connection) as writing:
            await writing.execute(_LINE, {"ids": [order_id], "no": 7})  # what it refers to comes behind it
            await writing.execute(_ORDER, {"ids": [order_id], "note": "a :note"})
            await writing.execute(_LINE, {"ids": [order_id], "no": 8})
        assert len(sent) == 1
        async with together(connection) as writing:
            await writing.execute(_LINE, {"ids": [order_id], "no": 9})
        async with together(connection):
            pass
        assert len(sent) == 2
        rows = (await connection.execute(_ALL)).all()
    assert sorted(map(tuple, rows)) == [("a :note", 7, True), ("a :note", 8, True), ("a :note", 9, True)]


async def test_one_that_fails_undoes_the_others(kit: Kit) -> None:
    async def order_and_a_line_of_none(connection: AsyncConnection) -> None:
        async with connection.begin_nested(), together(connection) as writing:
            await writing.execute(_ORDER, {"ids": [str(uuid4())], "note": "mine"})
            await writing.execute(_LINE, {"ids": [str(uuid4())], "no": 1})

    async with kit.engine.begin() as connection:
        await connection.execute(_ORDERS)
        await connection.execute(_LINES)
        with pytest.raises(DBAPIError, match="foreign key"):
            await order_and_a_line_of_none(connection)
        assert (await connection.execute(_COUNT)).scalar_one() == 0


async def test_a_block_that_fails_sends_nothing(kit: Kit) -> None:
    async def order_and_a_mistake(connection: AsyncConnection) -> None:
        async with together(connection) as writing:
            await writing.execute(_ORDER, {"ids": [str(uuid4())], "note": "mine"})
            raise ValueError("mistake")

    async with kit.engine.begin() as connection:
        await connection.execute(_ORDERS)
        with pytest.raises(ValueError, match="mistake"):
            await order_and_a_mistake(connection)
        assert (await connection.execute(_COUNT)).scalar_one() == 0
