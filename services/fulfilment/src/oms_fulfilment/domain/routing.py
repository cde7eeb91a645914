"""Sourcing: which nodes ship an order, for how much, and why not the others.

Hard filters, then all single nodes that can ship everything, else the smallest sets of nodes that can together,
then a score in money. Fewest shipments win, then the lowest cost, then the node codes. The same case, network and
rules always give the same decision.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations, islice
from typing import NamedTuple

from oms_fulfilment.domain.network import Network, Node, Rules, Zone

MAX_COMBINATIONS = 2000
MAX_SCORED_UNITS = 100_000
"""Sets of nodes times SKUs that are scored for one order: keeps the largest orders within a fifth of a second."""
MAX_ALTERNATIVES = 10
MAX_REASON = 500
MAX_PARCEL_G = 100_000_000
"""No parcel is told to be heavier: the bound of every weight in the contracts."""
_MAX_LATE_DAYS = 30
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Units:
    """So many of a SKU, for one line of an order."""

    line_id: str
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Item:
    """What routing has to know of a SKU: its weight, what it needs permission for, and where it lies."""

    weight_g: int
    flags: tuple[str, ...]
    available: Mapping[str, int] | None
    """By node; None when nobody has told us yet."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a decision depends on besides network and rules. Stored with it, so that it can be made again."""

    lines: tuple[Units, ...]
    country: str
    region: str
    tier: str
    ship_by: datetime | None
    at: datetime
    items: Mapping[str, Item]
    capacity: Mapping[str, int]
    """Shipments that nodes with a limit can still take today."""
    excluded: tuple[tuple[str, str], ...] = ()
    """Pairs of node and SKU that are not to be tried."""


class Score(NamedTuple):
    """Cost of a plan, in minor units of the rule set's currency."""

    freight_minor: int
    handling_minor: int
    split_minor: int
    lateness_minor: int

    @property
    def total_minor(self) -> int:
        return sum(self)


class Alternative(NamedTuple):
    """A plan that was weighed, or a node that could not be; `score` is None where nothing could be shipped."""

    nodes: tuple[str, ...]
    score: Score | None
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one node ships."""

    node: str
    lines: tuple[Units, ...]
    weight_g: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen plan, or why there is none. `lacking` are the SKUs that stand in the way."""

    parcels: tuple[Parcel, ...]
    alternatives: tuple[Alternative, ...]
    reason: str = ""
    lacking: tuple[str, ...] = ()


class _Lane(NamedTuple):
    """A node as seen from one destination: how a parcel gets there, or what forbids it."""

    node: Node
    zone: Zone | None
    guarded: bool
    """Whether capacity or flags may forbid the node an order."""
    leaves_at: datetime
    waits_days: int
    """Days of the node's calendar until it leaves."""
    refusal: str


class _Load(NamedTuple):
    """What a parcel of a plan holds."""

    weight_g: int
    units: int


class _Plan(NamedTuple):
    nodes: tuple[str, ...]
    shares: tuple[Mapping[str, int], ...]
    """By node of `nodes`: quantity of each SKU."""
    score: Score
    total_minor: int


