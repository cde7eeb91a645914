"""Every deadline fires once, and one that fails stops no other."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from oms_events.runtime.lifecycle import Runtime

from .kit import Counting, Kit, until


async def schedule(kit: Kit, *keys: str) -> None:
    runtime = kit.runtime()
    async with runtime.transaction() as work:
        for key in keys:
            work.schedule("bell", key, datetime.now(UTC) - timedelta(seconds=1))
    await runtime.close()


async def test_two_sweepers_fire_each_deadline_once(kit: Kit) -> None:
    keys = [f"k{n:04}" for n in range(1200)]
    await schedule(kit, *keys)
    other = Counting()
    async with kit.runtime("a").running(), kit.runtime("b", counting=other).running():

        async def all_fired() -> bool:
            return sum(map(len, (await kit.steps()).values())) >= len(keys)

        await until(all_fired)
    assert await kit.steps() == {key: [0] for key in keys}


async def test_a_deadline_that_fails_stops_no_other_and_is_not_lost(kit: Kit) -> None:
    kit.counting.poison = {("k1", 0)}
    await schedule(kit, "k0", "k1", "k2")
    async with kit.runtime().running():
        await kit.until_steps({"k0": [0], "k2": [0]})
    assert await waiting(kit) == ["k1"]


async def test_the_last_call_for_a_key_counts_and_a_transaction_that_fails_leaves_none(kit: Kit) -> None:
    now = datetime.now(UTC)
    past, future = now - timedelta(seconds=1), now + timedelta(hours=1)
    runtime = kit.runtime()
    async with runtime.transaction() as work:
        for key in ("put off", "called off"):
            work.schedule("bell", key, past)
    async with runtime.transaction() as work:
        work.schedule("bell", "put off", future)
        work.unschedule("bell", "called off")
        work.schedule("bell", "brought forward", future)
        work.schedule("bell", "brought forward", past)
    with pytest.raises(ZeroDivisionError):
        await _schedule_and_fail(runtime, past)
    await runtime.close()
    async with kit.runtime().running():
        await kit.until_steps({"brought forward": [0]})
    assert await waiting(kit) == ["put off"]


async def _schedule_and_fail(runtime: Runtime, due_at: datetime) -> None:
    async with runtime.transaction() as work:
        work.schedule("bell", "never", due_at)
        raise ZeroDivisionError


async def waiting(kit: Kit) -> list[str]:
    async with kit.engine.connect() as connection:
        return list((await connection.execute(text("select key from deadlines order by key"))).scalars())
