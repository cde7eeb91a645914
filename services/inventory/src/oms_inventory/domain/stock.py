"""Balances of stock and the one way to change them: post a movement.

A `Stock` is the part of all stock that a batch of events touches, loaded under lock. Its balances change only
through `post`, which writes the ledger in the same step; so a balance cannot differ from its ledger by design.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from oms_inventory.domain.channel import ChannelRule, Shop, sellable

Reason = Literal[
    "reserved",
    "lines_cancelled",
    "order_cancelled",
    "allocated",
    "shipment_cancelled",
    "shipment_rejected",
    "dispatched",
    "dispatched_unallocated",
    "snapshot",
    "warehouse_movement",
    "adjustment",
]


class Cause(NamedTuple):
    """Why stock moves: the fact, when it happened, and the documents it stands on."""

    reason: Reason
    event_id: str
    occurred_at: datetime
    order_id: UUID | None = None
    shipment_id: UUID | None = None
    document: str | None = None
    """Number of a warehouse's report, or the reference of an adjustment."""


class Movement(NamedTuple):
    """One row of the ledger: what one fact did to each layer for one line, and the balances it left.

    `node` and its balances are None when only the pool was touched.
    """

    sku: str
    node: str | None
    on_hand: int
    allocated: int
    reserved: int
    on_hand_after: int | None
    allocated_after: int | None
    reserved_after: int
    reason: Reason
    event_id: str
    occurred_at: datetime
    order_id: UUID | None
    line_id: str | None
    shipment_id: UUID | None
    document: str | None


@dataclass(slots=True)
class Cell:
    """Stock of a SKU at a node: the physical and the logical layer.

    `wms_difference` is what the newest snapshot had to correct: the drift between this system and the warehouse.
    """

    on_hand: int = 0
    allocated: int = 0
    safety_stock: int = 0
    wms_reported: int | None = None
    wms_reported_at: datetime | None = None
    wms_difference: int = 0
    in_pool: bool = True

    @property
    def available(self) -> int:
        """What the node can still give; negative when the warehouse has less than was set aside."""
        return self.on_hand - self.allocated

    @property
    def contribution(self) -> int:
        """What the node adds to the pool's base: never below zero, so that one node's lack is not another's debt."""
        return max(0, self.on_hand - self.allocated - self.safety_stock) if self.in_pool else 0


@dataclass(slots=True)
class Pool:
    """The shared layer of a SKU: what all nodes contribute, and what is promised to orders."""

    base: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        return self.base - self.reserved


class Shares:
    """The channel layer: rules of shops, and what those with a rule have reserved.

    A shop without a rule sells the whole pool, so nobody counts for it.
    """

    def __init__(self, rules: Mapping[tuple[Shop, str], ChannelRule], reserved: Mapping[tuple[Shop, str], int]) -> None:
        self._rules = rules
        self.reserved = dict(reserved)
        self.changed: set[tuple[Shop, str]] = set()

    def rule(self, shop: Shop, sku: str) -> ChannelRule | None:
        """The rule that counts: the SKU's own before the shop's."""
        if not self._rules:
            return None
        return self._rules.get((shop, sku)) or self._rules.get((shop, ""))

    def count(self, shop: Shop | None, sku: str, quantity: int) -> None:
        """Note that a shop has reserved more, or less."""
        if shop is not None and self.rule(shop, sku) is not None:
            self.reserved[shop, sku] = self.reserved.get((shop, sku), 0) + quantity
            self.changed.add((shop, sku))

    def sellable(self, shop: Shop, sku: str, pool: Pool) -> int:
        """What the shop may sell of the SKU now."""
        return sellable(
            self.rule(shop, sku),
            pool_base=pool.base,
            pool_reserved=pool.reserved,
            reserved_by_shop=self.reserved.get((shop, sku), 0),
        )


_NOTHING = Pool()


@dataclass(slots=True)
class Stock:
    """The stock a batch works on: pools by SKU, cells by (SKU, node), and what the batch has moved so far."""

    pools: dict[str, Pool]
    cells: dict[tuple[str, str], Cell]
    shares: Shares
    movements: list[Movement] = field(default_factory=list)
    recounted: set[tuple[str, str]] = field(default_factory=set)
    """Cells whose warehouse figures changed, perhaps without any movement."""
    new_nodes: set[str] = field(default_factory=set)
    """Nodes of cells that did not exist before."""
    available_at_start: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.available_at_start = {sku: pool.available for sku, pool in self.pools.items()}

    def cell(self, sku: str, node: str) -> Cell:
        """The stock of a SKU at a node; empty when the node never held it."""
        cell = self.cells.get((sku, node))
        if cell is None:
            cell = self.cells[sku, node] = Cell()
            self.new_nodes.add(node)
        return cell

    def sellable(self, shop: Shop, sku: str) -> int:
        """What a shop may sell of a SKU now; nothing of one that nobody ever stocked."""
        return self.shares.sellable(shop, sku, self.pools.get(sku, _NOTHING))

    def post(
        self,
        cause: Cause,
        sku: str,
        *,
        node: str | None = None,
        on_hand: int = 0,
        allocated: int = 0,
        reserved: int = 0,
        line_id: str | None = None,
        shop: Shop | None = None,
    ) -> None:
        """Change balances and write the ledger. A movement of nothing is none."""
        if not (on_hand or allocated or reserved):
            return
        pool = self.pools[sku]
        on_hand_after = allocated_after = None
        if node is not None:
            cell = self.cell(sku, node)
            pool.base -= cell.contribution
            cell.on_hand += on_hand
            cell.allocated += allocated
            pool.base += cell.contribution
            on_hand_after, allocated_after = cell.on_hand, cell.allocated
        if reserved:
            pool.reserved += reserved
            self.shares.count(shop, sku, reserved)
        self.movements.append(
            Movement(
                sku,
                node,
                on_hand,
                allocated,
                reserved,
                on_hand_after,
                allocated_after,
                pool.reserved,
                cause.reason,
                cause.event_id,
                cause.occurred_at,
                cause.order_id,
                line_id,
                cause.shipment_id,
                cause.document,
            )
        )

    def protect(self, sku: str, node: str, safety_stock: int) -> None:
        """Keep so many of a node's pieces out of the pool."""
        cell, pool = self.cell(sku, node), self.pools[sku]
        pool.base -= cell.contribution
        cell.safety_stock = safety_stock
        pool.base += cell.contribution
        self.recounted.add((sku, node))

    def grown(self) -> list[str]:
        """SKUs of which more is free than before: orders may be waiting for them."""
        return sorted(
            sku
            for sku, pool in self.pools.items()
            if pool.available > 0 and pool.available > self.available_at_start.get(sku, 0)
        )
