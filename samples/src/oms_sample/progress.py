"""Where all orders stand, as the orders service sums it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from oms_sample.client import Door

ENDED = frozenset({"completed", "cancelled"})
UNPAID = "awaiting_payment"


@dataclass(frozen=True, slots=True)
class Standing:
    """Orders by state, and how many of each state have an open hold of each code."""

    orders: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lines_shipped: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        counts = summary["states"]
        return cls(
            {count["state"]: count["orders"] for count in counts},
            {count["state"]: count["holds"] for count in counts},
            summary["lines_shipped"],
        )

    @property
    def known(self) -> int:
        return sum(self.orders.values())

    def moving(self, unpaid: int) -> int:
        """Orders that neither ended nor wait for something that has a name; `unpaid` were never paid.

        Two holds of one order are taken as two orders here; the audit looks at each order.
        """
        unexplained = {
            state: max(0, count - sum(self.holds[state].values()))
            for state, count in self.orders.items()
            if state not in ENDED
        }
        return sum(unexplained.values()) - min(unpaid, unexplained.get(UNPAID, 0))


def is_explained(state: str, holds: Sequence[str], *, unpaid: bool) -> bool:
    """Whether an order has ended, is held, or waits for money that nobody has sent."""
    return state in ENDED or bool(holds) or (state == UNPAID and unpaid)


async def standing(door: Door) -> Standing:
    """Ask the orders service. Raises Refused and Unavailable."""
    return Standing.of(await door.get("/v1/services/orders/summary"))
