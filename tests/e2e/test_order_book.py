"""A real order book through real processes, some of which are killed in the middle."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from oms_local.profile import Profile
from oms_local.servers import Platform
from oms_local.system import Options, System, running_system
from oms_sample import audit
from oms_sample.book import Book
from oms_sample.cli import SLICE
from oms_sample.client import Doors
from oms_sample.endpoints import Endpoints
from oms_sample.play import Played, Settings, Stage, prepare

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

SALES = 120
KILLED = ("orders", "inventory", "fulfilment", "logistics", "gateway")


@pytest_asyncio.fixture
async def system(platform: Platform, pytestconfig: pytest.Config, tmp_path: Path) -> AsyncIterator[System]:
    """Every service as a process of its own, on a broker and a database of their own: their names are fixed."""
    options = Options(
        run_dir=tmp_path,
        cache_dir=pytestconfig.rootpath / ".cache",
        profile=Profile.TEST,
        way=platform.how,
        log_level="WARNING",
    )
    async with running_system(options) as system:
        yield system


async def kill_one_after_the_other(system: System) -> None:
    for service in KILLED:
        await system.kill(service)
        await system.until_ready(service)


async def play(stage: Stage, meanwhile: asyncio.Task[None]) -> Played:
    played = await stage.play()
    await meanwhile
    return played


async def test_every_order_ends_or_waits_for_a_reason_when_services_are_killed(system: System) -> None:
    async with Doors(Endpoints.of(system)) as doors:
        stage = await prepare(doors, Book(SLICE, SALES), Settings(rate=20), report=print)
        played = await play(stage, asyncio.create_task(kill_one_after_the_other(system)))
        verdict = audit.judge(played.journal, await audit.inspect(doors.operator))

    assert verdict.accepted == SALES
    assert verdict.lost == []
    assert verdict.doubled == []
    assert verdict.oversold == []
    assert verdict.unexplained == []
    assert verdict.differences == []
    assert verdict.dead_letters == []
    assert not played.stalled
    completed = sum(verdict.states.get("completed", {}).values())
    assert completed > SALES * 0.8, verdict.states
