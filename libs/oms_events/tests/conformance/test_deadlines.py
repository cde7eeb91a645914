"""Every deadline fires once, and one that fails stops no other."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

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
    async with kit.engine.connect() as connection:
        left = list((await connection.execute(text("select key from deadlines"))).scalars())
    assert left == ["k1"]
