"""What the runtime does about connections to the database that are dead without anybody having been told."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from oms_events.runtime import database
from oms_events.runtime.database import Lane, build_engine
from oms_events.runtime.retry import is_transient
from oms_events.runtime.settings import Settings
from oms_events.testing.fixtures import MakeDatabase
from oms_local.ports import Ports

from .proxy import Line

pytestmark = pytest.mark.integration

ANSWER_S = 1
SOON_S = 10.0


@pytest_asyncio.fixture
async def line(make_database: MakeDatabase) -> AsyncIterator[tuple[Line, str]]:
    """A line to a new database, and the URL through it."""
    url = make_database("dead_connections")
    address = urlsplit(url)
    port = Ports().draw()
    async with Line(port, address.port or 5432) as line:
        yield line, url.replace(f":{address.port}/", f":{port}/")


@pytest_asyncio.fixture
async def engine(line: tuple[Line, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    monkeypatch.setattr(database, "ANSWER_S", ANSWER_S)
    monkeypatch.setattr(database, "IDLE_IN_TRANSACTION_S", ANSWER_S)
    engine = build_engine(Settings(database_url=SecretStr(line[1])), name="dead")
    async with engine.begin() as connection:
        await connection.execute(text("create table counters as select 0 as n"))
    yield engine
    await engine.dispose()


async def count(lane: Lane) -> None:
    async with lane.begin() as connection:
        await connection.execute(text("update counters set n = n + 1"))


async def test_a_lane_gives_a_dead_connection_up_and_goes_on(line: tuple[Line, str], engine: AsyncEngine) -> None:
    lane = Lane(engine)
    await count(lane)
    assert line[0].forget() >= 1
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(count(lane), SOON_S)
    assert time.monotonic() - began < ANSWER_S + 5
    await asyncio.wait_for(count(lane), SOON_S)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select n from counters"))).scalar_one() == 2
    await lane.close()


async def ask(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        answer: int = (await connection.execute(text("select 1 from pg_sleep(0.1)"))).scalar_one()
    return answer


async def test_after_one_dead_connection_the_pool_hands_out_no_other_of_its_age(
    line: tuple[Line, str], engine: AsyncEngine
) -> None:
    await asyncio.gather(*(ask(engine) for _ in range(4)))
    assert line[0].forget() >= 4
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(engine), SOON_S)
    assert await asyncio.gather(*(ask(engine) for _ in range(4))) == [1, 1, 1, 1]


async def test_locks_of_a_transaction_whose_client_is_gone_are_let_go(
    line: tuple[Line, str], engine: AsyncEngine
) -> None:
    lane, other = Lane(engine), Lane(engine)

    async def die_in_the_middle() -> None:
        async with lane.begin() as connection:
            await connection.execute(text("update counters set n = n + 1"))
            line[0].forget()
            await connection.execute(text("select 1"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(die_in_the_middle(), SOON_S)

    async def until_counted() -> None:
        while True:
            try:
                return await count(other)
            except TimeoutError:
                continue

    await asyncio.wait_for(until_counted(), SOON_S)
    await lane.close()
    await other.close()


async def test_a_transaction_that_was_idle_for_too_long_is_worth_another_try(engine: AsyncEngine) -> None:
    """As of a relay that waits for its broker while it holds its lock."""
    lane = Lane(engine)

    async def idle() -> None:
        async with lane.begin() as connection:
            await connection.execute(text("update counters set n = n + 1"))
            await asyncio.sleep(2 * ANSWER_S)
            await connection.execute(text("select 1"))

    with pytest.raises(ConnectionResetError) as raised:
        await idle()
    assert is_transient(raised.value)
    await count(lane)
    await lane.close()
