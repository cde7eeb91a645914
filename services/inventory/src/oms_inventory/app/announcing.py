"""What the domain decided, as events."""

from collections.abc import Iterable
from uuid import UUID

from pydantic import TypeAdapter

from oms_events.contracts.inventory import Shortage, StockReleased, StockReservationRejected, StockReserved
from oms_events.contracts.shared import LineQuantity
from oms_events.envelope import EventMeta
from oms_events.runtime.work import Work
from oms_inventory.domain.reservation import Held, Lack, Quantity, Reservation, Short

_line_quantities = TypeAdapter(tuple[LineQuantity, ...])


def line_quantities(lines: Iterable[Quantity]) -> tuple[LineQuantity, ...]:
    """Lines as contracts carry them."""
    # All at once: one by one would cost several times as much.
    return _line_quantities.validate_python([line._asdict() for line in lines])


def shortages(lacks: Iterable[Lack]) -> tuple[Shortage, ...]:
    """Lacks as contracts carry them."""
    return tuple(Shortage(sku=sku, requested=requested, available=available) for sku, requested, available in lacks)


def announce_held(work: Work, reservation: Reservation, held: Held, cause: EventMeta) -> None:
    """Say that an order's lines are reserved."""
    assert reservation.shop is not None
    channel, shop = reservation.shop
    event = StockReserved(order_id=reservation.order_id, channel=channel, shop=shop, lines=line_quantities(held.lines))
    work.emit(event, cause=cause, sequence=reservation.version)


def announce_short(work: Work, reservation: Reservation, short: Short, cause: EventMeta) -> None:
    """Say that an order has to wait for stock."""
    event = StockReservationRejected(order_id=reservation.order_id, shortages=shortages(short.lacks))
    work.emit(event, cause=cause, sequence=reservation.version)


def announce_released(
    work: Work,
    reservation: Reservation,
    lines: Iterable[Quantity],
    cause: EventMeta,
    *,
    reason: str,
    shipment_id: UUID | None = None,
    to_pool: bool = False,
) -> None:
    """Say that lines came free, if any did; `to_pool` when they stay reserved for the order."""
    if released := line_quantities(lines):
        event = StockReleased(
            order_id=reservation.order_id, shipment_id=shipment_id, lines=released, to_pool=to_pool, reason=reason
        )
        work.emit(event, cause=cause, sequence=reservation.version)
