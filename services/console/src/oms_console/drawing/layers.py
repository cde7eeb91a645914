"""A SKU's stock through its four layers, on one scale: what lies at the nodes, what of it is free, what the pool
promises, what each shop may sell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oms_console.drawing.charts import Segment, segments


@dataclass(frozen=True, slots=True)
class Ribbon:
    """A band that leads from a part of one layer to a part of the next: four corners in percent of the width."""

    left: float
    right: float
    to_left: float
    to_right: float
    tone: str

    @property
    def path(self) -> str:
        """As an SVG path in a box of 100 by 100."""
        return (
            f"M{self.left:.2f},0 C{self.left:.2f},50 {self.to_left:.2f},50 {self.to_left:.2f},100 "
            f"L{self.to_right:.2f},100 C{self.to_right:.2f},50 {self.right:.2f},50 {self.right:.2f},0 Z"
        )


@dataclass(frozen=True, slots=True)
class ShopBar:
    """What one shop may sell, on the same scale."""

    channel: str
    shop: str
    sellable: int
    told: int | None
    width: float
    limit: float | None
    """Where its rule ends, in percent; None without a rule."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The picture."""

    physical: list[Segment]
    logical: list[Segment]
    pool: list[Segment]
    shops: list[ShopBar]
    to_logical: list[Ribbon]
    to_pool: list[Ribbon]
    whole: int
    oversold: int
    """Promised beyond what there is: it has no place in the picture, and must be said."""


def layers(stock: Mapping[str, Any], written: Callable[[int], str] = str) -> Layers:
    """The picture of one SKU."""
    nodes: Sequence[Mapping[str, Any]] = [node for node in stock["nodes"] if node["on_hand"] > 0]
    whole = max(1, sum(node["on_hand"] for node in nodes))
    physical = segments([(n["node"], n["on_hand"], written(n["on_hand"]), "node") for n in nodes], whole=whole)
    allocated = sum(min(node["allocated"], node["on_hand"]) for node in nodes)
    contribution = min(stock["pool_base"], whole - allocated)
    kept = max(0, whole - allocated - contribution) if nodes else 0
    logical = segments(
        [
            ("free", contribution, written(contribution), "free"),
            ("kept", kept, written(kept), "kept"),
            ("allocated", allocated, written(allocated), "allocated"),
        ],
        whole=whole,
    )
    reserved = min(stock["reserved"], contribution)
    available = contribution - reserved
    pool = segments(
        [
            ("available", available, written(available), "available"),
            ("reserved", reserved, written(reserved), "reserved"),
        ],
        whole=whole,
    )
    return Layers(
        physical,
        logical,
        pool,
        [_shop(shop, whole) for shop in stock["shops"]],
        _from_nodes(nodes, physical, logical, whole),
        _to_pool(logical, pool),
        whole,
        max(0, stock["reserved"] - stock["pool_base"]),
    )


def _from_nodes(
    nodes: Sequence[Mapping[str, Any]], physical: Sequence[Segment], logical: Sequence[Segment], whole: int
) -> list[Ribbon]:
    """Each node's pieces to what they are: free, kept back, or set aside for a shipment."""
    starts = {part.label: part.x for part in logical}
    ribbons = []
    for node, place in zip(nodes, physical, strict=True):
        left = place.x
        allocated = min(node["allocated"], node["on_hand"])
        free = min(node["contribution"], node["on_hand"] - allocated)
        for kind, pieces in (("free", free), ("kept", node["on_hand"] - allocated - free), ("allocated", allocated)):
            width = 100 * pieces / whole
            if pieces > 0 and kind in starts:
                to = starts[kind]
                ribbons.append(Ribbon(left, left + width, to, to + width, kind))
                starts[kind] = to + width
            left += width
    return ribbons


def _to_pool(logical: Sequence[Segment], pool: Sequence[Segment]) -> list[Ribbon]:
    free = next((part for part in logical if part.label == "free"), None)
    if free is None or not pool:
        return []
    return [Ribbon(part.x, part.x + part.width, part.x, part.x + part.width, part.tone) for part in pool]


def _shop(shop: Mapping[str, Any], whole: int) -> ShopBar:
    limit = shop["limit"]
    return ShopBar(
        shop["channel"],
        shop["shop"],
        shop["sellable"],
        shop["told"],
        round(min(100.0, 100 * max(0, shop["sellable"]) / whole), 2),
        None if limit is None else round(min(100.0, 100 * max(0, limit) / whole), 2),
    )
