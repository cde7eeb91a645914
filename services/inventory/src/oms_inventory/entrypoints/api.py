"""The HTTP API of inventory."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field, TypeAdapter, model_validator

from oms_events.contracts.shared import Code, Instant, Text, Words
from oms_events.runtime.http import BY_SERIAL, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import FieldError, Problem, not_found
from oms_inventory.app import commands, queries
from oms_inventory.domain.channel import ChannelRule, Shop

_SIGNED = Annotated[int, Field(ge=-10_000_000, le=10_000_000)]
_UNSIGNED = Annotated[int, Field(ge=0, le=10_000_000)]
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_BY_SKU_AND_NODE = TypeAdapter(tuple[Words, Words])
_BY_AGE = TypeAdapter(tuple[Instant, UUID])

SkuPath = Annotated[Text, Path(description="SKU")]


class StockAtNode(BaseModel):
    """The physical and the logical layer: `available` = `on_hand` - `allocated`."""

    node: str
    on_hand: int
    allocated: int
    available: int
    safety_stock: int
    wms_reported: int | None
    wms_reported_at: datetime | None
    wms_difference: int = Field(description="What the newest snapshot had to correct")


class NodeView(StockAtNode):
    """A node as the pool sees it."""

    contribution: int = Field(description="What it adds to `pool_base`: available less safety stock, never below zero")


class RuleView(BaseModel):
    """A shop's share of the pool."""

    percent: int
    plus: int
    minimum: int
    maximum: int | None


class ShopView(BaseModel):
    """The channel layer of one shop."""

    channel: str
    shop: str
    reserved: int
    rule: RuleView | None = Field(description="Null: the whole pool")
    limit: int | None = Field(description="What the rule leaves after the shop's reservations; null without a rule")
    sellable: int
    told: int | None = Field(description="What the shop was told last")
    change_no: int | None


class StockView(BaseModel):
    """All four layers of a SKU: `available` = `pool_base` - `reserved`."""

    sku: str
    on_hand: int
    allocated: int
    pool_base: int
    reserved: int
    available: int
    nodes: list[NodeView]
    shops: list[ShopView]


class StockRow(StockAtNode):
    """Stock of a SKU at a node."""

    sku: str


class Sellable(BaseModel):
    """What a shop may sell of a SKU."""

    sku: str
    sellable: int


class Availability(BaseModel):
    """What a shop may sell."""

    channel: str
    shop: str
    items: list[Sellable]


class ReservationLine(BaseModel):
    """`reserved` = `ordered` - `cancelled` - `allocated` - `consumed`, never below zero."""

    line_id: str
    sku: str
    ordered: int
    cancelled: int
    allocated: int
    consumed: int
    reserved: int


class AllocationView(BaseModel):
    """A line of a shipment: `open` is set aside at the node now."""

    shipment_id: UUID
    node: str
    line_id: str
    sku: str
    planned: int
    cancelled: int
    rejected: int
    consumed: int
    open: int
    answer: Literal["allocated", "refused"] | None


class ReservationView(BaseModel):
    """What is held for an order. Channel and shop are null until it was placed."""

    order_id: UUID
    channel: str | None
    shop: str | None
    state: Literal["announced", "waiting", "reserved", "cancelled"]
    version: int
    lines: list[ReservationLine]
    allocations: list[AllocationView]


class MovementView(BaseModel):
    """One row of the ledger: what one fact did to each layer, and the balances it left."""

    id: int
    sku: str
    node: str | None
    on_hand: int
    allocated: int
    reserved: int
    on_hand_after: int | None
    allocated_after: int | None
    reserved_after: int
    reason: str
    event_id: UUID
    occurred_at: datetime
    order_id: UUID | None
    line_id: str | None
    shipment_id: UUID | None
    document: str | None


class WaitingOrder(BaseModel):
    """An order that waits for stock."""

    order_id: UUID
    channel: str
    shop: str
    skus: list[str]
    received_at: datetime
    retry_at: datetime


class Adjustment(BaseModel):
    """A correction of on hand by an operator. The same `reference` again changes nothing."""

    reference: Text
    node: Code
    sku: Text
    quantity: Annotated[_SIGNED, Field(description="Signed; not zero")]
    reason: Text

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.quantity == 0:
            raise ValueError("quantity must not be zero")
        return self


class Adjusted(BaseModel):
    """What an adjustment left."""

    reference: str
    node: str
    sku: str
    on_hand: int


class SafetyStock(BaseModel):
    """Pieces of a node kept out of the pool."""

    quantity: _UNSIGNED


class Rule(BaseModel):
    """A shop's share: `percent` of the pool's base plus `plus`, not below `minimum`, not above `maximum`."""

    percent: Annotated[int, Field(ge=0, le=100)] = 100
    plus: _SIGNED = 0
    minimum: _UNSIGNED = 0
    maximum: _UNSIGNED | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError("maximum must not be below minimum")
        return self


class Difference(BaseModel):
    """A balance that its ledger or its documents do not explain."""

    kind: str
    sku: str
    node: str | None
    detail: str | None
    balance: int
    explained: int


class Reconciliation(BaseModel):
    """Where books disagree, up to 500. Balanced: none."""

    balanced: bool
    differences: list[Difference]


class Summary(BaseModel):
    """Totals by layer. `oversold` counts SKUs with more promised than there is, at the pool or at a node."""

    skus: int
    on_hand: int
    allocated: int
    pool_base: int
    reserved: int
    available: int
    oversold: int
    waiting_orders: int


