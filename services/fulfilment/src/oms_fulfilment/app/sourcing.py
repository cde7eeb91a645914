"""Sourcing of a batch: demands are routed one after another on one view of stock and capacity, so that each sees
what those before it took.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.contracts.fulfilment import OrderRouted, PlannedShipment, PlanScore, RoutingFailed
from oms_events.envelope import EventMeta
from oms_events.runtime.documents import to_document
from oms_events.runtime.together import Writing
from oms_events.runtime.work import Work
from oms_events.values import derived_id
from oms_fulfilment.adapters import sourcing as store
from oms_fulfilment.app.publishing import quantities
from oms_fulfilment.domain.demand import Demand, Shipment, ShipmentLine
from oms_fulfilment.domain.network import Network, Rules
from oms_fulfilment.domain.routing import Alternative, Case, Decision, Item, Parcel, Router, Score, Units
from oms_fulfilment.domain.waiting import postpone

RULE_SET = "default"
REROUTE = "reroute"
"""Kind of the deadline at which a waiting order is tried again."""

_alternatives = TypeAdapter(tuple[PlanScore, ...])
_NO_COST = Score(0, 0, 0, 0)


NodeSku = tuple[str, str]


@dataclass(slots=True)
class Unprojected:
    """What a batch knows of stock and capacity, and the projections do not show yet."""

    short: Mapping[NodeSku, int]
    """What inventory says it has, where that is less than we believed."""
    given_back: Counter[NodeSku] = field(default_factory=Counter)
    """Units of earlier plans that will not leave."""
    planned: Counter[tuple[str, date]] = field(default_factory=Counter)
    """By how much the shipments of a node and a day change: below zero, for those that will not leave."""


class View:
    """What one batch of decisions is made with. Its stock and capacity shrink as plans take from them."""

    def __init__(
        self,
        network: Network,
        rules: Rules,
        items: Mapping[str, Item],
        capacity: dict[str, int],
        at: datetime,
    ) -> None:
        self.network = network
        self.rules = rules
        self.at = at
        self._items = items
        self._capacity = capacity
        self._router = Router(network, rules, at)
        self._nodes = {node.node: node for node in network.nodes}
        self._today = {node.node: node.today(at) for node in network.nodes}

    @classmethod
    async def load(
        cls, connection: AsyncConnection, skus: Iterable[str], *, at: datetime, rule_set: str = RULE_SET
    ) -> "View":
        """The view as the database has it now. Rows of nodes with a limited capacity are locked.

        Raises LookupError for an unknown rule set.
        """
        network, rules = await store.current(connection, rule_set=rule_set)
        items = await store.items(connection, set(skus))
        limits = {node.node: node.daily_capacity for node in network.nodes if node.daily_capacity is not None}
        days = {node.node: node.today(at) for node in network.nodes if node.node in limits}
        used = await store.capacity_used(connection, days)
        return cls(network, rules, items, {node: limit - used[node] for node, limit in limits.items()}, at)

    def case(self, demand: Demand, lines: tuple[Units, ...]) -> Case:
        """What a decision about these lines depends on."""
        return Case(
            lines=lines,
            country=demand.ship_to.country,
            region=demand.ship_to.region,
            tier=demand.tier,
            ship_by=demand.ship_by,
            at=self.at,
            items={line.sku: self._items[line.sku] for line in lines},
            capacity=self._capacity,
            excluded=tuple((exclusion.node, exclusion.sku) for exclusion in demand.excluded),
        )

    def decide(self, case: Case) -> Decision:
        """The best plan of a case as things stand."""
        return self._router.decide(case)

    def take(self, parcel: Parcel) -> None:
        """Count a parcel's units and its place in the day as used."""
        for line in parcel.lines:
            self._stock_of(line.sku)[parcel.node] -= line.quantity
        if parcel.node in self._capacity:
            self._capacity[parcel.node] -= 1

    def correct(self, unprojected: Unprojected) -> None:
        """Count in what no projection shows yet: what was given back first, so that inventory has the last word."""
        for (node, sku), quantity in unprojected.given_back.items():
            stock = self._stock_of(sku)
            if node in stock:
                stock[node] += quantity
        for (node, sku), quantity in unprojected.short.items():
            stock = self._stock_of(sku)
            if node in stock:
                stock[node] = min(stock[node], quantity)
        for (node, day), count in unprojected.planned.items():
            if node in self._capacity and day == self._today[node]:
                self._capacity[node] -= count

    def _stock_of(self, sku: str) -> dict[str, int]:
        item = self._items.get(sku)
        stock = item.available if item is not None else None
        return stock if isinstance(stock, dict) else {}

    def shipment(self, parcel: Parcel, *, shipment_id: UUID, decision_id: UUID, order_id: UUID) -> Shipment:
        """The parcel as a shipment."""
        return Shipment(
            shipment_id=shipment_id,
            order_id=order_id,
            decision_id=decision_id,
            node=parcel.node,
            origin_country=self._nodes[parcel.node].country,
            planned_on=self._today[parcel.node],
            lines=tuple(ShipmentLine(line.line_id, line.sku, line.quantity) for line in parcel.lines),
            weight_g=parcel.weight_g,
        )


