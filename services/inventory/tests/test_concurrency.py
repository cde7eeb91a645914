"""Two members of the group at work on the same SKUs at once."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import fields
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from oms_events.contracts.inventory import StockReserved
from oms_events.contracts.orders import OrderPlaced
from oms_events.registry import Event
from oms_events.runtime.retry import backoff
from oms_events.testing.scenario import START, Scenario, only
from oms_inventory.service import service

from .stories import (
    an_id,
    cancelled,
    counted,
    dispatched,
    listed,
    placed,
    routed,
    shipment_cancelled,
    shipment_rejected,
)

_WAITING = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")


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


NAMING_A: dict[str, Callable[[UUID, UUID], Event]] = {
    "routed": lambda order_id, _: routed(order_id, ("A", 1)),
    "dispatched": lambda order_id, shipment_id: dispatched(order_id, shipment_id, ("A", 1)),
    "shipment cancelled": lambda order_id, shipment_id: shipment_cancelled(order_id, shipment_id, ("A", 1)),
    "shipment rejected": lambda order_id, shipment_id: shipment_rejected(order_id, shipment_id, ("A", 1)),
    "lines cancelled": lambda order_id, _: cancelled(order_id, ("A", 1)),
    "counted": lambda *_: counted("A", 9, at=START),
    "listed": lambda *_: listed("A"),
}


def test_every_event_that_names_skus_is_tried() -> None:
    tried = {type(name_a(an_id(), an_id())) for name_a in NAMING_A.values()} | {OrderPlaced}
    consumed = [subscription.event for subscription in service.consumes]
    naming = {"sku", "lines", "shipments"}
    assert tried == {event for event in consumed if naming & {field.name for field in fields(event)}}


@pytest.mark.parametrize("what", NAMING_A)
async def test_a_batch_for_several_handlers_locks_all_its_skus_in_one_order(scenario: Scenario, what: str) -> None:
    """Else it would hold B while it waits for A, and another batch hold A and wait for B."""
    before, shipment_id = placed(("A", 2)), an_id()
    shipped = routed(before.order_id, ("A", 1), shipment_id=shipment_id)
    await scenario.given(counted("A", 10), counted("B", 10), before)
    await scenario.given(shipped)
    async with scenario.runtime.write() as other:
        await other.execute(text("select from pools where sku = 'A' for update"))
        happened = (placed(("B", 1)), NAMING_A[what](before.order_id, shipment_id))
        batch = asyncio.create_task(scenario.when(*happened))
        async with scenario.runtime.connection() as looking:
            for wait in backoff(first=0.01, cap=0.1):
                if (await looking.execute(_WAITING)).scalar_one():
                    break
                await asyncio.sleep(wait)
        await other.execute(text("select from pools where sku = 'B' for update nowait"))
    assert only(await batch, StockReserved)
