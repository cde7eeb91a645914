"""Demands as loaded and as they are after a batch: what the handlers share."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from oms_events.envelope import EventMeta
from oms_events.runtime.together import together
from oms_events.runtime.work import Work
from oms_fulfilment.adapters import demands as store
from oms_fulfilment.adapters import sourcing as projections
from oms_fulfilment.app.publishing import publish
from oms_fulfilment.app.sourcing import REROUTE, NodeSku, Sourcing, Unprojected
from oms_fulfilment.domain.demand import Demand, Shipment, closed_unshipped, given_back
from oms_fulfilment.domain.facts import Fact


class UnknownShipment(LookupError):
    """An event names a shipment that was never planned here."""


class UnknownOrder(LookupError):
    """An event names an order that was never released to us."""


class Changes:
    """The demands of one batch. Events are folded over them one by one, then everything is saved at once."""

    def __init__(self, work: Work, demands: dict[UUID, Demand]) -> None:
        self._work = work
        self._before = demands
        self._after = dict(demands)
        self._to_route: dict[UUID, EventMeta] = {}
        self._refused: dict[UUID, UUID] = {}

    @classmethod
    async def of_orders(cls, work: Work, order_ids: Iterable[UUID]) -> "Changes":
        """Load and lock the demands of orders."""
        return cls(work, await store.load(work.connection, order_ids))

    @classmethod
    async def of_shipments(cls, work: Work, shipment_ids: Iterable[UUID]) -> "Changes":
        """Load and lock the demands that shipments belong to."""
        return cls(work, await store.load_of_shipments(work.connection, shipment_ids))

    def demand(self, order_id: UUID) -> Demand:
        """The demand as it is by now. Raises UnknownOrder."""
        try:
            return self._after[order_id]
        except KeyError:
            raise UnknownOrder(f"order {order_id} was never released to fulfilment") from None

    def shipment(self, order_id: UUID, shipment_id: UUID) -> Shipment:
        """The shipment as it is by now. Raises UnknownOrder or UnknownShipment."""
        try:
            return self.demand(order_id).shipments[shipment_id]
        except KeyError:
            raise UnknownShipment(f"shipment {shipment_id} was never planned for order {order_id}") from None

    def by_shipment(self) -> dict[UUID, UUID]:
        """The order of every shipment that is loaded."""
        return {shipment_id: demand.order_id for demand in self._after.values() for shipment_id in demand.shipments}

    def put(self, demand: Demand) -> None:
        """Replace a demand."""
        self._after[demand.order_id] = demand

    def put_shipment(self, shipment: Shipment, facts: Iterable[Fact], cause: EventMeta) -> None:
        """Replace a shipment and publish what happened to it."""
        demand = self._after[shipment.order_id]
        if demand.shipments[shipment.shipment_id] is not shipment:
            self._after[shipment.order_id] = demand.with_shipments(shipment)
        publish(self._work, demand, facts, cause)

    def route_later(self, order_id: UUID, cause: EventMeta, *, refused: UUID | None = None) -> None:
        """Have what is open of the order planned when all events of the batch are folded.

        `refused` is the decision that inventory could not follow, if that is why.
        """
        self._to_route[order_id] = cause
        if refused is not None:
            self._refused[order_id] = refused

    async def save(self, *, short: Mapping[NodeSku, int] | None = None) -> None:
        """Route what wants it, then store everything that differs.

        `short` is what inventory says it has, where that is less than we believed.
        """
        unprojected = self._unprojected(short or {})
        sourcing = await self._route(unprojected)
        for order_id, demand in self._after.items():
            if self._before[order_id].state == "waiting" != demand.state:
                self._work.unschedule(REROUTE, str(order_id))
        connection = self._work.connection
        async with together(connection) as writing:
            await store.save(connection, writing, self._before, self._after, now=self._work.now)
            await projections.use_capacity(writing, unprojected.planned)
            await projections.move_stock(writing, unprojected.given_back)
        # In the order in which the plans were made: on what inventory has, after the units have been given back.
        await projections.lower_stock(connection, unprojected.short)
        if sourcing is not None:
            async with together(connection) as writing:
                await sourcing.save(writing)

    def _unprojected(self, short: Mapping[NodeSku, int]) -> Unprojected:
        found = Unprojected(short)
        for order_id, demand in self._after.items():
            before = self._before[order_id]
            if demand is not before:
                found.given_back += given_back(before, demand)
                found.planned.subtract((one.node, one.planned_on) for one in closed_unshipped(before, demand))
        return found

    async def _route(self, unprojected: Unprojected) -> Sourcing | None:
        waiting = {order_id: cause for order_id, cause in self._to_route.items() if self._after[order_id].unplanned()}
        if not waiting:
            return None
        sourcing = await Sourcing.open(self._work, [self._after[order_id] for order_id in waiting], unprojected)
        for order_id, cause in waiting.items():
            demand, refused = self._after[order_id], self._refused.get(order_id)
            if refused is not None and demand.failures >= sourcing.max_attempts:
                self.put(sourcing.wait(demand, f"inventory refused {demand.failures} plans in a row", refused, cause))
            else:
                self.put(sourcing.route(demand, cause))
        return sourcing
