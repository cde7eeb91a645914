"""Events of inventory: reservations by order, and quantities that others may rely on."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from oms_events.contracts.shared import Code, LineQuantity, Part, Text
from oms_events.registry import Event, Topic, event

RESERVATION = Topic("oms.inventory.reservation.v1", key="order_id")
CHANNEL_STOCK = Topic("oms.inventory.channel-stock.v1", key="channel_stock_key", cleanup="compact")
NODE_STOCK = Topic("oms.inventory.node-stock.v1", key="sku", cleanup="compact")

Lines = Annotated[tuple[LineQuantity, ...], Field(max_length=2000)]


class Shortage(Part):
    """What was asked of a SKU and what could be had."""

    sku: Text
    requested: int
    available: int


@event(RESERVATION)
class StockReserved(Event):
    """All lines of the order are held at the channel and the shared pool."""

    order_id: UUID
    channel: Code
    shop: Code
    lines: Lines


@event(RESERVATION)
class StockReservationRejected(Event):
    """Not every line could be held, so none is. Tried again when stock arrives."""

    order_id: UUID
    shortages: tuple[Shortage, ...]


@event(RESERVATION)
class StockAllocated(Event):
    """The shipment's lines are set aside at its node: they left the pool and bind physical stock."""

    order_id: UUID
    shipment_id: UUID
    decision_id: UUID
    node: Code
    lines: Lines


@event(RESERVATION)
class StockAllocationRejected(Event):
    """The node cannot give the shipment's lines; they stay reserved at the pool and want another node."""

    order_id: UUID
    shipment_id: UUID
    decision_id: UUID
    node: Code
    shortages: tuple[Shortage, ...]


@event(RESERVATION)
class StockConsumed(Event):
    """The shipment's lines left the node for good."""

    order_id: UUID
    shipment_id: UUID
    node: Code
    lines: Lines


@event(RESERVATION)
class StockReleased(Event):
    """Lines held for the order are for sale again: a cancellation at the pool, or an allocation taken back.

    `to_pool` tells whether they stay reserved for the order at the pool (a re-route) or are free for anyone.
    """

    order_id: UUID
    shipment_id: UUID | None
    lines: Lines
    to_pool: bool
    reason: str


@event(CHANNEL_STOCK)
class ChannelStockChanged(Event):
    """What a shop may sell of a SKU now. `change_no` grows per shop and SKU; an older one is stale."""

    channel_stock_key: str
    channel: Code
    shop: Code
    sku: Text
    sellable: int
    change_no: int


class NodeAvailability(Part):
    """What one node can still give of a SKU."""

    node: Code
    available: int


@event(NODE_STOCK)
class NodeStockChanged(Event):
    """What each node can give of a SKU: published on meaningful change, a hint for routing and no promise."""

    sku: Text
    nodes: tuple[NodeAvailability, ...]
    change_no: int