def router(runtime: Runtime) -> APIRouter:
    """All operations."""
    api = APIRouter(prefix="/v1")
    _add_stock(api, runtime)
    _add_orders(api, runtime)
    _add_commands(api, runtime)
    _add_totals(api, runtime)
    return api


def _add_stock(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/stock", tags=["stock"])
    async def list_stock(
        node: Annotated[Code | None, Query()] = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[StockRow]:
        """Stock at nodes, by SKU and node."""
        after = read_cursor(cursor, _BY_SKU_AND_NODE) or ("", "")
        async with runtime.connection() as connection:
            rows = await queries.stock_page(connection, node=node, after=after, limit=limit)
        items = [StockRow.model_validate(row) for row in rows]
        following = write_cursor(items[-1].sku, items[-1].node) if len(items) == limit else None
        return Page(items=items, next_cursor=following)

    @api.get("/stock/{sku:path}", tags=["stock"])
    async def show_stock(sku: SkuPath) -> StockView:
        """All four layers of a SKU: per node, the pool, per shop."""
        async with runtime.connection() as connection:
            found = await queries.stock_of(connection, sku)
        if found is None:
            raise not_found(f"stock of {sku}")
        return StockView.model_validate(found)

    @api.get("/availability", tags=["stock"])
    async def show_availability(
        channel: Annotated[Code, Query()],
        shop: Annotated[Code, Query()],
        sku: Annotated[list[Text], Query(min_length=1, max_length=100)],
    ) -> Availability:
        """What a shop may sell of each SKU now."""
        async with runtime.connection() as connection:
            rows = await queries.availability(connection, Shop(channel, shop), sku)
        return Availability(channel=channel, shop=shop, items=[Sellable.model_validate(row) for row in rows])

    @api.get("/movements", tags=["stock"])
    async def list_movements(
        sku: Annotated[Text, Query()], newest_first: bool = False, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[MovementView]:
        """The ledger of a SKU, oldest first or newest first."""
        position = read_cursor(cursor, BY_SERIAL)
        start = {"before" if newest_first else "after": position[0]} if position else {}
        read = queries.newest_movements if newest_first else queries.movements
        async with runtime.connection() as connection:
            rows = await read(connection, sku, limit=limit, **start)
        items = [MovementView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].id) if len(items) == limit else None)


def _add_orders(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/reservations/{order_id}", tags=["orders"])
    async def show_reservation(order_id: UUID) -> ReservationView:
        """What is held for an order, at the pool and at nodes."""
        async with runtime.connection() as connection:
            found = await queries.reservation(connection, order_id)
        if found is None:
            raise not_found(f"reservation of order {order_id}")
        return ReservationView.model_validate(found)

    @api.get("/waiting-orders", tags=["orders"])
    async def list_waiting_orders(limit: Limit = 100, cursor: Cursor = None) -> Page[WaitingOrder]:
        """Orders that wait for stock, oldest first."""
        after = read_cursor(cursor, _BY_AGE) or (_LONG_AGO, UUID(int=0))
        async with runtime.connection() as connection:
            rows = await queries.waiting_orders(connection, after=after, limit=limit)
        items = [WaitingOrder.model_validate(row) for row in rows]
        last = items[-1] if len(items) == limit else None
        following = write_cursor(last.received_at, last.order_id) if last else None
        return Page(items=items, next_cursor=following)


def _add_commands(api: APIRouter, runtime: Runtime) -> None:
    @api.post("/stock-adjustments", tags=["commands"])
    async def adjust_stock(adjustment: Annotated[Adjustment, Body()]) -> Adjusted:
        """Correct on hand by a signed quantity, once per reference."""
        try:
            async with runtime.transaction() as work:
                on_hand = await commands.adjust_stock(work, **adjustment.model_dump())
        except commands.ReferenceTaken:
            taken = FieldError(field="reference", rule="unique", detail="it stands for another adjustment")
            raise Problem(409, "reference: it stands for another adjustment", errors=[taken]) from None
        return Adjusted(reference=adjustment.reference, node=adjustment.node, sku=adjustment.sku, on_hand=on_hand)

    @api.put("/safety-stock/{node}/{sku:path}", tags=["commands"])
    async def set_safety_stock(node: Code, sku: SkuPath, safety_stock: SafetyStock) -> SafetyStock:
        """Keep so many of a node's pieces out of the pool."""
        async with runtime.transaction() as work:
            await commands.set_safety_stock(work, node=node, sku=sku, quantity=safety_stock.quantity)
        return safety_stock

    @api.put("/channel-rules/{channel}/{shop}", tags=["commands"])
    async def set_channel_rule(
        channel: Code,
        shop: Code,
        rule: Rule,
        sku: Annotated[
            Text | None, Query(description="Only for this SKU; it then counts before the shop's rule")
        ] = None,
    ) -> Rule:
        """Give a shop a share of the pool."""
        async with runtime.transaction() as work:
            await commands.set_channel_rule(work, Shop(channel, shop), sku or "", ChannelRule(**rule.model_dump()))
        return rule


def _add_totals(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/reconciliation", tags=["totals"])
    async def reconcile() -> Reconciliation:
        """Compare balances with the ledger and the documents that explain them."""
        async with runtime.connection() as connection:
            rows = await queries.reconcile(connection)
        return Reconciliation(balanced=not rows, differences=[Difference.model_validate(row) for row in rows])

    @api.get("/summary", tags=["totals"])
    async def summarise() -> Summary:
        """Totals by layer."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await queries.summary(connection))
