"""Holds the system's answers against the players' own journal: nothing lost, doubled, oversold or left unexplained.

`Findings` are gathered through the gateway; `judge` is a pure function of them and of the journal.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from oms_gateway.routes import SERVICES
from oms_sample.client import Door
from oms_sample.journal import Journal
from oms_sample.progress import UNPAID, is_explained


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order as the orders service lists it."""

    order_id: str
    state: str
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the system says of itself."""

    orders: Sequence[OrderSeen]
    differences: Sequence[str]
    """Where a balance is not the sum of its ledger."""
    oversold: int
    """SKUs or nodes that inventory counts below zero."""
    dead_letters: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Each list names its cases; all empty is a sound run."""

    accepted: int
    lost: list[str] = field(default_factory=list)
    """Accepted by the gateway, unknown to orders."""
    doubled: list[str] = field(default_factory=list)
    """Order lines of which more was shipped than ordered."""
    oversold: list[str] = field(default_factory=list)
    """Stock promised that was not there."""
    unexplained: list[str] = field(default_factory=list)
    """Orders that neither ended nor wait for something that has a name."""
    differences: list[str] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    """Orders of this play by state, and by what they wait for (empty: nothing)."""

    @property
    def sound(self) -> bool:
        return not (
            self.lost or self.doubled or self.oversold or self.unexplained or self.differences or self.dead_letters
        )


async def all_orders(door: Door) -> list[OrderSeen]:
    """Ask the orders service for all of them. Raises Refused and Unavailable."""
    codes: defaultdict[str, set[str]] = defaultdict(set)
    async for hold in door.pages("/v1/holds", state="OPEN"):
        codes[hold["order_id"]].add(hold["code"])
    return [
        OrderSeen(order["order_id"], order["state"], tuple(sorted(codes[order["order_id"]])))
        async for order in door.pages("/v1/orders")
    ]


async def inspect(door: Door, orders: Sequence[OrderSeen]) -> Findings:
    """Ask the system about all but its orders. Raises Refused and Unavailable."""
    books = await door.get("/v1/reconciliation")
    differences = [
        f"{one['kind']} {one['sku']} {one['node'] or ''}: balance {one['balance']}, explained {one['explained']}"
        for one in books["differences"]
    ]
    stock = await door.get("/v1/services/inventory/summary")
    letters = [
        f"{service} {letter['event_type']} {letter['key']}: {letter['reason']}"
        for service in SERVICES
        async for letter in door.pages(f"/v1/services/{service}/dead-letters")
    ]
    return Findings(orders, differences, int(stock["oversold"]), letters)


def judge(journal: Journal, findings: Findings) -> Verdict:
    """What the findings and the journal together say."""
    seen = {order.order_id: order for order in findings.orders}
    ours = [seen[order_id] for order_id in journal.ordered if order_id in seen]

    def name(order_id: str) -> str:
        return f"{journal.order_numbers[order_id]} ({order_id})"

    return Verdict(
        accepted=len(journal.ordered),
        lost=[name(order_id) for order_id in journal.ordered if order_id not in seen],
        doubled=_doubled(journal),
        oversold=_oversold(journal, findings.oversold),
        unexplained=[
            f"{name(order.order_id)}: {order.state}"
            for order in ours
            if not is_explained(order.state, order.holds, unpaid=order.order_id in journal.unpaid)
        ],
        differences=list(findings.differences),
        dead_letters=list(findings.dead_letters),
        states=_states(ours),
    )


def _doubled(journal: Journal) -> list[str]:
    return [
        f"{journal.order_numbers.get(order_id, '?')} ({order_id}) line {line_id}: "
        f"{shipped} shipped, {journal.ordered.get(order_id, {}).get(line_id, 0)} ordered"
        for (order_id, line_id), shipped in journal.shipped.items()
        if shipped > journal.ordered.get(order_id, {}).get(line_id, 0)
    ]


def _oversold(journal: Journal, by_inventory: int) -> list[str]:
    by_shelf = [
        f"{node} {sku}: {-journal.shelf[node, sku]} more shipped than there was"
        for node, sku in sorted(journal.below_zero)
    ]
    return by_shelf + ([f"inventory counts {by_inventory} balances below zero"] if by_inventory else [])


def _states(orders: Sequence[OrderSeen]) -> dict[str, dict[str, int]]:
    states: dict[str, Counter[str]] = {}
    for order in orders:
        reason = ", ".join(order.holds) or (UNPAID if order.state == UNPAID else "")
        states.setdefault(order.state, Counter())[reason] += 1
    return {state: dict(reasons.most_common()) for state, reasons in sorted(states.items())}
