"""The HTTP API of analytics: questions only."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from oms_analytics.adapters import reference
from oms_analytics.adapters.views import By, Range, Sort
from oms_analytics.app import queries
from oms_analytics.domain.amounts import Version
from oms_events.contracts.shared import Code, Currency, Instant
from oms_events.runtime.http import Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import Problem, not_found

_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 30)
_MOST_PROFIT = 2**63 - 1
_BY_PROFIT = TypeAdapter(tuple[Annotated[int, Field(ge=-_MOST_PROFIT, le=_MOST_PROFIT)], UUID])

From = Annotated[date, Query(alias="from", description="First day, by the time of order, UTC")]
To = Annotated[date, Query(alias="to", description="Last day; it belongs to the range")]


class Amounts(BaseModel):
    """What profit is made of, in the currency's smallest unit: income positive, cost negative."""

    goods_minor: int
    shipping_minor: int
    merchant_discount_minor: int
    platform_subsidy_minor: int
    commission_minor: int
    payment_fee_minor: int
    freight_minor: int
    cost_of_goods_minor: int
    returns_minor: int
    adjustments_minor: int
    write_offs_minor: int
    profit_minor: int


class Settled(BaseModel):
    """How much money is expected, how much of that statements have spoken of, both without signs, and its share."""

    expected_sum_minor: int | None = None
    answered_sum_minor: int | None = None
    settled_share: float | None = None


class ProfitSum(Amounts, Settled):
    """Sums in one currency. `units_without_cost` are pieces that nobody has said the cost of."""

    currency: str
    orders: int
    units: int
    units_without_cost: int


class ProfitRow(ProfitSum):
    """Sums of one shop, channel, SKU, category or day; what names it is set."""

    channel: str | None = None
    shop: str | None = None
    sku: str | None = None
    title: str | None = None
    category: str | None = None
    day: date | None = None


class ProfitView(BaseModel):
    """Rows, and what all of them add up to, those left off by `limit` included. Currencies are never mixed."""

    by: By
    version: Version
    rows: list[ProfitRow]
    rows_found: int
    sums: list[ProfitSum]
    waiting: bool = Field(description="Whether something is known that these sums do not know yet")


class OrderRow(Settled):
    """What an order earned, in its own currency."""

    order_id: UUID
    channel: str
    shop: str
    currency: str
    placed_at: datetime
    estimated_minor: int
    accrued_minor: int
    settled_minor: int


class LineView(Amounts):
    """A line's share. `units` are those that this version counts: kept when estimated, dispatched otherwise."""

    line_id: str
    sku: str
    title: str
    category: str
    quantity: int
    units: int
    units_without_cost: int


class VersionView(Amounts, Settled):
    """An order in one version and one currency."""

    version: Version
    currency: str
    lines: list[LineView]


class FactView(BaseModel):
    """Something that was said of the order, and what it said that counts."""

    event_id: UUID
    event: str
    occurred_at: datetime
    document: dict[str, Any]


class OrderView(BaseModel):
    """An order's profit in three versions, worked out from these facts."""

    order_id: UUID
    channel: str
    shop: str
    currency: str
    placed_at: datetime
    cancelled: bool
    versions: list[VersionView]
    facts: list[FactView]


class CurrencyView(Settled):
    """Orders placed in the time, and what became of them, in one currency."""

    currency: str
    orders: int = 0
    cancelled_orders: int = 0
    units: int = 0
    sales_minor: int = 0
    shipments: int = 0
    delivered: int = 0
    late: int = Field(default=0, description="Shipments that broke their promise of delivery")
    rejections: int = Field(default=0, description="Times that stock was short")
    estimated_profit_minor: int = 0
    accrued_profit_minor: int = 0
    settled_profit_minor: int = 0


class PointView(BaseModel):
    """An hour or a day in one currency. Hours without orders are left out."""

    at: datetime
    currency: str
    orders: int
    units: int
    sales_minor: int


class TopSkuView(BaseModel):
    """A SKU with a high estimated profit."""

    currency: str
    sku: str
    title: str
    units: int
    sales_minor: int
    profit_minor: int


class OpenHolds(BaseModel):
    """Open holds of one code."""

    code: str
    open: int


class HoldsAt(BaseModel):
    """Holds open at the end of an hour."""

    at: datetime
    open: int


