"""HTTP API of orders."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from oms_events.contracts.shared import Code, Quantity, Text
from oms_events.runtime.http import BY_ID, BY_SERIAL, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_orders.adapters import listings, queries
from oms_orders.app import commands
from oms_orders.app.shipments import shipments_of
from oms_orders.domain.holds import AuditRule
from oms_orders.domain.order import Block, CancellationState, HoldState, Source
from oms_orders.domain.states import AfterSalesState, FulfilmentState, PaymentState, State

Name = Annotated[str | None, Query(min_length=1, max_length=64)]
Note = Annotated[str, Field(max_length=500)]
Step = Literal["hour", "day"]
_FIRST = UUID(int=0)
_TIMELINE_SCAN = 10_000


class OrderHead(BaseModel):
    """An order in a list: where it is on each axis, and its money in minor units of its currency."""

    order_id: UUID
    channel: str
    shop: str
    channel_order_no: str
    channel_version: int
    state: State
    payment_state: PaymentState
    fulfilment_state: FulfilmentState
    after_sales_state: AfterSalesState
    open_holds: int
    currency: str
    total_minor: int
    paid_minor: int
    received_at: datetime
    placed_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class OrderFilters:
    """Which orders to list: those that agree with every filter given."""

    state: State | None = None
    channel: Name = None
    shop: Name = None
    channel_order_no: Name = None
    hold_code: Name = None
    placed_from: AwareDatetime | None = None
    placed_until: AwareDatetime | None = None
    """Orders placed before this instant."""


class LineView(BaseModel):
    """A line with its quantities. `reserved` and `released` follow from the order: all that is left, or nothing."""

    line_id: str
    listing: str
    sku: str | None
    quantity: int
    cancelled: int
    reserved: int
    released: int
    shipped: int
    delivered: int
    unit_price_minor: int
    discount_minor: int
    amount_minor: int


class HoldView(BaseModel):
    """Something that stops, or stopped, an order."""

    hold_id: UUID
    order_id: UUID
    line_id: str | None
    code: str
    reason: str
    blocks: list[Block]
    auto: bool
    state: HoldState
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


class ListedHold(HoldView):
    """A hold with what people call its order."""

    channel: str
    shop: str
    channel_order_no: str


class PaymentView(BaseModel):
    """Money the channel says was paid. Only money in the order's currency counts."""

    payment_no: str
    currency: str
    amount_minor: int
    paid_at: datetime


class CancelledLineView(BaseModel):
    """One line of a cancellation."""

    line_id: str
    asked: int
    stopped: int
    refused: int


class CancellationView(BaseModel):
    """A wish to cancel and what became of it. `requested`: fulfilment has not answered yet."""

    cancellation_id: UUID
    cancellation_no: str
    source: Source
    reason: str
    requested_at: datetime
    lines: list[CancelledLineView]
    state: CancellationState
    closed_at: datetime | None


class ShipmentView(BaseModel):
    """A shipment as far as orders has heard of it; fulfilment has the whole of it."""

    shipment_id: UUID
    stage: str
    node: str | None = None
    carrier: str | None = None
    service: str | None = None
    waybill_no: str | None = None


class OrderView(OrderHead):
    """An order with all that belongs to it."""

    shipping_minor: int
    ship_to: dict[str, str]
    delivery_tier: str
    ship_by: datetime | None
    entered_at: datetime | None
    paid_at: datetime | None
    released_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None
    lines: list[LineView]
    holds: list[HoldView]
    payments: list[PaymentView]
    cancellations: list[CancellationView]
    shipments: list[ShipmentView]


class TellingView(BaseModel):
    """One telling of the order by its channel, as received."""

    version: int
    received_at: datetime
    document: dict[str, Any]


class ChannelOrderView(BaseModel):
    """What the channel told: the newest version first."""

    order_id: UUID
    tellings: list[TellingView]


class EntryView(BaseModel):
    """One thing that happened, and the decisions it led to. `at` is when it happened, `seq` the order it was heard."""

    seq: int
    at: datetime
    kind: str
    event_id: UUID
    detail: dict[str, Any]
    led_to: list[str]


class LineToCancel(BaseModel):
    """So many of one line."""

    line_id: Text
    quantity: Quantity


class CancelOrder(BaseModel):
    """Cancel these lines, or all that is left when none are named. `reference` makes it safe to send twice."""

    lines: Annotated[list[LineToCancel], Field(max_length=2000)] = []
    reason: Note = ""
    reference: Text


