"""What a batch locks before its first handler."""

from collections.abc import Iterable, Sequence

from oms_events.contracts.catalog import ListingMapped
from oms_events.contracts.fulfilment import OrderRouted, ShipmentCancelled, ShipmentDispatched, ShipmentRejected
from oms_events.contracts.intake import StockReportReceived
from oms_events.contracts.orders import OrderLinesCancelled, OrderPlaced
from oms_events.envelope import Received
from oms_events.registry import Event
from oms_events.runtime.work import Work
from oms_inventory.adapters import shelf


async def lock_pools(happened: Sequence[Received[Event]], work: Work) -> None:
    """Lock the pools of all SKUs that a batch names. Handlers one after the other would lock some SKUs first and others
    later, and members of the group would wait for each other in circles."""
    await shelf.lock(work.connection, {sku for item in happened for sku in _skus(item.event)})


def _skus(event: Event) -> Iterable[str]:
    match event:
        case OrderPlaced() | OrderLinesCancelled() | ShipmentDispatched() | ShipmentCancelled() | ShipmentRejected():
            return [line.sku for line in event.lines]
        case OrderRouted():
            return [line.sku for shipment in event.shipments for line in shipment.lines]
        case StockReportReceived() | ListingMapped():
            return [event.sku]
    return ()