class HoldsView(BaseModel):
    """Holds open now, and hour by hour over the last two days."""

    open: int
    by_code: list[OpenHolds]
    series: list[HoldsAt]


class Overview(BaseModel):
    """The cockpit."""

    model_config = ConfigDict(populate_by_name=True)

    from_: datetime = Field(alias="from")
    to: datetime
    first_placed_at: datetime | None
    last_placed_at: datetime | None
    currencies: list[CurrencyView]
    resolution: str
    series: list[PointView]
    top_skus: list[TopSkuView]
    holds: HoldsView
    waiting: bool


class Summary(BaseModel):
    """How much is known."""

    orders: int
    facts: int
    changed_orders: int
    skus: int
    costs: int
    rate_cards: int


def router(runtime: Runtime) -> APIRouter:
    """The routes of analytics."""
    routes = APIRouter(prefix="/v1")
    _profit(routes, runtime)
    _orders(routes, runtime)

    @routes.get("/overview", tags=["overview"])
    async def show_overview(
        from_: Annotated[Instant | None, Query(alias="from")] = None, to: Annotated[Instant | None, Query()] = None
    ) -> Overview:
        """Orders placed in a time: counts, sales, profit, series, top SKUs, promises; all of it unless told. Holds as
        of now."""
        if from_ is not None and to is not None and from_ >= to:
            raise Problem(422, "from: must be before to")
        async with runtime.transaction() as work:
            return Overview.model_validate(await queries.overview(work.connection, from_, to, work.now))

    @routes.get("/summary", tags=["summary"])
    async def show_summary() -> Summary:
        """How much is known, and of how many orders something new waits to be worked out."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await reference.summary(connection))

    return routes


def _profit(routes: APIRouter, runtime: Runtime) -> None:
    @routes.get("/profit", tags=["profit"])
    async def show_profit(
        *,
        by: By,
        version: Version = "accrued",
        from_: From = _FIRST_DAY,
        to: To = _LAST_DAY,
        currency: Annotated[Currency | None, Query()] = None,
        channel: Annotated[Code | None, Query()] = None,
        shop: Annotated[Code | None, Query()] = None,
        sort: Sort = "best",
        limit: Limit = 50,
    ) -> ProfitView:
        """Profit by shop, channel, SKU, category or day, with its components."""
        range_ = Range(version, from_, to, currency, channel, shop)
        async with runtime.connection() as connection:
            found = await queries.profit(connection, by, range_, sort=sort, limit=limit)
        return ProfitView.model_validate(found | {"by": by, "version": version})


def _orders(routes: APIRouter, runtime: Runtime) -> None:
    @routes.get("/profit/orders", tags=["profit"])
    async def list_orders(
        *,
        currency: Annotated[Currency, Query()],
        version: Version = "accrued",
        from_: From = _FIRST_DAY,
        to: To = _LAST_DAY,
        channel: Annotated[Code | None, Query()] = None,
        shop: Annotated[Code | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[OrderRow]:
        """Orders of one currency, those that earned least first."""
        after_minor, after_id = read_cursor(cursor, _BY_PROFIT) or (-_MOST_PROFIT, UUID(int=0))
        parameters = {
            "currency": currency,
            "channel": channel,
            "shop": shop,
            "placed_from": queries.whole_day(from_),
            "placed_to": queries.whole_day(min(to, _LAST_DAY) + timedelta(days=1)),
            "after_minor": after_minor,
            "after_id": after_id,
            "limit": limit,
        }
        async with runtime.connection() as connection:
            items = [OrderRow.model_validate(row) for row in await queries.orders(connection, version, parameters)]
        full = len(items) == limit
        return Page(items=items, next_cursor=_cursor_after(items[-1], version) if full else None)

    @routes.get("/profit/orders/{order_id}", tags=["profit"])
    async def show_order(order_id: UUID) -> OrderView:
        """One order in three versions, by component and line, with the facts that they follow from."""
        async with runtime.connection() as connection:
            found = await queries.order(connection, order_id)
        if found is None:
            raise not_found(f"order {order_id}")
        return OrderView.model_validate(found)


def _cursor_after(last: OrderRow, version: Version) -> str:
    profit = {"estimated": last.estimated_minor, "accrued": last.accrued_minor, "settled": last.settled_minor}
    return write_cursor(profit[version], last.order_id)
