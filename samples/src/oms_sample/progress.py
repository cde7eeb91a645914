"""Where all orders stand, as the orders service sums it up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from oms_sample.client import Door

ENDED = frozenset({"completed", "cancelled"})
WAITING = frozenset({"awaiting_payment", "on_hold", "awaiting_stock"})
"""States that name what an order waits for."""


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

    @property
    def moving(self) -> int:
        """Orders that neither ended nor wait for something that has a name.

        Two holds of one order are taken as two orders here; the audit looks at each order.
        """
        return sum(
            max(0, count - sum(self.holds[state].values()))
            for state, count in self.orders.items()
            if not is_explained(state, ())
        )


def is_explained(state: str, holds: tuple[str, ...]) -> bool:
    """Whether an order in this state has ended or waits for something that has a name."""
    return state in ENDED | WAITING or bool(holds)


async def standing(door: Door) -> Standing:
    """Ask the orders service. Raises Refused and Unavailable."""
    return Standing.of(await door.get("/v1/services/orders/summary"))
