"""Waiting for orders to come."""

import asyncio

from bench.watch import Watch

from oms_events.contracts.fulfilment import ShipmentReleased
from oms_events.runtime.broker import Broker


def watch() -> Watch:
    return Watch(Broker("127.0.0.1:9092"), ShipmentReleased)


async def test_what_came_before_and_what_comes_later_is_counted() -> None:
    watching = watch()
    watching.seen[b"a"] = 0.0

    async def come() -> None:
        for order in (b"of others", b"b", b"c"):
            await asyncio.sleep(0.08)
            watching.seen[order] = 0.0

    coming = asyncio.create_task(come())
    assert await watching.until([b"a", b"b", b"c"], patience_s=5) == 3
    await coming


async def test_who_waits_in_vain_gives_up() -> None:
    watching = watch()
    watching.seen[b"a"] = 0.0
    async with asyncio.timeout(5):
        assert await watching.until([b"a", b"b"], patience_s=0.2) == 1
