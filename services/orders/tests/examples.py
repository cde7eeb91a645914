"""Events that tests are made of: one order of two lines, and all that can happen to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from oms_events.contracts import catalog, fulfilment, intake, inventory, logistics
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.registry import Event
from oms_events.values import order_id

SHOP = {"channel": "tmall", "shop": "flagship"}
PLACED_AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SKUS = {"1": "TEA-100", "2": "CUP-1"}
LISTINGS = {"1": "tea", "2": "cup"}
SHIPMENT = UUID("018f0000-0000-8000-8000-000000000001")
SECOND = UUID("018f0000-0000-8000-8000-000000000002")
DECISION = UUID("018f0000-0000-8000-8000-00000000000d")


def ident(no: str = "A-1") -> UUID:
    return order_id(SHOP["channel"], SHOP["shop"], no)


def mapped(line: str = "1", sku: str | None = None) -> catalog.ListingMapped:
    listing = LISTINGS[line]
    key = catalog.listing_key(SHOP["channel"], SHOP["shop"], listing)
    return catalog.ListingMapped(listing_key=key, **SHOP, listing=listing, sku=sku or SKUS[line])


def unmapped(line: str = "1") -> catalog.ListingUnmapped:
    listing = LISTINGS[line]
    key = catalog.listing_key(SHOP["channel"], SHOP["shop"], listing)
    return catalog.ListingUnmapped(listing_key=key, **SHOP, listing=listing)


def told(no: str = "A-1", **changes: Any) -> intake.ChannelOrderReceived:
    """Two teas at 10.00 and one cup at 5.00, 1.00 off the order, 2.00 shipping: 26.00."""
    content: dict[str, Any] = {
        **SHOP,
        "channel_order_no": no,
        "version": 1,
        "placed_at": PLACED_AT,
        "currency": "EUR",
        "lines": (
            intake.ChannelOrderLine(line_no="1", listing="tea", quantity=2, unit_price_minor=1000),
            intake.ChannelOrderLine(line_no="2", listing="cup", quantity=1, unit_price_minor=500),
        ),
        "discount_minor": 100,
        "shipping_minor": 200,
        "total_minor": 2600,
        "ship_to": Destination(country="DE", postcode="10115", receiver_token="tok"),
    }
    return intake.ChannelOrderReceived(order_id=ident(no), order=intake.ChannelOrder(**{**content, **changes}))


def paid(amount_minor: int = 2600, payment_no: str = "P-1", currency: str = "EUR", no: str = "A-1") -> Event:
    return intake.ChannelPaymentReceived(
        order_id=ident(no),
        payment=intake.ChannelPayment(
            **SHOP,
            channel_order_no=no,
            payment_no=payment_no,
            currency=currency,
            amount_minor=amount_minor,
            paid_at=PLACED_AT,
        ),
    )


def cancelled(number: str = "C-1", reason: str = "changed mind", no: str = "A-1", **lines: int) -> Event:
    """Cancel so many of lines: `cancelled(_1=1)`. None named: all."""
    return intake.ChannelCancellationReceived(
        order_id=ident(no),
        cancellation=intake.ChannelCancellation(
            **SHOP,
            channel_order_no=no,
            cancellation_no=number,
            reason=reason,
            requested_at=PLACED_AT + timedelta(minutes=5),
            lines=tuple(
                intake.CancelledQuantity(line_no=name.removeprefix("_"), quantity=quantity)
                for name, quantity in lines.items()
            ),
        ),
    )


def lines(**quantities: int) -> tuple[LineQuantity, ...]:
    return tuple(
        LineQuantity(line_id=name[1:], sku=SKUS.get(name[1:], "OTHER"), quantity=quantity)
        for name, quantity in quantities.items()
    )


ALL = lines(_1=2, _2=1)


def reserved(no: str = "A-1") -> Event:
    return inventory.StockReserved(order_id=ident(no), **SHOP, lines=ALL)


def short(no: str = "A-1") -> Event:
    shortage = inventory.Shortage(sku="TEA-100", requested=2, available=1)
    return inventory.StockReservationRejected(order_id=ident(no), shortages=(shortage,))


def routed(no: str = "A-1") -> Event:
    return fulfilment.OrderRouted(
        order_id=ident(no),
        decision_id=DECISION,
        attempt=1,
        rule_set="default/1",
        currency="EUR",
        shipments=(fulfilment.PlannedShipment(shipment_id=SHIPMENT, node="BER", lines=ALL),),
        alternatives=(),
    )


def unroutable(no: str = "A-1") -> Event:
    return fulfilment.RoutingFailed(
        order_id=ident(no), decision_id=DECISION, attempt=1, rule_set="default/1", reason="no stock", lines=ALL
    )


def requested(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return fulfilment.ShipmentRequested(
        order_id=ident(no),
        shipment_id=shipment,
        node="BER",
        **SHOP,
        origin_country="DE",
        lines=ALL,
        weight_g=900,
        ship_to=Destination(country="DE"),
        delivery_tier="standard",
    )


def waybill(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return logistics.WaybillAssigned(
        order_id=ident(no),
        shipment_id=shipment,
        carrier="DHL",
        service="paket",
        waybill_no="W-1",
        tariff_version="1",
        billable_weight_g=1000,
        cost_minor=450,
        currency="EUR",
        promised_at=PLACED_AT + timedelta(days=2),
    )


def no_waybill(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return logistics.WaybillRefused(order_id=ident(no), shipment_id=shipment, reason="nobody goes there")


def released(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return fulfilment.ShipmentReleased(
        order_id=ident(no),
        shipment_id=shipment,
        node="BER",
        lines=ALL,
        carrier="DHL",
        service="paket",
        waybill_no="W-1",
        released_at=PLACED_AT,
    )


def accepted(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return fulfilment.ShipmentAccepted(order_id=ident(no), shipment_id=shipment, node="BER")


def dispatched(shipment: UUID = SHIPMENT, no: str = "A-1", **quantities: int) -> Event:
    return fulfilment.ShipmentDispatched(
        order_id=ident(no),
        shipment_id=shipment,
        node="BER",
        lines=lines(**quantities) if quantities else ALL,
        carrier="DHL",
        waybill_no="W-1",
        weight_g=900,
        dispatched_at=PLACED_AT + timedelta(hours=5),
    )


def delivered(shipment: UUID = SHIPMENT, no: str = "A-1") -> Event:
    return logistics.ShipmentDelivered(
        order_id=ident(no),
        shipment_id=shipment,
        waybill_no="W-1",
        delivered_at=PLACED_AT + timedelta(days=1),
        promised_at=PLACED_AT + timedelta(days=2),
        late_by_s=0,
    )


def answered(cancellation_id: UUID, stopped: dict[str, int], refused: dict[str, int], no: str = "A-1") -> Event:
    return fulfilment.CancellationAnswered(
        order_id=ident(no), cancellation_id=cancellation_id, stopped=lines(**stopped), refused=lines(**refused)
    )
