"""Allocations: a shipment's lines set aside at its node, all or none, until they leave or are taken back.

Like a reservation, what is open is derived from sums that facts add to; so a dispatch that overtakes the plan
it carries out, or a cancellation that comes first, ends in the same state.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

from oms_inventory.domain.reservation import Lack, Line, Quantity, Reservation
from oms_inventory.domain.stock import Cause, Stock

Answer = Literal["allocated", "refused"]
TakenBack = Literal["cancelled", "rejected"]


@dataclass(slots=True)
class Allocation:
    """One line of a shipment. A refused one was never `planned`."""

    line_id: str
    sku: str
    planned: int = 0
    cancelled: int = 0
    rejected: int = 0
    consumed: int = 0
    answer: Answer | None = None

    @property
    def open(self) -> int:
        """What is set aside at the node now."""
        return self.open_if(self.planned)

    def open_if(self, planned: int) -> int:
        """What a plan of that size would set aside, after all that was said of the line before the plan came."""
        return max(0, planned - self.cancelled - self.rejected - self.consumed)


@dataclass(slots=True)
class Shipment:
    """A shipment as inventory knows it."""

    shipment_id: UUID
    order_id: UUID
    node: str
    lines: dict[str, Allocation] = field(default_factory=dict)
    changed: dict[str, Allocation] = field(default_factory=dict)

    def line(self, line_id: str, sku: str) -> Allocation:
        """The line to be changed; a new one when nobody spoke of it before."""
        allocation = self.lines.get(line_id)
        if allocation is None:
            allocation = self.lines[line_id] = Allocation(line_id, sku)
        self.changed[line_id] = allocation
        return allocation


@dataclass(frozen=True, slots=True)
class Allocated:
    """All lines are set aside."""

    lines: list[Quantity]


@dataclass(frozen=True, slots=True)
class Refused:
    """The node cannot give every line, so none is set aside."""

    lacks: list[Lack]


class Returned(NamedTuple):
    """What came back from a node: still reserved for its order, or free for anyone."""

    reserved: list[Quantity]
    free: list[Quantity]


def allocate(
    stock: Stock, reservation: Reservation, shipment: Shipment, planned: Sequence[Quantity], cause: Cause
) -> Allocated | Refused | None:
    """Set a shipment's lines aside at its node. None when it was answered before, or nothing of it is left.

    What goes beyond the order's own reservation must be free in the pool: others have been promised the rest.
    Safety stock may be used: it is kept for just that case, a promise that the count no longer covers.
    """
    if any(line.answer for line in shipment.lines.values()):
        return None
    wants = [(shipment.line(p.line_id, p.sku), reservation.line(p.line_id, p.sku), p.quantity) for p in planned]
    if not any(allocation.open_if(quantity) for allocation, _, quantity in wants):
        _answer(wants, "allocated")
        return None
    if lacks := _lacks(stock, shipment.node, wants):
        for allocation, _, _ in wants:
            allocation.answer = "refused"
        return Refused(lacks)
    _answer(wants, "allocated")
    for allocation, line, _ in wants:
        quantity = allocation.open
        line.allocated += quantity
        _post(stock, reservation, line, cause, node=shipment.node, sku=allocation.sku, allocated=quantity)
    return Allocated([Quantity(a.line_id, a.sku, a.open) for a, _, _ in wants if a.open])


def _answer(wants: Iterable[tuple[Allocation, Line, int]], answer: Answer) -> None:
    for allocation, _, quantity in wants:
        allocation.planned, allocation.answer = quantity, answer


def _lacks(stock: Stock, node: str, wants: Iterable[tuple[Allocation, Line, int]]) -> list[Lack]:
    asked: dict[str, int] = {}
    own: dict[str, int] = {}
    for allocation, line, quantity in wants:
        sku, needed = allocation.sku, allocation.open_if(quantity)
        asked[sku] = asked.get(sku, 0) + needed
        own[sku] = own.get(sku, 0) + (min(needed, line.reserved) if line.sku == sku else 0)
    lacks = []
    for sku, quantity in asked.items():
        pool, cell = stock.pools.get(sku), stock.cells.get((sku, node))
        free = own[sku] + max(0, pool.available) if pool else 0
        can = min(free, max(0, cell.available)) if cell else 0
        if can < quantity:
            lacks.append(Lack(sku, quantity, can))
    return lacks


def take_back(
    stock: Stock,
    reservation: Reservation,
    shipment: Shipment,
    lines: Iterable[Quantity],
    cause: Cause,
    *,
    how: TakenBack,
) -> Returned:
    """Take lines back from the node: to the order's reservation, or free where the order no longer wants them."""
    returned = Returned([], [])
    for line_id, sku, quantity in lines:
        allocation, line = shipment.line(line_id, sku), reservation.line(line_id, sku)
        before = allocation.open
        if how == "cancelled":
            allocation.cancelled += quantity
        else:
            allocation.rejected += quantity
        back = before - allocation.open
        line.allocated -= back
        reserved = _post(stock, reservation, line, cause, node=shipment.node, sku=allocation.sku, allocated=-back)
        if reserved > 0:
            returned.reserved.append(Quantity(line_id, sku, reserved))
        if back > reserved:
            returned.free.append(Quantity(line_id, sku, back - reserved))
    return returned


def dispatch(
    stock: Stock, reservation: Reservation, shipment: Shipment, lines: Sequence[Quantity], cause: Cause
) -> bool:
    """Book lines that left the node. False when the shipment was booked before.

    The warehouse's word counts even where less was set aside: on hand goes where it goes, and the ledger names it.
    A dispatch that the node's newest snapshot already counted out does not lower on hand again.
    """
    if any(line.consumed for line in shipment.lines.values()):
        return False
    unallocated = cause._replace(reason="dispatched_unallocated")
    for line_id, sku, quantity in lines:
        allocation, line = shipment.line(line_id, sku), reservation.line(line_id, sku)
        snapshot_at = stock.cell(allocation.sku, shipment.node).wms_reported_at
        gone = 0 if snapshot_at is not None and cause.occurred_at <= snapshot_at else 1
        before = allocation.open
        allocation.consumed += quantity
        from_allocated = before - allocation.open
        beyond = quantity - from_allocated
        line.allocated -= from_allocated
        line.consumed += from_allocated
        _post(
            stock,
            reservation,
            line,
            cause,
            node=shipment.node,
            sku=allocation.sku,
            allocated=-from_allocated,
            on_hand=-from_allocated * gone,
        )
        line.consumed += beyond
        _post(stock, reservation, line, unallocated, node=shipment.node, sku=allocation.sku, on_hand=-beyond * gone)
    return True


def _post(
    stock: Stock,
    reservation: Reservation,
    line: Line,
    cause: Cause,
    *,
    node: str,
    sku: str,
    allocated: int = 0,
    on_hand: int = 0,
) -> int:
    """Post what happened at the node together with what it did to the order's reservation; answers the latter."""
    reserved = difference = reservation.derive(line)
    if sku != line.sku:
        # The node ships another SKU than was ordered: each has its own balance to explain.
        stock.post(cause, line.sku, reserved=difference, line_id=line.line_id, shop=reservation.shop)
        difference = 0
    stock.post(
        cause,
        sku,
        node=node,
        on_hand=on_hand,
        allocated=allocated,
        reserved=difference,
        line_id=line.line_id,
        shop=reservation.shop,
    )
    return reserved
