"""Whatever happens to an order, its quantities add up."""

from datetime import date
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_fulfilment.domain.demand import Demand, DemandLine, Shipment, ShipmentLine, ShipToPlace, given_back
from oms_fulfilment.domain.facts import Answered, Stopped
from oms_fulfilment.domain.routing import Units
from oms_fulfilment.domain.shipping import STOPPABLE, cancel
from oms_fulfilment.domain.waiting import postpone

STATES = st.sampled_from([*STOPPABLE, "accepted"])


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """Orders of two lines with some of each in up to three shipments."""
    shipments: dict[UUID, Shipment] = {}
    ordered = {"1": 0, "2": 0}
    for no in range(draw(st.integers(0, 3))):
        quantities = {line_id: draw(st.integers(0, 4)) for line_id in ordered}
        lines = tuple(ShipmentLine(i, f"S{i}", n) for i, n in quantities.items() if n)
        if lines:
            shipment_id = UUID(int=no + 1)
            shipments[shipment_id] = Shipment(
                shipment_id, UUID(int=9), UUID(int=8), "N", "GB", date(2026, 3, 2), lines, 1, state=draw(STATES)
            )
            for line in lines:
                ordered[line.line_id] += line.quantity
    wanted = tuple(DemandLine(i, f"S{i}", n + draw(st.integers(0, 3)) + (n == 0)) for i, n in ordered.items())
    return Demand(UUID(int=9), "c", "s", ShipToPlace("GB"), "standard", None, wanted, shipments)


@given(demands(), st.lists(st.tuples(st.sampled_from(["1", "2", "x"]), st.integers(1, 6)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_every_unit_asked_for_is_stopped_or_refused(demand, wanted):
    asked = [Units(line_id, f"S{line_id}", quantity) for line_id, quantity in wanted]
    after, facts = cancel(demand, UUID(int=7), asked)
    (answered,) = [fact for fact in facts if isinstance(fact, Answered)]

    def total(units: tuple[Units, ...], line_id: str) -> int:
        return sum(u.quantity for u in units if u.line_id == line_id)

    for line_id in ("1", "2", "x"):
        assert total(answered.stopped, line_id) + total(answered.refused, line_id) == sum(
            quantity for name, quantity in wanted if name == line_id
        )
    for before, line in zip(demand.lines, after.lines, strict=True):
        assert line.cancelled - before.cancelled == total(answered.stopped, line.line_id)
        kept = sum(u.kept for s in after.shipments.values() for u in s.lines if u.line_id == line.line_id)
        assert 0 <= kept <= line.ordered - line.cancelled
    told = sum(u.quantity for fact in facts if isinstance(fact, Stopped) for u in fact.lines)
    untold = sum(u.quantity for s in after.shipments.values() for note in s.untold for u in note.lines)
    assert told + untold == sum(given_back(demand, after).values())
    for shipment_id, shipment in after.shipments.items():
        assert shipment.state in {demand.shipments[shipment_id].state, "cancelled"}
        assert (shipment.state == "cancelled") == shipment.is_empty
    assert (after.state == "waiting") == bool(after.unplanned())


def test_a_new_reason_is_told_once_and_the_first_failure_never():
    demand = Demand(UUID(int=9), "c", "s", ShipToPlace("GB"), "standard", None, (DemandLine("1", "A", 1),), {})
    told = []
    for reason in ("no A", "no A", "no A", "less A", "less A"):
        wait = postpone(demand, reason, ("A",))
        demand = wait.demand
        told.append(wait.tell)
    assert told == [False, True, False, True, False]
