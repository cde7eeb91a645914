"""Lanes: transactions on one connection, whose statements go straight to the driver."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import TextClause, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from oms_events.runtime.database import Lane, build_engine
from oms_events.runtime.retry import is_transient
from oms_events.runtime.settings import Settings
from oms_events.testing.fixtures import MakeDatabase

pytestmark = pytest.mark.integration

PAIRS = text("select n, cast(n as text) as name from unnest(cast(:ns as int[])) as n order by n")
COUNT = text("select count(*) from notes")
WRITE = text("insert into notes (word) values (:word)")


@pytest_asyncio.fixture
async def engine(make_database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    engine = build_engine(Settings(database_url=SecretStr(make_database("lanes"))), name="lanes")
    async with engine.begin() as connection:
        await connection.execute(text("create table notes (word text primary key)"))
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def lane(engine: AsyncEngine) -> AsyncIterator[Lane]:
    lane = Lane(engine)
    yield lane
    await lane.close()


async def words(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set((await connection.execute(text("select word from notes"))).scalars())


async def test_a_lane_answers_as_a_connection_of_the_engine_does(engine: AsyncEngine, lane: Lane) -> None:
    async with lane.begin() as straight, engine.connect() as usual:
        for connection in (straight, usual):
            rows = (await connection.execute(PAIRS, {"ns": [2, 1]})).all()
            assert rows == [(1, "1"), (2, "2")]
            assert (rows[0].n, rows[0].name, dict(rows[0]._mapping)) == (1, "1", {"n": 1, "name": "1"})
            assert (await connection.execute(PAIRS, {"ns": [7]})).one().name == "7"
            assert (await connection.execute(PAIRS, {"ns": []})).one_or_none() is None
            assert list((await connection.execute(PAIRS, {"ns": []})).scalars()) == []
            assert [dict(row) for row in (await connection.execute(PAIRS, {"ns": [3]})).mappings()] == [
                {"n": 3, "name": "3"}
            ]
            assert (await connection.execute(text("select cast(:x as jsonb)"), {"x": '{"a": [1]}'})).scalar_one() == {
                "a": [1]
            }
            constant = text("select :word as said").bindparams(word="always")
            assert (await connection.execute(constant)).scalar_one() == "always"
            assert (await connection.execute(select(literal(5)))).scalar_one() == 5


async def test_rows_that_were_written_are_counted(lane: Lane) -> None:
    async with lane.begin() as connection:
        added = await connection.execute(
            text("insert into notes (word) select unnest(cast(:words as text[]))"), {"words": ["a", "b", "c"]}
        )
        gone = await connection.execute(text("delete from notes where word = 'a'"))
        assert (added.rowcount, gone.rowcount) == (3, 1)


async def test_what_failed_is_undone_and_the_lane_goes_on(engine: AsyncEngine, lane: Lane) -> None:
    async def write_twice() -> None:
        async with lane.begin() as connection:
            await connection.execute(WRITE, {"word": "twice"})
            await connection.execute(WRITE, {"word": "twice"})

    with pytest.raises(asyncpg.UniqueViolationError) as raised:
        await write_twice()
    assert not is_transient(raised.value)
    async with lane.begin() as connection:
        await connection.execute(WRITE, {"word": "after"})
    assert await words(engine) == {"after"}


async def test_a_part_of_a_transaction_can_be_given_up(engine: AsyncEngine, lane: Lane) -> None:
    async def write_and_fail(connection: AsyncConnection) -> None:
        async with connection.begin_nested():
            await connection.execute(WRITE, {"word": "given up"})
            await connection.execute(WRITE, {"word": "kept"})

    async with lane.begin() as connection:
        await connection.execute(WRITE, {"word": "kept"})
        with pytest.raises(asyncpg.UniqueViolationError):
            await write_and_fail(connection)
    assert await words(engine) == {"kept"}


async def test_a_transaction_whose_error_was_passed_over_is_no_success(engine: AsyncEngine, lane: Lane) -> None:
    async def pass_over() -> None:
        async with lane.begin() as connection:
            await connection.execute(WRITE, {"word": "lost"})
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(text("select 1 / 0"))

    with pytest.raises(RuntimeError, match="failed statement"):
        await pass_over()
    async with lane.begin() as connection:
        assert (await connection.execute(COUNT)).scalar_one() == 0


async def test_nobody_gets_the_connection_of_a_transaction_that_was_cancelled(engine: AsyncEngine, lane: Lane) -> None:
    async def never_ending() -> None:
        async with lane.begin() as connection:
            await connection.execute(WRITE, {"word": "cut off"})
            await connection.execute(text("select pg_sleep(60)"))

    task = asyncio.create_task(never_ending())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with lane.begin() as connection:
        await connection.execute(WRITE, {"word": "next"})
    assert await words(engine) == {"next"}


@pytest.mark.parametrize("earlier", [None, WRITE])
async def test_a_lane_whose_server_went_down_is_worth_another_try_and_then_works(
    engine: AsyncEngine, lane: Lane, earlier: TextClause | None
) -> None:
    async def die() -> None:
        async with lane.begin() as connection:
            if earlier is not None:
                await connection.execute(earlier, {"word": "lost"})
            await connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    for _ in range(20):
        with pytest.raises((asyncpg.PostgresError, OSError)) as raised:
            await die()
        assert is_transient(raised.value)
        async with lane.begin() as connection:
            assert (await connection.execute(COUNT)).scalar_one() == 0


async def test_a_lane_that_was_ended_while_idle_is_worth_another_try(engine: AsyncEngine, lane: Lane) -> None:
    async def ask() -> int:
        async with lane.begin() as connection:
            pid: int = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
            return pid

    for _ in range(20):
        pid = await ask()
        async with engine.connect() as other:
            await other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises((asyncpg.PostgresError, OSError)) as raised:
            await ask()
        assert is_transient(raised.value)
        assert await ask() != pid


async def test_a_schema_that_changes_under_a_lane_is_worth_another_try(engine: AsyncEngine, lane: Lane) -> None:
    everything = text("select * from notes")
    async with lane.begin() as connection:
        await connection.execute(everything)
    async with engine.begin() as connection:
        await connection.execute(text("alter table notes add column meaning text"))

    async def ask() -> list[str]:
        async with lane.begin() as connection:
            return list((await connection.execute(everything)).keys())

    with pytest.raises(asyncpg.PostgresError) as raised:
        await ask()
    assert is_transient(raised.value)
    assert await ask() == ["word", "meaning"]
