"""A process that dies at each seam between work, database and broker, again and again: everything takes effect once.

`crash_points.reach` ends the process there; here it ends one life of a runtime, and the next life goes on with what
database and broker have kept.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import get_args

import pytest

from oms_events.runtime import crash_points
from oms_events.runtime.crash_points import Point
from oms_events.testing import seeds

from .kit import Kit, Stepped, crash, expected_of, steps_of, until

POINTS: tuple[Point, ...] = get_args(Point)
LIVES = {"memory": 40, "kafka": 10}
COUNTERS, STEPS_A_LIFE = 3, 4
LATEST = 3
"""A life ends at the latest when it comes to its point for the third time."""


class Death(BaseException):
    """The end of a life. No handler of errors may survive it."""


class Trap:
    """Stands in for the end of the process: from the moment it springs nothing gets past any point any more."""

    def __init__(self, point: Point, nth: int) -> None:
        self.sprung = asyncio.Event()
        self._point = point
        self._left = nth

    def reach(self, point: Point) -> None:
        if point == self._point:
            self._left -= 1
        if self._left <= 0:
            self.sprung.set()
            raise Death(point)


async def live(kit: Kit, trap: Trap, told: int) -> bool:
    """Run until the trap springs, or all is done; answers whether it sprang."""
    runtime = kit.runtime()

    async def over() -> bool:
        taken = sum(map(len, (await kit.steps()).values()))
        cleared = await kit.outbox() == 0 and not runtime.publisher.mine()
        return trap.sprung.is_set() or (taken == told and cleared)

    await runtime._start()
    await until(over)
    await crash(runtime)
    return trap.sprung.is_set()


async def test_whatever_seam_a_process_dies_at_everything_takes_effect_once(
    kit: Kit, bootstrap: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = Random(seeds.draw())
    died_at: Counter[Point] = Counter()
    steps = steps_of(COUNTERS, STEPS_A_LIFE * LIVES["kafka" if bootstrap else "memory"])
    page = COUNTERS * STEPS_A_LIFE
    # Every point once, in a life that finds nothing left behind (what is published behind it comes to fewer points).
    # Then lives that die one upon the other.
    points = [*dice.sample(POINTS, len(POINTS)), *dice.choices(POINTS, k=len(steps) // page - len(POINTS))]

    for life, point in enumerate(points):
        if life < len(POINTS):
            await finish(kit, steps[: life * page])
        trap = Trap(point, dice.randint(1, LATEST) if died_at[point] else 1)
        with monkeypatch.context() as armed:
            armed.setattr(crash_points, "reach", trap.reach)
            await kit.append(*steps[life * page : (life + 1) * page])
            died_at[point] += await live(kit, trap, told=(life + 1) * page)

    await finish(kit, steps)
    assert await kit.notes(len(steps)) == expected_of(steps)
    assert await kit.letters() == []
    assert all(died_at[point] for point in POINTS), died_at


async def finish(kit: Kit, steps: Sequence[Stepped]) -> None:
    """Run until what earlier lives left undone is done."""

    async def cleared() -> bool:
        return await kit.outbox() == 0

    async with kit.runtime().running():
        await kit.until_steps(expected_of(steps))
        await until(cleared)
