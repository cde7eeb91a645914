"""Two members of the group at work on the same SKUs at once."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from oms_events.contracts.inventory import StockReserved
from oms_events.testing.scenario import START, Scenario, only
from oms_inventory.service import service

from .stories import cancelled, counted, placed


async def test_two_consumers_never_oversell_nor_lose_a_quantity(scenario: Scenario) -> None:
    await scenario.given(counted("A", 60), counted("B", 60))
    url = scenario.runtime.settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        # Another clock: event ids of a scenario derive from it.
        other = Scenario(service, url, start=START + timedelta(hours=1))
        await stack.enter_async_context(other.running())

        async def consume(member: Scenario, *lines: tuple[str, int]) -> None:
            for _ in range(8):
                held = only(await member.when(*(placed(*lines) for _ in range(10))), StockReserved)
                await member.when(*(cancelled(event.order_id, *lines) for event in held[:2]))

        await asyncio.gather(consume(scenario, ("A", 1), ("B", 1)), consume(other, ("B", 1), ("A", 1)))
    await scenario.run_jobs()
    for sku in "AB":
        answer = (await scenario.client.get(f"/v1/stock/{sku}")).json()
        assert (answer["reserved"], answer["available"]) == (60, 0)
    summary = (await scenario.client.get("/v1/summary")).json()
    assert (summary["oversold"], summary["waiting_orders"] > 0) == (0, True)
    assert (await scenario.client.get("/v1/reconciliation")).json()["balanced"]
