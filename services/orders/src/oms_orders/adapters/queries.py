"""What the API reads. Rows come back as mappings, ready for the models that show them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

Row = RowMapping

_LAST = 2**63 - 1

_HEAD = """
    select order_id, received_no, channel, shop, channel_order_no, channel_version, received_at, placed_at, currency,
           shipping_minor, total_minor, paid_minor, payment_state, fulfilment_state, after_sales_state, state,
           open_holds, delivery_tier, ship_by, entered_at, paid_at, released_at, cancelled_at, completed_at, version,
           reserved, ship_to
      from orders
"""
_FILTERED = """
     where received_no > :after and received_no < :before
       and (cast(:state as text) is null or state = :state)
       and (cast(:channel as text) is null or channel = :channel)
       and (cast(:shop as text) is null or shop = :shop)
       and (cast(:channel_order_no as text) is null or channel_order_no = :channel_order_no)
       and (cast(:hold_code as text) is null or order_id in (
            select order_id from holds where state = 'OPEN' and code = :hold_code))
       and (cast(:placed_from as timestamptz) is null or placed_at >= :placed_from)
       and (cast(:placed_until as timestamptz) is null or placed_at < :placed_until)
"""
_LIST = text(_HEAD + _FILTERED + " order by received_no limit :limit")
_LIST_NEWEST_FIRST = text(_HEAD + _FILTERED + " order by received_no desc limit :limit")
_SHOW = text(_HEAD + " where order_id = :order_id")
_LINES = text(
    """
    select line_id, listing, sku, quantity, unit_price_minor, discount_minor,
           quantity * unit_price_minor - discount_minor as amount_minor, cancelled, shipped, delivered
      from order_lines where order_id = :order_id order by position
    """
)
_HOLD = """
    select hold_id, order_id, line_id, code, detail as reason, blocks, auto, state, opened_at, closed_at,
           closed_by, note
      from holds
"""
_ORDER_HOLDS = text(_HOLD + " where order_id = :order_id order by opened_at, hold_id")
_HOLD_BY_ID = text(_HOLD + " where hold_id = :hold_id")
_LIST_HOLDS = text(
    """
    select hold_id, order_id, line_id, code, detail as reason, blocks, auto, holds.state, opened_at, closed_at,
           closed_by, note, channel, shop, channel_order_no
      from holds join orders using (order_id)
     where hold_id > :after
       and holds.state = :state
       and (cast(:code as text) is null or code = :code)
     order by hold_id limit :limit
    """
)
_PAYMENTS = text(
    """
    select payment_no, currency, amount_minor, paid_at from payments where order_id = :order_id
     order by paid_at, payment_no
    """
)
_CANCELLATIONS = text(
    """
    select cancellation_id, cancellation_no, source, reason, requested_at, lines, state, closed_at
      from cancellations where order_id = :order_id order by requested_at, cancellation_no
    """
)
_TELLINGS = text(
    """
    select version, document, received_at from channel_orders where order_id = :order_id
     order by version desc, received_at limit 1000
    """
)
_TIMELINE = text(
    """
    select seq, at, kind, event_id, detail, led_to from timeline
     where order_id = :order_id and seq > :after order by seq limit :limit
    """
)
_STATES = text("select state, count(*) as orders from orders group by state order by state")
_REASONS = text(
    """
    select orders.state, holds.code, count(distinct holds.order_id) as orders
      from holds join orders using (order_id) where holds.state = 'OPEN'
     group by orders.state, holds.code order by orders.state, holds.code
    """
)
# Orders come nearly in the order in which they were placed: the newest of the last few is the newest of all.
_COUNTS = text(
    """
    with newest as (
        select max(placed_at) as at
          from (select placed_at from orders order by received_no desc limit 500) as latest
    ), span as (
        select coalesce(cast(:until as timestamptz), at + cast('1 microsecond' as interval)) as until from newest
    )
    select date_trunc(:step, placed_at, 'UTC') as at, count(*) as orders
      from orders
     where placed_at < (select until from span)
       and placed_at >= (
            select date_trunc(:step, until - cast('1 microsecond' as interval), 'UTC') - cast(:length as interval)
              from span)
     group by 1 order by 1
    """
)
_LINE_TOTALS = text(
    """
    select count(*) as order_lines, coalesce(sum(shipped), 0) as units_shipped,
           count(*) filter (where shipped > 0) as lines_shipped
      from order_lines
    """
)


async def list_orders(
    connection: AsyncConnection, *, limit: int, filters: Mapping[str, object], after: int = 0, before: int = _LAST
) -> list[Row]:
    """Orders in the order they were received. A filter that is None lets all through."""
    return await _all(connection, _LIST, after=after, before=before, limit=limit, **filters)


async def list_newest_orders(
    connection: AsyncConnection, *, limit: int, filters: Mapping[str, object], before: int = _LAST
) -> list[Row]:
    """The same, the last received first."""
    return await _all(connection, _LIST_NEWEST_FIRST, after=0, before=before, limit=limit, **filters)


async def counts(connection: AsyncConnection, *, step: str, steps: int, until: datetime | None) -> list[Row]:
    """How many orders were placed in each hour or day of a span that ends at `until`, or with the newest order."""
    length = timedelta(hours=steps - 1) if step == "hour" else timedelta(days=steps - 1)
    return await _all(connection, _COUNTS, step=step, length=length, until=until)


async def show_order(connection: AsyncConnection, order_id: UUID) -> Row | None:
    """One order without its parts, or None."""
    rows = await _all(connection, _SHOW, order_id=order_id)
    return rows[0] if rows else None


async def lines_of(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """The lines of an order."""
    return await _all(connection, _LINES, order_id=order_id)


async def holds_of(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """All holds an order ever had."""
    return await _all(connection, _ORDER_HOLDS, order_id=order_id)


async def payments_of(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """The payments of an order."""
    return await _all(connection, _PAYMENTS, order_id=order_id)


async def cancellations_of(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """The cancellations of an order."""
    return await _all(connection, _CANCELLATIONS, order_id=order_id)


async def hold(connection: AsyncConnection, hold_id: UUID) -> Row | None:
    """One hold, or None."""
    rows = await _all(connection, _HOLD_BY_ID, hold_id=hold_id)
    return rows[0] if rows else None


async def list_holds(
    connection: AsyncConnection, *, after: UUID, limit: int, state: str, code: str | None
) -> list[Row]:
    """Holds in a state, oldest cause first."""
    return await _all(connection, _LIST_HOLDS, after=after, limit=limit, state=state, code=code)


async def tellings_of(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """All that the channel told of an order, newest version first."""
    return await _all(connection, _TELLINGS, order_id=order_id)


async def timeline(connection: AsyncConnection, order_id: UUID, *, after: int, limit: int) -> list[Row]:
    """What happened to an order, as it was heard."""
    return await _all(connection, _TIMELINE, order_id=order_id, after=after, limit=limit)


async def states(connection: AsyncConnection) -> list[Row]:
    """How many orders are in each state."""
    return await _all(connection, _STATES)


async def reasons(connection: AsyncConnection) -> list[Row]:
    """How many orders of each state have an open hold of each code."""
    return await _all(connection, _REASONS)


async def line_totals(connection: AsyncConnection) -> Row:
    """How many lines there are, and how many have shipped."""
    return (await _all(connection, _LINE_TOTALS))[0]


async def _all(connection: AsyncConnection, statement: TextClause, **parameters: object) -> list[Row]:
    return list((await connection.execute(statement, parameters)).mappings())
