"""The life of a shipment up to its release: inventory's answer, the carrier's, a cancellation."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from oms_fulfilment.domain.demand import Demand, DemandLine, Shipment, Untold, take
from oms_fulfilment.domain.facts import Answered, Change, Fact, Released, Requested, Stopped
from oms_fulfilment.domain.routing import Units

STOPPABLE = ("planned", "allocated", "released")
"""States in which a shipment can still be cut, the earliest first. From `accepted` on it is in the packers' hands."""


def allocate(shipment: Shipment) -> Change:
    """Stock is set aside: what was cancelled meanwhile is given back, the rest wants a carrier."""
    facts: list[Fact] = []
    if shipment.state not in {"planned", "cancelled"}:
        return shipment, ()
    if shipment.untold:
        told = shipment.untold
        shipment = shipment.changed(untold=())
        facts = [Stopped(shipment, cancelled.cancellation_id, cancelled.lines) for cancelled in told]
    if shipment.state == "planned":
        shipment = shipment.changed(state="allocated")
        facts.append(Requested(shipment))
    return shipment, tuple(facts)


def refuse_allocation(shipment: Shipment) -> Shipment:
    """Inventory cannot give the shipment: nothing was set aside, so nobody needs to be told."""
    if shipment.state == "cancelled" and shipment.untold:
        return shipment.changed(untold=())
    if shipment.state != "planned":
        return shipment
    left = {line.line_id: line.left for line in shipment.lines}
    lines = take(shipment.lines, left, "rejected")
    return shipment.changed(state="rejected", lines=lines, untold=(), note="inventory could not allocate it")


def release(shipment: Shipment, *, carrier: str, service: str, waybill_no: str) -> Change:
    """A carrier takes it: the warehouse may pick. Only the first waybill counts."""
    if shipment.state != "allocated":
        return shipment, ()
    shipment = shipment.changed(state="released", carrier=carrier, service=service, waybill_no=waybill_no, note="")
    return shipment, (Released(shipment),)


def refuse_carriage(shipment: Shipment, reason: str) -> Shipment:
    """No carrier takes it: it stays allocated, and goes on when one does."""
    note = f"no carrier: {reason}"[:500]
    return shipment.changed(note=note) if shipment.state == "allocated" and shipment.note != note else shipment


def cancel(demand: Demand, cancellation_id: UUID, wanted: Sequence[Units]) -> tuple[Demand, tuple[Fact, ...]]:
    """Stop as much as still can be: first what is in no shipment, then shipments the warehouse has not accepted.

    Every requested unit ends up either stopped or refused.
    """
    open_ = _totals(wanted)
    unplanned = {units.line_id: units.quantity for units in demand.unplanned()}
    left = {line_id: quantity - min(quantity, unplanned.get(line_id, 0)) for line_id, quantity in open_.items()}
    facts: list[Fact] = []
    shipments = []
    candidates = [shipment for shipment in demand.shipments.values() if shipment.state in STOPPABLE]
    for shipment in sorted(candidates, key=lambda s: (STOPPABLE.index(s.state), s.shipment_id)):
        cut = _cut(shipment, left)
        if cut:
            shipments.append(_stop(shipment, cancellation_id, cut, facts))
            for units in cut:
                left[units.line_id] -= units.quantity
    stopped = {line_id: quantity - left[line_id] for line_id, quantity in open_.items()}
    skus = {units.line_id: units.sku for units in wanted} | {line.line_id: line.sku for line in demand.lines}
    facts.append(Answered(cancellation_id, _units(stopped, skus), _units(left, skus)))
    lines = tuple(_cancelled(line, stopped.get(line.line_id, 0)) for line in demand.lines)
    return demand._replace(lines=lines).with_shipments(*shipments), tuple(facts)


def _totals(wanted: Sequence[Units]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for units in wanted:
        totals[units.line_id] = totals.get(units.line_id, 0) + units.quantity
    return totals


def _cut(shipment: Shipment, left: dict[str, int]) -> tuple[Units, ...]:
    return tuple(
        Units(line.line_id, line.sku, cut)
        for line in shipment.lines
        if (cut := min(line.left, left.get(line.line_id, 0))) > 0
    )


def _stop(shipment: Shipment, cancellation_id: UUID, cut: tuple[Units, ...], facts: list[Fact]) -> Shipment:
    lines = take(shipment.lines, {units.line_id: units.quantity for units in cut}, "cancelled")
    asked_inventory = shipment.state == "planned"
    shipment = shipment.changed(lines=lines)
    if shipment.is_empty:
        shipment = shipment._replace(state="cancelled")
    if asked_inventory:
        # Inventory has not answered: what it has not set aside it cannot give back. Told when it allocates.
        return shipment._replace(untold=(*shipment.untold, Untold(cancellation_id, cut)))
    facts.append(Stopped(shipment, cancellation_id, cut))
    return shipment


def _cancelled(line: DemandLine, quantity: int) -> DemandLine:
    return replace(line, cancelled=line.cancelled + quantity) if quantity else line


def _units(quantities: dict[str, int], skus: dict[str, str]) -> tuple[Units, ...]:
    return tuple(Units(line_id, skus[line_id], quantity) for line_id, quantity in quantities.items() if quantity)
