"""A real order book through two workers of every service, one of which is killed in the middle."""

import asyncio
import re
import time

import httpx
import pytest

from oms_local.system import System
from oms_local.topology import SERVICES
from oms_sample import audit
from oms_sample.book import Book
from oms_sample.cli import SLICE
from oms_sample.client import Doors
from oms_sample.endpoints import Endpoints
from oms_sample.play import Settings, prepare

from .conftest import SystemOf

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SALES = 60
KILLED = "orders-worker-1"
PATIENCE_S = 60
_APPLIED = re.compile(r'^oms_consumer_records_total\{.*outcome="applied".*\} (\S+)$', re.MULTILINE)


async def applied(system: System) -> dict[str, float]:
    """How many events each worker has applied since it was started."""
    async with httpx.AsyncClient(trust_env=False) as http:
        told = {worker: (await http.get(f"{url}/metrics")).text for worker, url in system.worker_urls.items()}
    return {worker: sum(map(float, _APPLIED.findall(metrics))) for worker, metrics in told.items()}


async def until_all_applied(system: System) -> dict[str, float]:
    """Wait for those no order waits for: settlement and analytics may still be trying a batch again. Answers what each
    has applied by then, or by the time that waiting longer is of no use."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        shares = await applied(system)
        if all(shares.values()) or time.monotonic() > give_up_at:
            return shares
        await asyncio.sleep(0.5)


async def kill_one(system: System) -> None:
    await system.kill(KILLED)
    await system.until_ready(KILLED)


async def test_nothing_is_lost_doubled_or_oversold_by_two_workers(system_of: SystemOf) -> None:
    async with system_of(workers=2) as system:
        async with Doors(Endpoints.of(system)) as doors:
            stage = await prepare(doors, Book(SLICE, SALES), Settings(rate=20), report=print)
            killing = asyncio.create_task(kill_one(system))
            played = await stage.play()
            await killing
            seen = await audit.all_orders(doors.operator)
            verdict = audit.judge(played.journal, await audit.inspect(doors.operator, seen))
        shares = await until_all_applied(system)

    assert verdict.accepted == SALES
    assert verdict.sound, verdict
    assert not played.stalled
    assert sum(verdict.states.get("completed", {}).values()) > SALES * 0.8, verdict.states
    assert shares.keys() == {
        f"{service.name}-worker-{number}" for service in SERVICES if service.consumes for number in (1, 2)
    }
    assert all(shares.values()), shares