class Router:
    """Decides cases at one moment, with one network and one version of the rules."""

    def __init__(self, network: Network, rules: Rules, at: datetime) -> None:
        self._rules = rules
        self._departures = [(node, node.today(at), node.leaves_at(at)) for node in network.nodes]
        self._lanes: dict[tuple[str, str], tuple[_Lane, ...]] = {}

    def decide(self, case: Case) -> Decision:
        """The best plan for all lines of the case."""
        needs = _needs(case.lines)
        excluded = frozenset(case.excluded)
        able: list[_Lane] = []
        partial: list[_Lane] = []
        unable: list[Alternative] = []
        for lane in self._lanes_to(case.country, case.region):
            reason = lane.refusal or (_unfit(lane.node, needs, case) if lane.guarded else "")
            short = None if reason else _first_short(lane.node.node, needs, case.items, excluded)
            if not reason and short is None:
                able.append(lane)
                continue
            if not reason:
                partial.append(lane)
                reason = f"not enough of {short}"
            unable.append(Alternative((lane.node.node,), None, chosen=False, reason=reason))
        if able:
            load = _load(needs, case.items)
            plans = [self._plan((lane,), (needs,), (load,), case) for lane in able]
        else:
            plans = self._splits(partial, needs, case, excluded)
        if not plans:
            return self._failure(partial, unable, needs, case, excluded)
        plans.sort(key=lambda plan: (plan.total_minor, plan.nodes))
        return Decision(_parcels(plans[0], case), _alternatives(plans, unable))

    def _lanes_to(self, country: str, region: str) -> tuple[_Lane, ...]:
        lanes = self._lanes.get((country, region))
        if lanes is None:
            lanes = tuple(self._lane(*departure, country, region) for departure in self._departures)
            self._lanes[country, region] = lanes
        return lanes

    def _lane(self, node: Node, today: date, leaves_at: datetime, country: str, region: str) -> _Lane:
        zone = self._rules.zone(node, country, region)
        refusal = ""
        if not node.active:
            refusal = "not active"
        elif node.ships_to is not None and country not in node.ships_to:
            refusal = f"does not ship to {country}"
        elif zone is None:
            refusal = f"no freight zone covers {country}"
        guarded = node.daily_capacity is not None or bool(node.refuses)
        return _Lane(node, zone, guarded, leaves_at, (leaves_at.date() - today).days, refusal)

    def _splits(
        self, lanes: Sequence[_Lane], needs: Mapping[str, int], case: Case, excluded: frozenset[tuple[str, str]]
    ) -> list[_Plan]:
        """All plans of the smallest size that can ship everything, within the bounds."""
        stock = {lane.node.node: _stock_at(lane.node.node, needs, case.items, excluded) for lane in lanes}
        # Nodes that hold most come first, so that the bound cuts off the least promising sets.
        ranked = sorted(lanes, key=lambda lane: (-sum(stock[lane.node.node].values()), lane.node.node))
        scarce = _scarce(needs, list(stock.values()))
        if not _covers(list(stock.values()), scarce):
            return []
        to_look_at, to_score = MAX_COMBINATIONS, max(10, MAX_SCORED_UNITS // len(needs))
        for size in range(2, min(self._rules.max_splits, len(ranked)) + 1):
            sets = islice(combinations(ranked, size), to_look_at)
            plans = []
            for looked_at in sets:
                to_look_at -= 1
                if _covers([stock[lane.node.node] for lane in looked_at], scarce):
                    plans.append(self._share_out(looked_at, needs, stock, case))
                if len(plans) == to_score:
                    break
            if plans or to_look_at == 0:
                return plans
        return []

    def _share_out(
        self, lanes: Sequence[_Lane], needs: Mapping[str, int], stock: Mapping[str, Mapping[str, int]], case: Case
    ) -> _Plan:
        """Each SKU from the lane that carries a kilogram for least, then from the next."""
        cheapest = sorted(lanes, key=lambda lane: (_per_kg(lane), lane.node.handling_unit_minor, lane.node.node))
        shares: dict[str, dict[str, int]] = {lane.node.node: {} for lane in lanes}
        for sku, needed in needs.items():
            left = needed
            for lane in cheapest:
                taken = min(left, stock[lane.node.node].get(sku, 0))
                if taken:
                    shares[lane.node.node][sku] = taken
                    left -= taken
                if not left:
                    break
        used = sorted((lane for lane in lanes if shares[lane.node.node]), key=lambda lane: lane.node.node)
        by_lane = tuple(shares[lane.node.node] for lane in used)
        return self._plan(tuple(used), by_lane, tuple(_load(share, case.items) for share in by_lane), case)

    def _plan(
        self, lanes: tuple[_Lane, ...], shares: tuple[Mapping[str, int], ...], loads: tuple[_Load, ...], case: Case
    ) -> _Plan:
        freight = handling = late_days = 0
        for lane, load in zip(lanes, loads, strict=True):
            node, zone = lane.node, lane.zone
            assert zone is not None
            freight += zone.freight_minor(load.weight_g)
            handling += node.handling_parcel_minor + node.handling_unit_minor * load.units
            late_days = max(late_days, self._late_days(lane, zone.days, case))
        score = Score(
            freight,
            handling,
            self._rules.split_penalty_minor * (len(lanes) - 1),
            self._rules.lateness_minor_per_day * late_days,
        )
        return _Plan(tuple([lane.node.node for lane in lanes]), shares, score, score.total_minor)

    def _late_days(self, lane: _Lane, transit_days: int, case: Case) -> int:
        """Days by which the parcel misses its tier or leaves after `ship_by`, whichever is worse.

        Bounded: an order replayed years later is not infinitely late.
        """
        late = lane.waits_days + transit_days - self._rules.tier_days.get(case.tier, transit_days)
        if case.ship_by is not None:
            late = max(late, -((case.ship_by - lane.leaves_at) // _DAY))
        return min(max(late, 0), _MAX_LATE_DAYS)

    def _failure(
        self,
        lanes: Sequence[_Lane],
        unable: Sequence[Alternative],
        needs: Mapping[str, int],
        case: Case,
        excluded: frozenset[tuple[str, str]],
    ) -> Decision:
        stock = [_stock_at(lane.node.node, needs, case.items, excluded) for lane in lanes]
        have = {sku: sum(at_node.get(sku, 0) for at_node in stock) for sku in needs}
        lacking = tuple(sku for sku, needed in needs.items() if have[sku] < needed)
        if not lanes:
            reason = "no node may ship this: " + "; ".join(f"{a.nodes[0]} {a.reason}" for a in unable)
        elif lacking:
            reason = "; ".join(_shortage(sku, needs[sku], have[sku], case.items[sku]) for sku in lacking)
        else:
            reason = f"would need more than {self._rules.max_splits} shipments"
        return Decision((), tuple(unable[:MAX_ALTERNATIVES]), reason[:MAX_REASON], lacking or tuple(needs))


def _needs(lines: Sequence[Units]) -> dict[str, int]:
    needs: dict[str, int] = {}
    for line in lines:
        needs[line.sku] = needs.get(line.sku, 0) + line.quantity
    return needs


def _load(share: Mapping[str, int], items: Mapping[str, Item]) -> _Load:
    weight_g = sum([items[sku].weight_g * quantity for sku, quantity in share.items()])
    return _Load(min(weight_g, MAX_PARCEL_G), sum(share.values()))


def _unfit(node: Node, needs: Mapping[str, int], case: Case) -> str:
    """What forbids the node this order today, besides stock."""
    if node.daily_capacity is not None and case.capacity.get(node.node, 0) <= 0:
        return "no capacity left today"
    if node.refuses:
        for sku in needs:
            for flag in case.items[sku].flags:
                if flag in node.refuses:
                    return f"may not ship {flag} {sku}"
    return ""


def _first_short(
    node: str, needs: Mapping[str, int], items: Mapping[str, Item], excluded: frozenset[tuple[str, str]]
) -> str | None:
    for sku, needed in needs.items():
        available = items[sku].available
        if available is None or available.get(node, 0) < needed or (excluded and (node, sku) in excluded):
            return sku
    return None


def _stock_at(
    node: str, needs: Mapping[str, int], items: Mapping[str, Item], excluded: frozenset[tuple[str, str]]
) -> dict[str, int]:
    """What the node could give of each SKU, no more than is needed."""
    return {
        sku: min(needed, at_node)
        for sku, needed in needs.items()
        if (node, sku) not in excluded and (at_node := (items[sku].available or {}).get(node, 0)) > 0
    }


def _scarce(needs: Mapping[str, int], stocks: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The needs that not every node can meet, the rarest first: they tell fastest that a set of nodes falls short."""
    holders = {sku: sum(stock.get(sku, 0) == needed for stock in stocks) for sku, needed in needs.items()}
    return {sku: needs[sku] for sku in sorted(needs, key=lambda sku: (holders[sku], sku)) if holders[sku] < len(stocks)}


def _covers(stocks: Sequence[Mapping[str, int]], needs: Mapping[str, int]) -> bool:
    return all(sum(stock.get(sku, 0) for stock in stocks) >= needed for sku, needed in needs.items())


def _per_kg(lane: _Lane) -> int:
    assert lane.zone is not None
    return lane.zone.per_kg_minor


def _shortage(sku: str, needed: int, have: int, item: Item) -> str:
    if item.available is None:
        return f"stock of {sku} is not known yet"
    return f"{needed} of {sku} wanted, {have} in reach"


def _parcels(plan: _Plan, case: Case) -> tuple[Parcel, ...]:
    """The plan line by line: lines of one SKU are served in their order, node by node."""
    if len(plan.nodes) == 1:
        return (Parcel(plan.nodes[0], case.lines, _load(plan.shares[0], case.items).weight_g),)
    left = {line.line_id: line.quantity for line in case.lines}
    parcels = []
    for node, share in zip(plan.nodes, plan.shares, strict=True):
        open_share = dict(share)
        units = []
        for line in case.lines:
            taken = min(left[line.line_id], open_share.get(line.sku, 0))
            if taken:
                units.append(Units(line.line_id, line.sku, taken))
                left[line.line_id] -= taken
                open_share[line.sku] -= taken
        parcels.append(Parcel(node, tuple(units), _load(share, case.items).weight_g))
    return tuple(parcels)


def _alternatives(plans: Sequence[_Plan], unable: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """The chosen plan, the next best, then what could not be had."""
    return tuple(islice(_explained(plans, unable), MAX_ALTERNATIVES))


def _explained(plans: Sequence[_Plan], unable: Sequence[Alternative]) -> Iterator[Alternative]:
    best = plans[0]
    yield Alternative(best.nodes, best.score, chosen=True, reason="")
    for plan in plans[1:]:
        dearer = plan.total_minor - best.total_minor
        reason = f"dearer by {dearer}" if dearer else "costs the same, later in the order of node codes"
        yield Alternative(plan.nodes, plan.score, chosen=False, reason=reason)
    yield from unable
