"""Inventory's table of contents."""

from oms_events.contracts.catalog import ListingMapped, ListingUnmapped
from oms_events.contracts.fulfilment import OrderRouted, ShipmentCancelled, ShipmentDispatched, ShipmentRejected
from oms_events.contracts.intake import StockReportReceived
from oms_events.contracts.inventory import (
    ChannelStockChanged,
    NodeStockChanged,
    StockAllocated,
    StockAllocationRejected,
    StockConsumed,
    StockReleased,
    StockReservationRejected,
    StockReserved,
)
from oms_events.contracts.orders import OrderCancelled, OrderLinesCancelled, OrderPlaced
from oms_events.runtime.service import Service, every, on
from oms_inventory.app.counting import on_stock_report_received
from oms_inventory.app.orders import on_order_cancelled, on_order_lines_cancelled, on_order_placed
from oms_inventory.app.preparing import lock_pools
from oms_inventory.app.publishing import on_listing_mapped, on_listing_unmapped, tell_changed_stock
from oms_inventory.app.shipments import (
    on_order_routed,
    on_shipment_cancelled,
    on_shipment_dispatched,
    on_shipment_rejected,
)
from oms_inventory.app.waiting import serve_waiting_orders
from oms_inventory.entrypoints.api import router

service = Service(
    "inventory",
    consumes=[
        on(StockReportReceived, on_stock_report_received),
        on(OrderPlaced, on_order_placed),
        on(OrderLinesCancelled, on_order_lines_cancelled),
        on(OrderCancelled, on_order_cancelled),
        on(OrderRouted, on_order_routed),
        on(ShipmentDispatched, on_shipment_dispatched),
        on(ShipmentCancelled, on_shipment_cancelled),
        on(ShipmentRejected, on_shipment_rejected),
        on(ListingMapped, on_listing_mapped, projection=True),
        on(ListingUnmapped, on_listing_unmapped, projection=True),
    ],
    jobs=[every(1.0, tell_changed_stock), every(5.0, serve_waiting_orders)],
    produces=[
        StockReserved,
        StockReservationRejected,
        StockAllocated,
        StockAllocationRejected,
        StockConsumed,
        StockReleased,
        ChannelStockChanged,
        NodeStockChanged,
    ],
    prepare=lock_pools,
    api=router,
)