class HoldOrder(BaseModel):
    """Stop an order by hand. `reference` makes it safe to send twice."""

    blocks: Annotated[list[Block], Field(min_length=1, max_length=4)] = ["release"]
    reason: Note = ""
    by: Text
    reference: Text


class ResolveHold(BaseModel):
    """End a hold: `resolved` lets the order go on, `rejected` cancels it as far as it can still be stopped."""

    outcome: Literal["resolved", "rejected"]
    by: Text
    note: Note = ""


class AuditRuleView(BaseModel):
    """When a buyer's note stops an order of the shop: any note, one that holds a word, or never."""

    notes: Literal["any", "words", "never"] = "any"
    words: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=200)] = []


class StateCount(BaseModel):
    """How many orders are in a state, and how many of those have an open hold of each code."""

    state: State
    orders: int
    holds: dict[str, int]


class Count(BaseModel):
    """How many orders were placed in the hour or day that begins `at`."""

    at: datetime
    orders: int


class Counts(BaseModel):
    """Orders over time; an hour or day without any is left out."""

    step: Step
    counts: list[Count]


class Summary(BaseModel):
    """All orders at a glance. Counts every row: for a look now and then, not for a tight loop."""

    orders: int
    states: list[StateCount]
    order_lines: int
    lines_shipped: int
    units_shipped: int


def router(runtime: Runtime) -> APIRouter:
    """The API of orders."""
    api = APIRouter(prefix="/v1", tags=["orders"])
    _add_queries(api, runtime)
    _add_hold_queries(api, runtime)
    _add_commands(api, runtime)
    _add_audit_rules(api, runtime)
    return api


