"""Orders at the pool."""

from oms_events.contracts.inventory import StockReleased, StockReservationRejected, StockReserved
from oms_events.testing.scenario import Scenario, only

from .stories import an_id, cancelled, counted, lines, order_cancelled, placed


async def stock(scenario: Scenario, sku: str) -> dict[str, int]:
    answer = (await scenario.client.get(f"/v1/stock/{sku}")).json()
    return {name: answer[name] for name in ("on_hand", "allocated", "pool_base", "reserved", "available")}


async def test_reserves_all_lines(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10), counted("B", 5))
    order = placed(("A", 3), ("B", 5))
    published = await scenario.when(order)
    assert published == [
        StockReserved(order_id=order.order_id, channel="web", shop="S1", lines=lines(("A", 3), ("B", 5)))
    ]
    assert await stock(scenario, "A") == {"on_hand": 10, "allocated": 0, "pool_base": 10, "reserved": 3, "available": 7}