class Sourcing:
    """Decides for one batch and remembers what it decided, until `save`."""

    def __init__(self, work: Work, view: View) -> None:
        self._work = work
        self._view = view
        self._decided: list[store.StoredDecision] = []
        self._moved: Counter[tuple[str, str]] = Counter()
        self._planned: Counter[tuple[str, date]] = Counter()

    @classmethod
    async def open(cls, work: Work, demands: Iterable[Demand], unprojected: Unprojected | None = None) -> "Sourcing":
        """Load what deciding about the open lines of these demands takes."""
        skus = {units.sku for demand in demands for units in demand.unplanned()}
        view = await View.load(work.connection, skus, at=work.now)
        if unprojected is not None:
            view.correct(unprojected)
        return cls(work, view)

    @property
    def max_attempts(self) -> int:
        """Refusals by inventory in a row until an order waits."""
        return self._view.rules.max_attempts

    def route(self, demand: Demand, cause: EventMeta) -> Demand:
        """Plan shipments for what no shipment covers yet, or let the demand wait."""
        lines = demand.unplanned()
        if not lines:
            return demand
        case = self._view.case(demand, lines)
        decision = self._view.decide(case)
        attempt = demand.attempt + 1
        decision_id = derived_id("decision", str(demand.order_id), str(attempt), at=cause.time)
        if not decision.parcels:
            return self._fail(demand, case, decision, decision_id, cause)
        alternatives = self._keep(demand, decision_id, attempt, case, decision)
        shipments = []
        for parcel in decision.parcels:
            shipment_id = derived_id("shipment", str(demand.order_id), str(attempt), parcel.node, at=cause.time)
            shipments.append(self._plan(parcel, shipment_id, decision_id, demand.order_id))
        self._work.emit(
            OrderRouted(
                order_id=demand.order_id,
                decision_id=decision_id,
                attempt=attempt,
                rule_set=self._rule_set,
                currency=self._view.rules.currency,
                shipments=_planned_shipments(shipments),
                alternatives=alternatives,
            ),
            cause=cause,
            sequence=attempt,
        )
        routed = demand._replace(attempt=attempt, failure="", told="", lacking=())
        return routed.with_shipments(*shipments)

    def wait(self, demand: Demand, reason: str, decision_id: UUID, cause: EventMeta) -> Demand:
        """Let a demand wait though a plan might exist: inventory has refused too many in a row."""
        lines = demand.unplanned()
        wait = postpone(demand, reason, tuple({units.sku for units in lines}))
        if wait.tell:
            self._tell(wait.demand, decision_id, lines, cause)
        self._work.schedule(REROUTE, str(demand.order_id), self._work.now + wait.lasts)
        return wait.demand

    async def save(self, writing: Writing) -> None:
        """Store the decisions, and take what they planned off the projection."""
        view = self._view
        await store.add_decisions(writing, self._decided, network=view.network, rules=view.rules, now=self._work.now)
        await store.use_capacity(writing, self._planned)
        await store.move_stock(writing, self._moved)

    @property
    def _rule_set(self) -> str:
        return f"{self._view.rules.name}/{self._view.rules.version}"

    def _plan(self, parcel: Parcel, shipment_id: UUID, decision_id: UUID, order_id: UUID) -> Shipment:
        shipment = self._view.shipment(parcel, shipment_id=shipment_id, decision_id=decision_id, order_id=order_id)
        self._view.take(parcel)
        for line in parcel.lines:
            self._moved[parcel.node, line.sku] -= line.quantity
        self._planned[parcel.node, shipment.planned_on] += 1
        return shipment

    def _fail(self, demand: Demand, case: Case, decision: Decision, decision_id: UUID, cause: EventMeta) -> Demand:
        wait = postpone(demand, decision.reason, decision.lacking)
        demand = wait.demand
        if wait.tell:
            # Only what is told is a decision to keep: an order that waits for weeks must not fill the table.
            demand = demand._replace(attempt=demand.attempt + 1)
            self._keep(demand, decision_id, demand.attempt, case, decision)
            lacking = set(decision.lacking)
            self._tell(demand, decision_id, tuple(line for line in case.lines if line.sku in lacking), cause)
        self._work.schedule(REROUTE, str(demand.order_id), self._work.now + wait.lasts)
        return demand

    def _tell(self, demand: Demand, decision_id: UUID, lines: tuple[Units, ...], cause: EventMeta) -> None:
        self._work.emit(
            RoutingFailed(
                order_id=demand.order_id,
                decision_id=decision_id,
                attempt=demand.attempt,
                rule_set=self._rule_set,
                reason=demand.failure,
                lines=quantities(lines),
            ),
            cause=cause,
            sequence=demand.attempt,
        )

    def _keep(
        self, demand: Demand, decision_id: UUID, attempt: int, case: Case, decision: Decision
    ) -> tuple[PlanScore, ...]:
        """Remember a decision with its inputs as they are now, before its plan takes from them; answers its scores."""
        alternatives = scores(decision.alternatives)
        self._decided.append(
            store.StoredDecision(
                decision_id,
                demand.order_id,
                attempt,
                decision.reason,
                inputs=to_document(case),
                alternatives=to_document(alternatives),
                chosen=to_document(decision.parcels),
            )
        )
        return alternatives


def scores(alternatives: Iterable[Alternative]) -> tuple[PlanScore, ...]:
    """Alternatives in the words of the contract; what could not be shipped at all costs nothing."""
    # As plain members: all are validated at once, at a fraction of what one by one costs.
    return _alternatives.validate_python([_score(alternative) for alternative in alternatives])


def _score(alternative: Alternative) -> dict[str, object]:
    score = alternative.score or _NO_COST
    return {
        "nodes": alternative.nodes,
        "total_minor": score.total_minor,
        **score._asdict(),
        "chosen": alternative.chosen,
        "reason": alternative.reason,
    }


def _planned_shipments(shipments: Iterable[Shipment]) -> tuple[PlannedShipment, ...]:
    return tuple(
        PlannedShipment(shipment_id=shipment.shipment_id, node=shipment.node, lines=quantities(shipment.remaining()))
        for shipment in shipments
    )
