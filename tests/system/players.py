"""Those who talk to the system from outside: a shop, its warehouses and carriers, and the operator."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from oms_events.contracts.intake import (
    CancelledQuantity,
    ChannelCancellation,
    ChannelOrder,
    ChannelOrderLine,
    ChannelPayment,
    ReportedQuantity,
    StockReport,
    TrackingScan,
    WarehouseReport,
)
from oms_events.contracts.shared import Destination
from oms_events.testing.scenario import START
from oms_events.values import order_id

from .system import System

LONDON, LEEDS = "GB-LON", "GB-LDS"
SHOP = {"channel": "web", "shop": "uk"}
PRICE_MINOR = 1000

_CARRIERS = Path(__file__).parents[2] / "services" / "logistics" / "seeds" / "carriers.json"

Shipment = dict[str, Any]


def ident(no: str) -> UUID:
    """The id of the shop's order."""
    return order_id(**SHOP, channel_order_no=no)


def order(no: str, **listings: int) -> ChannelOrder:
    """An order for so many of each listing; lines are named after theirs."""
    return ChannelOrder(
        channel=SHOP["channel"],
        shop=SHOP["shop"],
        channel_order_no=no,
        placed_at=START,
        currency="GBP",
        lines=tuple(
            ChannelOrderLine(line_no=listing, listing=listing, quantity=quantity, unit_price_minor=PRICE_MINOR)
            for listing, quantity in listings.items()
        ),
        total_minor=PRICE_MINOR * sum(listings.values()),
        ship_to=Destination(country="GB", city="Leeds", postcode="LS1 4AP", receiver_token="tok"),
    )


def payment(ordered: ChannelOrder) -> ChannelPayment:
    """All of an order's money."""
    return ChannelPayment(
        **SHOP,
        channel_order_no=ordered.channel_order_no,
        payment_no="P-1",
        currency=ordered.currency,
        amount_minor=ordered.total_minor,
        paid_at=START,
    )


def cancellation(no: str, **listings: int) -> ChannelCancellation:
    """The wish to cancel so many of each listing; none named: everything."""
    return ChannelCancellation(
        **SHOP,
        channel_order_no=no,
        cancellation_no="C-1",
        lines=tuple(CancelledQuantity(line_no=listing, quantity=n) for listing, n in listings.items()),
        reason="changed mind",
        requested_at=START,
    )


def counted(node: str, **skus: int) -> list[StockReport]:
    """A warehouse's snapshot of some SKUs, of the day before: it knows of what left before it was taken."""
    return [
        StockReport(
            node=node,
            sku=sku,
            report_no="opening",
            kind="snapshot",
            quantity=quantity,
            occurred_at=START - timedelta(days=1),
        )
        for sku, quantity in skus.items()
    ]


def delivered_to(node: str, **skus: int) -> list[StockReport]:
    """Goods that arrived at a warehouse."""
    return [
        StockReport(node=node, sku=sku, report_no="delivery", kind="movement", quantity=quantity, occurred_at=START)
        for sku, quantity in skus.items()
    ]


def report(shipment: Shipment, kind: Any, *, late_by_s: int = 0, **lines: int) -> WarehouseReport:
    """A warehouse's word on a shipment. With another `late_by_s` it is the same report under another event id."""
    return WarehouseReport(
        node=shipment["node"],
        shipment_id=UUID(shipment["shipment_id"]),
        report_no=f"{kind}-1",
        kind=kind,
        lines=tuple(ReportedQuantity(line_id=line_id, quantity=n) for line_id, n in lines.items()),
        occurred_at=START + timedelta(seconds=late_by_s),
    )


def scans(shipment: Shipment, *statuses: Any) -> list[TrackingScan]:
    """A carrier's scans of a shipment's parcel, a minute apart; by default its whole way."""
    way = statuses or ("picked_up", "in_transit", "out_for_delivery", "delivered")
    return [
        TrackingScan(
            carrier=shipment["carrier"],
            waybill_no=shipment["waybill_no"],
            status=status,
            occurred_at=START + timedelta(hours=1, minutes=minute),
        )
        for minute, status in enumerate(way)
    ]


@dataclass
class Outside:
    """What people and machines outside do, one step after the other."""

    system: System

    async def open_shop(self, *skus: str, unmapped: Iterable[str] = ()) -> None:
        """Two warehouses, four carriers, and SKUs that the shop lists under their small letters. London is preferred:
        it handles cheaper."""
        await self.system.command("logistics", "POST", "/v1/carriers:import", json.loads(_CARRIERS.read_text()))
        for node, handling_minor in ((LONDON, 50), (LEEDS, 90)):
            body = {"country": "GB", "timezone": "Europe/London", "handling_parcel_minor": handling_minor}
            await self.system.command("fulfilment", "PUT", f"/v1/nodes/{node}", body)
        await self._import("products", [{"product_code": sku, "title": sku} for sku in skus])
        await self._import("skus", [{"sku": sku, "product_code": sku, "title": sku, "weight_g": 400} for sku in skus])
        await self.list_items(*(sku for sku in skus if sku not in unmapped))
        await self.system.calm()

    async def list_items(self, *skus: str) -> None:
        """Say what the shop's items stand for."""
        await self._import("listings", [{**SHOP, "listing": sku.lower(), "sku": sku} for sku in skus])

    async def _import(self, what: str, items: list[dict[str, Any]]) -> None:
        answer = await self.system.command("catalog", "POST", f"/v1/{what}:batch", items)
        assert {item["status"] for item in answer["items"]} <= {"created"}, answer

    async def say(self, *parts: Any) -> None:
        """Tell the system something and wait for what follows."""
        await self.system.tell(*parts)
        await self.system.calm()

    async def buy(self, no: str, **listings: int) -> None:
        """Order and pay."""
        ordered = order(no, **listings)
        await self.say(ordered, payment(ordered))

    async def order(self, no: str) -> Any:
        """The order as orders shows it."""
        return await self.system.ask("orders", f"/v1/orders/{ident(no)}")

    async def state(self, no: str) -> str:
        return str((await self.order(no))["state"])

    async def shipments(self, no: str, *states: str) -> list[Shipment]:
        """The order's shipments in these states, in any when none are named; the earliest planned first."""
        page = await self.system.ask("fulfilment", "/v1/shipments", order_id=str(ident(no)))
        return [shipment for shipment in page["items"] if not states or shipment["state"] in states]

    async def shipment(self, no: str, state: str = "released") -> Shipment:
        """The order's only shipment in a state."""
        (found,) = await self.shipments(no, state)
        return found

    async def stock(self, sku: str) -> Mapping[str, int]:
        """The layers of a SKU's stock that must add up."""
        stock = await self.system.ask("inventory", f"/v1/stock/{sku}")
        return {layer: stock[layer] for layer in ("on_hand", "allocated", "reserved", "available")}

    async def ship_and_deliver(self, shipment: Shipment) -> None:
        """The rest of a shipment's way, without incident."""
        await self.say(report(shipment, "accepted"))
        await self.say(report(shipment, "shipped"))
        await self.say(*scans(shipment))


def layers(on_hand: int, *, allocated: int = 0, reserved: int = 0) -> dict[str, int]:
    """Stock whose layers add up."""
    available = on_hand - allocated - reserved
    return {"on_hand": on_hand, "allocated": allocated, "reserved": reserved, "available": available}
