"""Words for telling what happens to an order: events with their everyday values filled in."""

from datetime import datetime
from uuid import UUID, uuid5

from oms_events.contracts.catalog import SkuDefined, SkuFlag
from oms_events.contracts.fulfilment import ShipmentRequested
from oms_events.contracts.intake import ReportedParcel, ReportedQuantity, WarehouseReport, WarehouseReportReceived
from oms_events.contracts.inventory import (
    NodeAvailability,
    NodeStockChanged,
    Shortage,
    StockAllocated,
    StockAllocationRejected,
)
from oms_events.contracts.logistics import WaybillAssigned, WaybillRefused
from oms_events.contracts.orders import CancellationRequested, OrderReleased
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.testing.scenario import START, Scenario

_ROOT = UUID("00000000-0000-0000-0000-00000000f00d")
LON, MAN, HAM = "GB-LON", "GB-MAN", "DE-HAM"


def uid(name: object) -> UUID:
    return uuid5(_ROOT, str(name))


def units(**skus: int) -> tuple[LineQuantity, ...]:
    """Lines named after their SKU."""
    return tuple(LineQuantity(line_id=f"L-{sku}", sku=sku, quantity=quantity) for sku, quantity in skus.items())


def released(
    name: object = "order", country: str = "GB", ship_by: datetime | None = None, **skus: int
) -> OrderReleased:
    return OrderReleased(
        order_id=uid(name),
        channel="uci",
        shop="gb",
        currency="GBP",
        lines=units(**skus),
        ship_to=Destination(country=country, region="", receiver_token="tok-1"),
        delivery_tier="standard",
        released_at=START,
        ship_by=ship_by,
    )


def stock(sku: str, change_no: int = 1, **nodes: int) -> NodeStockChanged:
    """Stock by node; the keywords are node codes with `_` for `-`."""
    at = tuple(NodeAvailability(node=node.replace("_", "-"), available=n) for node, n in nodes.items())
    return NodeStockChanged(sku=sku, nodes=at, change_no=change_no)


def weighed(sku: str, weight_g: int, *flags: SkuFlag) -> SkuDefined:
    return SkuDefined(sku=sku, product_code=sku, title=sku, weight_g=weight_g, flags=flags)


def allocated(shipment: object, order: object = "order") -> StockAllocated:
    return StockAllocated(
        order_id=uid(order),
        shipment_id=shipment.shipment_id,
        decision_id=uid("decision"),
        node=shipment.node,
        lines=shipment.lines,
    )


def not_allocated(
    shipment: object, order: object = "order", *, of: str | None = None, available: int = 0
) -> StockAllocationRejected:
    """Inventory has too few of one SKU of a planned shipment, or of every one."""
    return StockAllocationRejected(
        order_id=uid(order),
        shipment_id=shipment.shipment_id,
        decision_id=uid("decision"),
        node=shipment.node,
        shortages=tuple(
            Shortage(sku=line.sku, requested=line.quantity, available=available)
            for line in shipment.lines
            if of in {None, line.sku}
        ),
    )


def waybill(shipment: object, order: object = "order") -> WaybillAssigned:
    return WaybillAssigned(
        order_id=uid(order),
        shipment_id=shipment.shipment_id,
        carrier="swift",
        service="next",
        waybill_no=f"W{shipment.shipment_id.hex[:12]}",
        tariff_version="1",
        billable_weight_g=500,
        cost_minor=400,
        currency="GBP",
        promised_at=START,
    )


def no_waybill(shipment: object, order: object = "order") -> WaybillRefused:
    return WaybillRefused(order_id=uid(order), shipment_id=shipment.shipment_id, reason="too heavy")


def reported(
    shipment: object,
    kind: str,
    *,
    no: str | None = None,
    node: str | None = None,
    lines: dict[str, int] | None = None,
    weight_g: int = 0,
    at: datetime = START,
) -> WarehouseReportReceived:
    report = WarehouseReport(
        node=node or shipment.node,
        shipment_id=shipment.shipment_id,
        report_no=no or f"{kind}-1",
        kind=kind,
        lines=tuple(ReportedQuantity(line_id=f"L-{sku}", quantity=n) for sku, n in (lines or {}).items()),
        parcels=(ReportedParcel(parcel_no="1", weight_g=weight_g),) if weight_g else (),
        reason="",
        occurred_at=at,
    )
    return WarehouseReportReceived(shipment_id=shipment.shipment_id, report=report)


def cancelled(name: object = "cancel", order: object = "order", **skus: int) -> CancellationRequested:
    return CancellationRequested(order_id=uid(order), cancellation_id=uid(name), lines=units(**skus))


def quantities(lines: object) -> dict[str, int]:
    return {line.sku: line.quantity for line in lines}


async def open_nodes(scenario: Scenario, **more: object) -> None:
    """London, Manchester and Hamburg; London handles dearer than Manchester."""
    for node, country, handling in ((LON, "GB", 60), (MAN, "GB", 40), (HAM, "DE", 30)):
        body = {"country": country, "handling_parcel_minor": handling, "timezone": "UTC", "cut_off": "16:00"} | more
        response = await scenario.client.put(f"/v1/nodes/{node}", json=body)
        assert response.status_code == 200, response.text


async def plan(scenario: Scenario, order: object = "order", **skus: int) -> list:
    """Release an order and answer its planned shipments."""
    routed, *rest = await scenario.when(released(order, **skus))
    assert not rest
    return list(routed.shipments)


async def request(scenario: Scenario, order: object = "order", **skus: int) -> ShipmentRequested:
    """An order of one shipment, allocated."""
    (planned,) = await plan(scenario, order, **skus)
    (requested,) = await scenario.when(allocated(planned, order))
    return requested


async def release(scenario: Scenario, order: object = "order", **skus: int) -> ShipmentRequested:
    """An order of one shipment, released to its warehouse."""
    requested = await request(scenario, order, **skus)
    await scenario.when(waybill(requested, order))
    return requested
