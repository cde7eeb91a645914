"""The inbox's partitions: made ahead, dropped when old, and no event applied twice on their account."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from oms_events.runtime import inbox
from oms_events.runtime.database import Lane
from oms_events.runtime.retry import Transient
from oms_events.values import derived_text

from .kit import ONLY_MEMORY, Kit

pytestmark = ONLY_MEMORY

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_ROWS = text("select tableoid::regclass::text as partition, count(*) as rows from inbox group by 1 order by 1")
_WAITING = text(
    "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
)


def id_at(moment: datetime, name: str = "x") -> str:
    return derived_text("event", name, at=moment)


async def rows_by_partition(kit: Kit) -> dict[str, int]:
    async with kit.engine.connect() as connection:
        return {row.partition: row.rows for row in await connection.execute(_ROWS)}


async def keep(kit: Kit, now: datetime) -> None:
    lane = Lane(kit.engine)
    async with lane.begin() as connection:
        await inbox.keep_partitions(connection, now.date(), days=30)
    await lane.close()


async def admit(kit: Kit, *ids: str) -> frozenset[str]:
    lane = Lane(kit.engine)
    try:
        async with lane.begin() as connection:
            return (await inbox.admit(connection, "c", ids, [])).fresh
    finally:
        await lane.close()


async def until_somebody_waits(kit: Kit) -> None:
    async with asyncio.timeout(10), kit.engine.connect() as connection:
        # One transaction would see the same activity again and again.
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not (await connection.execute(_WAITING)).scalar():  # noqa: ASYNC110 - in the server
            await asyncio.sleep(0.01)


async def test_an_event_is_known_whichever_partition_keeps_it(kit: Kit) -> None:
    await keep(kit, NOW)
    days = [NOW, NOW + timedelta(days=1), NOW - timedelta(days=5000), NOW + timedelta(days=400)]
    ids = [id_at(day) for day in days]

    assert await admit(kit, *ids) == set(ids)
    assert await admit(kit, *ids, id_at(NOW, "y")) == {id_at(NOW, "y")}
    assert await rows_by_partition(kit) == {"inbox_day_20260302": 2, "inbox_day_20260303": 1, "inbox_other": 2}


async def test_who_waited_for_another_member_looks_again_and_finds_the_events_applied(kit: Kit) -> None:
    shared, own = id_at(NOW, "shared"), id_at(NOW, "own")
    theirs = Lane(kit.engine)
    async with theirs.begin() as connection:
        await inbox.admit(connection, "c", [shared], [])
        waiting = asyncio.create_task(admit(kit, shared, own))
        await until_somebody_waits(kit)
    with pytest.raises(Transient):
        await waiting
    assert await admit(kit, shared, own) == {own}
    await theirs.close()


async def test_days_whose_events_are_old_are_dropped_and_the_next_are_made(kit: Kit) -> None:
    await keep(kit, NOW)
    await admit(kit, id_at(NOW), id_at(NOW + timedelta(days=1)))

    await keep(kit, NOW + timedelta(days=31))
    assert await rows_by_partition(kit) == {"inbox_day_20260303": 1}
    later = id_at(NOW + timedelta(days=33))
    await admit(kit, later)
    assert await rows_by_partition(kit) == {"inbox_day_20260303": 1, "inbox_day_20260404": 1}


async def test_a_day_that_began_in_the_default_partition_stays_there(kit: Kit) -> None:
    await admit(kit, id_at(NOW))
    await keep(kit, NOW)
    assert await admit(kit, id_at(NOW), id_at(NOW, "y")) == {id_at(NOW, "y")}
    assert await rows_by_partition(kit) == {"inbox_other": 2}


async def test_old_marks_leave_the_default_partition_in_pieces(kit: Kit) -> None:
    await keep(kit, NOW)
    old = [id_at(NOW - timedelta(days=40), str(number)) for number in range(5)]
    fresh = [id_at(NOW, str(number)) for number in range(5)]  # each in the same place of its own partition
    await admit(kit, *old, *fresh)
    async with kit.engine.begin() as connection:
        await connection.execute(text("update inbox_other set handled_at = handled_at - interval '40 days'"))
        assert await inbox.purge(connection, days=30, chunk=3)
        assert not await inbox.purge(connection, days=30, chunk=3)
    assert await rows_by_partition(kit) == {"inbox_day_20260302": 5}
