"""What a warehouse's report does to its shipment, and what to make of reports that contradict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from oms_fulfilment.domain.demand import Shipment, take
from oms_fulfilment.domain.facts import Accepted, Dispatched, Fact, Rejected
from oms_fulfilment.domain.routing import Units

Outcome = Literal["applied", "refused", "unmatched"]


@dataclass(frozen=True, slots=True)
class Report:
    """A warehouse's word. `lines` is None where the report names none."""

    node: str
    report_no: str
    kind: Literal["accepted", "rejected", "short", "shipped"]
    lines: Mapping[str, int] | None
    weight_g: int
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """The shipment after the report, what to tell of it, and what became of the report itself."""

    shipment: Shipment
    facts: tuple[Fact, ...]
    outcome: Outcome
    reason: str = ""


def judge(shipment: Shipment, report: Report) -> Judgement:  # noqa: PLR0911 - one branch for each kind
    """Apply a report. One for a shipment that is not released yet is kept until it is."""
    if report.node != shipment.node:
        return Judgement(shipment, (), "refused", f"the shipment belongs to {shipment.node}")
    if not shipment.at_warehouse:
        return Judgement(shipment, (), "unmatched", f"the shipment is only {shipment.state}")
    if shipment.state not in {"released", "accepted"}:
        return _too_late(shipment, report)
    match report.kind:
        case "accepted":
            return _accepted(shipment)
        case "rejected":
            return _rejected(shipment, shipment.remaining(), report.reason or "rejected by the warehouse")
        case "short":
            return _short(shipment, report)
        case "shipped":
            return _shipped(shipment, report)


def _too_late(shipment: Shipment, report: Report) -> Judgement:
    """The shipment has ended. News that changes nothing is fine, other news a person must see: above all goods said
    to have left of a shipment that was cancelled."""
    if report.kind in {"accepted", shipment.state}:
        return Judgement(shipment, (), "applied", f"changes nothing: the shipment is {shipment.state}")
    return Judgement(shipment, (), "refused", f"contradicts: the shipment is {shipment.state}")


def _accepted(shipment: Shipment) -> Judgement:
    if shipment.state == "accepted":
        return Judgement(shipment, (), "applied", "changes nothing: the shipment is accepted")
    shipment = shipment.changed(state="accepted")
    return Judgement(shipment, (Accepted(shipment),), "applied")


def _rejected(shipment: Shipment, lines: tuple[Units, ...], reason: str) -> Judgement:
    """Lines go back to be routed elsewhere. Without anything shipped or left, the shipment has ended."""
    shipment = shipment.changed(lines=take(shipment.lines, _quantities(lines), "rejected"))
    closed = shipment.is_empty and shipment.state != "dispatched"
    if closed:
        shipment = _ended(shipment, reason)
    return Judgement(shipment, (Rejected(shipment, lines, reason, closed),), "applied")


def _ended(shipment: Shipment, reason: str) -> Shipment:
    return shipment.changed(state="rejected", note=reason[:500])


def _short(shipment: Shipment, report: Report) -> Judgement:
    missing, note = _missing(shipment, report)
    if not missing:
        return Judgement(shipment, (), "applied", note or "changes nothing: everything can be had")
    judged = _rejected(shipment, missing, report.reason or "short at the warehouse")
    return Judgement(judged.shipment, judged.facts, "applied", note)


def _shipped(shipment: Shipment, report: Report) -> Judgement:
    missing, note = _missing(shipment, report)
    short = _quantities(missing)
    gone = tuple(
        Units(units.line_id, units.sku, quantity)
        for units in shipment.remaining()
        if (quantity := units.quantity - short.get(units.line_id, 0)) > 0
    )
    if not gone:
        judged = _rejected(shipment, missing, report.reason or "nothing was shipped")
        return Judgement(judged.shipment, judged.facts, "applied", note)
    lines = take(shipment.lines, _quantities(gone), "shipped")
    weight_g = report.weight_g or shipment.weight_g
    shipment = shipment.changed(state="dispatched", lines=lines, weight_g=weight_g)
    facts: tuple[Fact, ...] = (Dispatched(shipment, gone, weight_g, report.occurred_at),)
    if missing:
        judged = _rejected(shipment, missing, report.reason or "left behind when the rest was shipped")
        shipment, facts = judged.shipment, facts + judged.facts
    return Judgement(shipment, facts, "applied", note)


def _missing(shipment: Shipment, report: Report) -> tuple[tuple[Units, ...], str]:
    """What is left of the shipment but not in the report's lines, and what the report names beyond what is left."""
    if report.lines is None:
        return (shipment.remaining() if report.kind == "short" else ()), ""
    had = report.lines
    missing = tuple(
        Units(units.line_id, units.sku, gap)
        for units in shipment.remaining()
        if (gap := units.quantity - had.get(units.line_id, 0)) > 0
    )
    left = {units.line_id: units.quantity for units in shipment.remaining()}
    beyond = [
        f"{line_id} by {had[line_id] - left.get(line_id, 0)}" for line_id in had if had[line_id] > left.get(line_id, 0)
    ]
    return missing, ("more than was left to ship: " + ", ".join(beyond))[:500] if beyond else ""


def _quantities(lines: tuple[Units, ...]) -> dict[str, int]:
    return {units.line_id: units.quantity for units in lines}
