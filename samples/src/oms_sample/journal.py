"""What the players themselves know: what they told the system and what left their warehouses.

The audit holds the system's answers against it.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Journal:
    """Kept while playing. Order ids and shipment ids as the gateway writes them."""

    ordered: dict[str, dict[str, int]] = field(default_factory=dict)
    """By order accepted: quantity by line number."""
    order_numbers: dict[str, str] = field(default_factory=dict)
    """By order accepted: the channel's number."""
    unpaid: set[str] = field(default_factory=set)
    """Orders that nobody pays: they may rightly wait for ever."""
    rejected: list[str] = field(default_factory=list)
    """What the gateway would not accept, in its words."""
    posted: Counter[str] = field(default_factory=Counter)
    """How many of each kind were sent, repeats included."""
    shipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By order and line: what left the warehouses."""
    shelf: dict[tuple[str, str], int] = field(default_factory=dict)
    """By node and SKU: what lies in the warehouse."""
    below_zero: set[tuple[str, str]] = field(default_factory=set)
    """Node and SKU where the warehouse was told to ship more than it had."""
    happened: Counter[str] = field(default_factory=Counter)
    """What the players did or saw out of the ordinary."""

    def put_on_shelf(self, node: str, sku: str, quantity: int) -> None:
        self.shelf[node, sku] = self.shelf.get((node, sku), 0) + quantity

    def ship(self, order_id: str, line_id: str, node: str, sku: str, quantity: int) -> None:
        """A quantity leaves a node. The shelf shows what a real one would, or that it was promised twice."""
        self.shipped[order_id, line_id] += quantity
        self.shelf[node, sku] = left = self.shelf.get((node, sku), 0) - quantity
        if left < 0:
            self.below_zero.add((node, sku))
