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
from oms_sample.settling import Settlement

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


async def kill_while_statements_are_read(system: System) -> None:
    await asyncio.sleep(2)
    await system.kill("settlement")
    await system.until_ready("settlement")


async def play(stage: Stage, meanwhile: asyncio.Task[None]) -> Played:
    played = await stage.play()
    await meanwhile
    return played


async def test_every_order_ends_or_waits_for_a_reason_when_services_are_killed(system: System) -> None:
    async with Doors(Endpoints.of(system)) as doors:
        book = Book(SLICE, SALES)
        stage = await prepare(doors, book, Settings(rate=20), report=print)
        settlement = Settlement(doors.finance, book, stage.played, report=print)
        await settlement.prepare()
        played = await play(stage, asyncio.create_task(kill_one_after_the_other(system)))
        settling = asyncio.create_task(settlement.settle(await audit.all_orders(doors.operator)))
        await kill_while_statements_are_read(system)
        settled = await settling
        seen = await audit.all_orders(doors.operator)
        verdict = audit.judge(played.journal, await audit.inspect(doors.operator, seen))

    assert verdict.accepted == SALES
    assert verdict.lost == []
    assert verdict.doubled == []
    assert verdict.oversold == []
    assert verdict.unexplained == []
    assert verdict.differences == []
    assert verdict.dead_letters == []
    assert not played.stalled

    assert (settled.refused, settled.faults, settled.unplanted, settled.cleared) == ([], [], [], [])
    assert len(settled.kinds) >= 5
    assert all(kind.found == kind.planted for kind in settled.kinds.values()), settled.kinds
    assert sum(wallet.matched_minor for wallet in settled.wallets) > 0
    assert {wallet.format for wallet in settled.wallets if wallet.lines} == {
        "canonical",
        "amazon_v2",
        "stripe_balance",
    }
    assert sum(row["profit_minor"] for row in settled.profit) > 0
    completed = sum(verdict.states.get("completed", {}).values())
    assert completed > SALES * 0.8, verdict.states