def _add_queries(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/orders")
    async def list_orders(
        filters: Annotated[OrderFilters, Depends()],
        newest_first: bool = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[OrderHead]:
        """Orders in the order they were received, or the last received first."""
        position = read_cursor(cursor, BY_SERIAL)
        start = {"before" if newest_first else "after": position[0]} if position else {}
        read = queries.list_newest_orders if newest_first else queries.list_orders
        async with runtime.connection() as connection:
            rows = await read(connection, limit=limit, filters=asdict(filters), **start)
        next_cursor = write_cursor(rows[-1]["received_no"]) if len(rows) == limit else None
        return Page(items=[OrderHead.model_validate(row) for row in rows], next_cursor=next_cursor)

    @api.get("/orders/{order_id}")
    async def show_order(order_id: UUID) -> OrderView:
        """One order: axes, lines, money, holds, payments, cancellations and the shipments known."""
        async with runtime.connection() as connection:
            head = await queries.show_order(connection, order_id)
            if head is None:
                raise not_found(f"order {order_id}")
            entries = await queries.timeline(connection, order_id, after=0, limit=_TIMELINE_SCAN)
            return OrderView.model_validate(
                {
                    **head,
                    "lines": [_line(head, line) for line in await queries.lines_of(connection, order_id)],
                    "holds": await queries.holds_of(connection, order_id),
                    "payments": await queries.payments_of(connection, order_id),
                    "cancellations": await queries.cancellations_of(connection, order_id),
                    "shipments": shipments_of(entries),
                }
            )

    @api.get("/orders/{order_id}/channel-order")
    async def show_channel_order(order_id: UUID) -> ChannelOrderView:
        """What the channel told of the order, as received, with every version."""
        async with runtime.connection() as connection:
            tellings = await queries.tellings_of(connection, order_id)
        if not tellings:
            raise not_found(f"order {order_id}")
        return ChannelOrderView.model_validate({"order_id": order_id, "tellings": tellings})

    @api.get("/orders/{order_id}/timeline")
    async def show_timeline(order_id: UUID, limit: Limit = 200, cursor: Cursor = None) -> Page[EntryView]:
        """Everything that happened to the order, as it was heard, with what each led to."""
        (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
        async with runtime.connection() as connection:
            rows = await queries.timeline(connection, order_id, after=after, limit=limit)
            if not rows and await queries.show_order(connection, order_id) is None:
                raise not_found(f"order {order_id}")
        next_cursor = write_cursor(rows[-1]["seq"]) if len(rows) == limit else None
        return Page(items=[EntryView.model_validate(row) for row in rows], next_cursor=next_cursor)

    @api.get("/order-counts")
    async def count_orders(
        step: Step = "hour",
        steps: Annotated[int, Query(ge=1, le=400)] = 48,
        until: AwareDatetime | None = None,
    ) -> Counts:
        """Orders by the hour or day (UTC) in which they were placed: so many steps, up to the newest or `until`."""
        async with runtime.connection() as connection:
            rows = await queries.counts(connection, step=step, steps=steps, until=until)
        return Counts(step=step, counts=[Count.model_validate(row) for row in rows])

    @api.get("/summary")
    async def summarise() -> Summary:
        """Orders by state, with what holds them up."""
        async with runtime.connection() as connection:
            states = await queries.states(connection)
            reasons = await queries.reasons(connection)
            totals = await queries.line_totals(connection)
        holds: dict[str, dict[str, int]] = {}
        for row in reasons:
            holds.setdefault(row["state"], {})[row["code"]] = row["orders"]
        counts = [{**row, "holds": holds.get(row["state"], {})} for row in states]
        return Summary.model_validate({"orders": sum(row["orders"] for row in states), "states": counts, **totals})


def _line(head: queries.Row, line: queries.Row) -> dict[str, Any]:
    left = line["quantity"] - line["cancelled"]
    return {
        **line,
        "reserved": left if head["reserved"] else 0,
        "released": left if head["released_at"] is not None else 0,
    }


def _add_hold_queries(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/holds")
    async def list_holds(
        state: HoldState = "OPEN", code: Name = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[ListedHold]:
        """Holds in a state, those of the oldest cause first."""
        (after,) = read_cursor(cursor, BY_ID) or (_FIRST,)
        async with runtime.connection() as connection:
            rows = await queries.list_holds(connection, after=after, limit=limit, state=state, code=code)
        next_cursor = write_cursor(rows[-1]["hold_id"]) if len(rows) == limit else None
        return Page(items=[ListedHold.model_validate(row) for row in rows], next_cursor=next_cursor)

    @api.get("/holds/{hold_id}")
    async def show_hold(hold_id: UUID) -> HoldView:
        """One hold."""
        return await _hold_view(runtime, hold_id)


async def _hold_view(runtime: Runtime, hold_id: UUID) -> HoldView:
    async with runtime.connection() as connection:
        row = await queries.hold(connection, hold_id)
    if row is None:
        raise not_found(f"hold {hold_id}")
    return HoldView.model_validate(row)


def _add_commands(api: APIRouter, runtime: Runtime) -> None:
    @api.post("/orders/{order_id}:cancel")
    async def cancel_order(order_id: UUID, command: CancelOrder) -> CancellationView:
        """Cancel lines or the whole order: at once before the release, by asking fulfilment after it."""
        quantities: dict[str, int] = {}
        for line in command.lines:
            quantities[line.line_id] = quantities.get(line.line_id, 0) + line.quantity
        async with runtime.transaction() as work:
            cancellation = await commands.cancel_order(order_id, quantities, command.reason, command.reference, work)
        return CancellationView.model_validate(cancellation, from_attributes=True)

    @api.post("/orders/{order_id}/holds", status_code=201)
    async def hold_order(order_id: UUID, command: HoldOrder) -> HoldView:
        """Stop an order by hand."""
        blocks = list(dict.fromkeys(command.blocks))
        async with runtime.transaction() as work:
            hold_id = await commands.hold_order(
                order_id, work, blocks=blocks, detail=command.reason, by=command.by, reference=command.reference
            )
        return await _hold_view(runtime, hold_id)

    @api.post("/holds/{hold_id}:resolve")
    async def resolve_hold(hold_id: UUID, command: ResolveHold) -> HoldView:
        """End a hold: let the order go on, or cancel it."""
        async with runtime.transaction() as work:
            await commands.resolve_hold(hold_id, command.outcome, command.by, command.note, work)
        return await _hold_view(runtime, hold_id)


def _add_audit_rules(api: APIRouter, runtime: Runtime) -> None:
    @api.get("/audit-rules/{channel}/{shop}")
    async def show_audit_rule(channel: Code, shop: Code) -> AuditRuleView:
        """When a buyer's note stops an order of the shop."""
        async with runtime.connection() as connection:
            rules = await listings.audit_rules(connection, [(channel, shop)])
        rule = rules.get((channel, shop), AuditRule())
        return AuditRuleView.model_validate(rule, from_attributes=True)

    @api.put("/audit-rules/{channel}/{shop}")
    async def set_audit_rule(channel: Code, shop: Code, rule: AuditRuleView) -> AuditRuleView:
        """Set it, for orders to come."""
        async with runtime.write() as connection:
            await listings.save_audit_rule(connection, (channel, shop), AuditRule(rule.notes, tuple(rule.words)))
        return rule
