"""A channel's order becomes ours, and what a newer telling of it changes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from oms_orders.domain.holds import DEFAULT_AUDIT, AuditRule, close_hold, open_hold
from oms_orders.domain.order import Cause, Destination, Line, Order
from oms_orders.domain.pricing import SoldLine, price_lines, total_of


class Place(Protocol):
    """Where a channel wants the parcels."""

    @property
    def country(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def city(self) -> str: ...
    @property
    def postcode(self) -> str: ...
    @property
    def receiver_token(self) -> str: ...


class SoldOrder(Protocol):
    """An order as its channel tells it."""

    @property
    def channel(self) -> str: ...
    @property
    def shop(self) -> str: ...
    @property
    def channel_order_no(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def placed_at(self) -> datetime: ...
    @property
    def currency(self) -> str: ...
    @property
    def lines(self) -> Sequence[SoldLine]: ...
    @property
    def discount_minor(self) -> int: ...
    @property
    def shipping_minor(self) -> int: ...
    @property
    def total_minor(self) -> int: ...
    @property
    def ship_to(self) -> Place: ...
    @property
    def delivery_tier(self) -> str: ...
    @property
    def ship_by(self) -> datetime | None: ...
    @property
    def buyer_note(self) -> str: ...


def receive(
    order_id: UUID, sold: SoldOrder, skus: Mapping[str, str], cause: Cause, *, audit: AuditRule = DEFAULT_AUDIT
) -> Order:
    """A new order, with all that stops it. `skus` names the SKU of each mapped listing of the shop."""
    order = Order(
        order_id,
        sold.channel,
        sold.shop,
        sold.channel_order_no,
        sold.version,
        cause.now,
        sold.placed_at,
        sold.currency,
        sold.shipping_minor,
        sold.total_minor,
        _destination(sold.ship_to),
        sold.delivery_tier,
        sold.ship_by,
        sold.buyer_note,
        lines=_lines(sold, skus),
    )
    _audit(order, audit, cause)
    return order


def receive_again(
    order: Order, sold: SoldOrder, skus: Mapping[str, str], cause: Cause, *, audit: AuditRule = DEFAULT_AUDIT
) -> str:
    """A telling that was not heard before, of an order that is known. Answers what was made of it."""
    if sold.version < order.channel_version:
        return "older version: kept"
    same_version = sold.version == order.channel_version
    order.channel_version = sold.version
    if order.closed:
        return "after the end: kept"
    differences = _differences(order, sold)
    if same_version:
        open_hold(order, "ORDER_CHANGED", f"version {sold.version} told twice: {_named(differences)}", cause)
        return "same version, different content"
    if order.entered_at is None:
        _replace(order, sold, skus, audit, cause)
        return "newer version: replaces"
    order.ship_by = sold.ship_by
    if order.buyer_note != sold.buyer_note:
        order.buyer_note = sold.buyer_note
        _audit_note(order, audit, cause)
    if differences:
        open_hold(order, "ORDER_CHANGED", f"version {sold.version}: {_named(differences)}", cause)
        return "newer version: differs"
    return "newer version: amends"


def map_listings(order: Order, skus: Mapping[str, str], cause: Cause) -> None:
    """Listings got their SKU: what waited for them goes on."""
    for hold in order.open_holds():
        if hold.code == "LISTING_UNMAPPED" and hold.line_id is not None:
            line = order.lines[hold.line_id]
            if line.listing in skus:
                line.sku, line.changed = skus[line.listing], True
                close_hold(order, hold, "RESOLVED", "catalog", cause)


def _lines(sold: SoldOrder, skus: Mapping[str, str]) -> dict[str, Line]:
    lines = price_lines(sold.lines, sold.discount_minor)
    for line in lines:
        line.sku = skus.get(line.listing)
    return {line.line_id: line for line in lines}


def _destination(place: Place) -> Destination:
    return Destination(place.country, place.region, place.city, place.postcode, place.receiver_token)


def _audit(order: Order, audit: AuditRule, cause: Cause) -> None:
    for line in order.lines.values():
        if line.sku is None:
            open_hold(order, "LISTING_UNMAPPED", line.listing, cause, line_id=line.line_id)
    if (total := total_of(order)) != order.total_minor:
        open_hold(order, "AMOUNT_MISMATCH", f"told {order.total_minor}, sums up to {total}", cause)
    _audit_note(order, audit, cause)


def _audit_note(order: Order, audit: AuditRule, cause: Cause) -> None:
    if order.buyer_note and order.released_at is None and audit.stops(order.buyer_note):
        open_hold(order, "BUYER_NOTE", "a note of the buyer is to be read", cause)


def _replace(order: Order, sold: SoldOrder, skus: Mapping[str, str], audit: AuditRule, cause: Cause) -> None:
    """Take the newer content. Questions to a person stay open: only that person knows whether they are answered."""
    cancelled = {line.line_id: line.cancelled for line in order.lines.values()}
    order.placed_at, order.currency = sold.placed_at, sold.currency
    order.shipping_minor, order.total_minor = sold.shipping_minor, sold.total_minor
    order.ship_to, order.delivery_tier = _destination(sold.ship_to), sold.delivery_tier
    order.ship_by, order.buyer_note = sold.ship_by, sold.buyer_note
    order.paid_minor = sum(p.amount_minor for p in order.payments.values() if p.currency == order.currency)
    order.lines = _lines(sold, skus)
    for line in order.lines.values():
        line.cancelled = min(line.quantity, cancelled.get(line.line_id, 0))
    for hold in order.open_holds():
        if hold.code == "LISTING_UNMAPPED":
            line_now = order.lines.get(hold.line_id or "")
            if line_now is None or line_now.sku is not None or line_now.listing != hold.detail:
                close_hold(order, hold, "RESOLVED", f"version {sold.version}", cause)
    _audit(order, audit, cause)


def _differences(order: Order, sold: SoldOrder) -> list[str]:
    """What of a telling differs in a way that a parcel or a sum would show."""
    differing = []
    if _content(order.lines.values()) != _content(price_lines(sold.lines, sold.discount_minor)):
        differing.append("lines")
    if order.ship_to != _destination(sold.ship_to) or order.delivery_tier != sold.delivery_tier:
        differing.append("delivery")
    if (order.currency, order.shipping_minor, order.total_minor) != (
        sold.currency,
        sold.shipping_minor,
        sold.total_minor,
    ):
        differing.append("totals")
    return differing


def _content(lines: Iterable[Line]) -> list[tuple[str, str, int, int, int]]:
    return sorted(
        (line.line_id, line.listing, line.quantity, line.unit_price_minor, line.discount_minor) for line in lines
    )


def _named(differences: Sequence[str]) -> str:
    return f"other {', '.join(differences)}" if differences else "other details"
