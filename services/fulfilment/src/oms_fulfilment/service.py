"""Table of contents of the fulfilment service."""

from oms_events.contracts.catalog import SkuDefined
from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    OrderRouted,
    RoutingFailed,
    ShipmentAccepted,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentReleased,
    ShipmentRequested,
)
from oms_events.contracts.intake import WarehouseReportReceived
from oms_events.contracts.inventory import NodeStockChanged, StockAllocated, StockAllocationRejected
from oms_events.contracts.logistics import WaybillAssigned, WaybillRefused
from oms_events.contracts.orders import CancellationRequested, OrderReleased
from oms_events.runtime.service import Service, at, every, on
from oms_fulfilment.app.allocation import on_stock_allocated, on_stock_allocation_rejected
from oms_fulfilment.app.carriage import on_waybill_assigned, on_waybill_refused
from oms_fulfilment.app.orders import on_cancellation_requested, on_order_released, reroute
from oms_fulfilment.app.projections import on_node_stock_changed, on_sku_defined
from oms_fulfilment.app.sourcing import REROUTE
from oms_fulfilment.app.warehouse import expire_reports, on_warehouse_report_received
from oms_fulfilment.entrypoints.api import router

service = Service(
    "fulfilment",
    consumes=[
        on(OrderReleased, on_order_released),
        on(CancellationRequested, on_cancellation_requested),
        on(NodeStockChanged, on_node_stock_changed, projection=True),
        on(StockAllocated, on_stock_allocated),
        on(StockAllocationRejected, on_stock_allocation_rejected),
        on(SkuDefined, on_sku_defined, projection=True),
        on(WaybillAssigned, on_waybill_assigned),
        on(WaybillRefused, on_waybill_refused),
        on(WarehouseReportReceived, on_warehouse_report_received),
    ],
    deadlines=[at(REROUTE, reroute)],
    jobs=[every(3600.0, expire_reports)],
    produces=[
        OrderRouted,
        RoutingFailed,
        ShipmentRequested,
        ShipmentReleased,
        ShipmentAccepted,
        ShipmentRejected,
        ShipmentDispatched,
        ShipmentCancelled,
        CancellationAnswered,
    ],
    api=router,
)
