"""Orders in the database: loaded as cases under lock, saved with one statement per table that changed."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.json import Decoder
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.documents import to_document
from oms_events.runtime.together import Writing
from oms_orders.domain.order import (
    Cancellation,
    CancelledLine,
    Destination,
    Hold,
    Line,
    Order,
    Payment,
    Shipment,
)
from oms_orders.domain.states import axes_of

_ship_to = Decoder(Destination)

_LOAD = text(
    """
    select order_id, channel, shop, channel_order_no, channel_version, received_at, placed_at, currency,
           shipping_minor, total_minor, cast(ship_to as text), delivery_tier, ship_by, buyer_note, paid_minor, reserved,
           entered_at, paid_at, released_at, cancelled_at, completed_at, version, open_holds, open_cancellations
      from orders where order_id = any(cast(:ids as uuid[])) order by order_id for update
    """
)
# Order by order, each by the index. While statistics lag behind a growing table, `= any` would be planned as a scan of
# all lines, which costs more the more orders there are.
_LOAD_LINES = text(
    """
    select line.* from unnest(cast(:ids as uuid[])) as wanted(id) cross join lateral (
        select order_id, line_id, listing, sku, quantity, unit_price_minor, discount_minor, cancelled, shipped,
               delivered
          from order_lines where order_id = wanted.id order by position) as line
    """
)
_LOAD_HOLDS = text(
    """
    select order_id, hold_id, line_id, code, detail, blocks, auto, opened_at from holds
     where order_id = any(cast(:ids as uuid[])) and state = 'OPEN' order by order_id, opened_at, hold_id
    """
)
_HELD = text(
    "select order_id from holds where order_id = any(cast(:ids as uuid[])) and state = 'OPEN'"
    " and code = any(cast(:codes as text[]))"
)
_LOAD_PAYMENTS = text(
    """
    select order_id, payment_no, currency, amount_minor, paid_at from payments
     where order_id = any(cast(:ids as uuid[])) order by order_id, payment_no
    """
)
_LOAD_CANCELLATIONS = text(
    """
    select order_id, cancellation_id, cancellation_no, source, reason, requested_at, lines, state, closed_at
      from cancellations where order_id = any(cast(:ids as uuid[])) order by order_id, requested_at, cancellation_no
    """
)
_LOAD_SHIPMENTS = text(
    """
    select order_id, shipment_id, lines, dispatched_at, delivered_at from shipments
     where order_id = any(cast(:ids as uuid[])) order by order_id, shipment_id
    """
)

_INSERT = text(
    """
    insert into orders (order_id, channel, shop, channel_order_no, received_at, placed_at, currency, shipping_minor,
        total_minor, ship_to, delivery_tier, channel_version, ship_by, buyer_note, paid_minor, reserved, entered_at,
        paid_at, released_at, cancelled_at, completed_at, payment_state, fulfilment_state, after_sales_state, state,
        open_holds, open_cancellations, version, updated_at)
    select row.*, :now from unnest(
        cast(:order_id as uuid[]), cast(:channel as text[]), cast(:shop as text[]), cast(:channel_order_no as text[]),
        cast(:received_at as timestamptz[]), cast(:placed_at as timestamptz[]), cast(:currency as text[]),
        cast(:shipping_minor as bigint[]), cast(:total_minor as bigint[]), cast(:ship_to as jsonb[]),
        cast(:delivery_tier as text[]), cast(:channel_version as bigint[]), cast(:ship_by as timestamptz[]),
        cast(:buyer_note as text[]), cast(:paid_minor as bigint[]), cast(:reserved as boolean[]),
        cast(:entered_at as timestamptz[]), cast(:paid_at as timestamptz[]), cast(:released_at as timestamptz[]),
        cast(:cancelled_at as timestamptz[]), cast(:completed_at as timestamptz[]), cast(:payment_state as text[]),
        cast(:fulfilment_state as text[]), cast(:after_sales_state as text[]), cast(:state as text[]),
        cast(:open_holds as integer[]), cast(:open_cancellations as integer[]), cast(:version as integer[])) as row
    """
)
_REPLACE = text(
    """
    update orders set placed_at = row.placed_at, currency = row.currency, shipping_minor = row.shipping_minor,
           total_minor = row.total_minor, ship_to = row.ship_to, delivery_tier = row.delivery_tier,
           channel_version = row.channel_version, ship_by = row.ship_by, buyer_note = row.buyer_note
      from unnest(
        cast(:order_id as uuid[]), cast(:placed_at as timestamptz[]), cast(:currency as text[]),
        cast(:shipping_minor as bigint[]), cast(:total_minor as bigint[]), cast(:ship_to as jsonb[]),
        cast(:delivery_tier as text[]), cast(:channel_version as bigint[]), cast(:ship_by as timestamptz[]),
        cast(:buyer_note as text[])) as row(order_id, placed_at, currency, shipping_minor, total_minor, ship_to,
        delivery_tier, channel_version, ship_by, buyer_note)
     where orders.order_id = row.order_id
    """
)
_UPDATE = text(
    """
    update orders set paid_minor = row.paid_minor, reserved = row.reserved, entered_at = row.entered_at,
           paid_at = row.paid_at, released_at = row.released_at, cancelled_at = row.cancelled_at,
           completed_at = row.completed_at, payment_state = row.payment_state,
           fulfilment_state = row.fulfilment_state, after_sales_state = row.after_sales_state, state = row.state,
           open_holds = row.open_holds, open_cancellations = row.open_cancellations, version = row.version,
           updated_at = :now
      from unnest(
        cast(:order_id as uuid[]), cast(:paid_minor as bigint[]), cast(:reserved as boolean[]),
        cast(:entered_at as timestamptz[]), cast(:paid_at as timestamptz[]), cast(:released_at as timestamptz[]),
        cast(:cancelled_at as timestamptz[]), cast(:completed_at as timestamptz[]), cast(:payment_state as text[]),
        cast(:fulfilment_state as text[]), cast(:after_sales_state as text[]), cast(:state as text[]),
        cast(:open_holds as integer[]), cast(:open_cancellations as integer[]), cast(:version as integer[]))
        as row(order_id, paid_minor, reserved, entered_at, paid_at, released_at, cancelled_at, completed_at,
        payment_state, fulfilment_state, after_sales_state, state, open_holds, open_cancellations, version)
     where orders.order_id = row.order_id
    """
)
_DELETE_LINES = text("delete from order_lines where order_id = any(cast(:ids as uuid[]))")
_INSERT_LINES = text(
    """
    insert into order_lines (order_id, line_id, position, listing, sku, quantity, unit_price_minor, discount_minor,
        cancelled, shipped, delivered)
    select * from unnest(cast(:order_id as uuid[]), cast(:line_id as text[]), cast(:position as integer[]),
        cast(:listing as text[]), cast(:sku as text[]), cast(:quantity as integer[]),
        cast(:unit_price_minor as bigint[]), cast(:discount_minor as bigint[]), cast(:cancelled as integer[]),
        cast(:shipped as integer[]), cast(:delivered as integer[]))
    """
)
_UPDATE_LINES = text(
    """
    update order_lines set sku = row.sku, cancelled = row.cancelled, shipped = row.shipped, delivered = row.delivered
      from unnest(cast(:order_id as uuid[]), cast(:line_id as text[]), cast(:sku as text[]),
        cast(:cancelled as integer[]), cast(:shipped as integer[]), cast(:delivered as integer[]))
        as row(order_id, line_id, sku, cancelled, shipped, delivered)
     where order_lines.order_id = row.order_id and order_lines.line_id = row.line_id
    """
)
_SAVE_HOLDS = text(
    """
    insert into holds (hold_id, order_id, line_id, code, detail, blocks, auto, state, opened_at, closed_at, closed_by,
        note)
    select hold_id, order_id, line_id, code, detail, string_to_array(blocks, ','), auto, state, opened_at, closed_at,
           closed_by, note
      from unnest(cast(:hold_id as uuid[]), cast(:order_id as uuid[]), cast(:line_id as text[]),
        cast(:code as text[]), cast(:detail as text[]), cast(:blocks as text[]), cast(:auto as boolean[]),
        cast(:state as text[]), cast(:opened_at as timestamptz[]), cast(:closed_at as timestamptz[]),
        cast(:closed_by as text[]), cast(:note as text[])) as row(hold_id, order_id, line_id, code, detail, blocks,
        auto, state, opened_at, closed_at, closed_by, note)
    on conflict (hold_id) do update
       set state = excluded.state, closed_at = excluded.closed_at, closed_by = excluded.closed_by,
           note = excluded.note
    """
)
_INSERT_PAYMENTS = text(
    """
    insert into payments (order_id, payment_no, currency, amount_minor, paid_at)
    select * from unnest(cast(:order_id as uuid[]), cast(:payment_no as text[]), cast(:currency as text[]),
        cast(:amount_minor as bigint[]), cast(:paid_at as timestamptz[]))
    """
)
_SAVE_CANCELLATIONS = text(
    """
    insert into cancellations (order_id, cancellation_no, cancellation_id, source, reason, requested_at, lines, state,
        closed_at)
    select * from unnest(cast(:order_id as uuid[]), cast(:cancellation_no as text[]), cast(:cancellation_id as uuid[]),
        cast(:source as text[]), cast(:reason as text[]), cast(:requested_at as timestamptz[]),
        cast(:lines as jsonb[]), cast(:state as text[]), cast(:closed_at as timestamptz[]))
    on conflict (order_id, cancellation_no) do update
       set lines = excluded.lines, state = excluded.state, closed_at = excluded.closed_at
    """
)
_SAVE_SHIPMENTS = text(
    """
    insert into shipments (order_id, shipment_id, lines, dispatched_at, delivered_at)
    select * from unnest(cast(:order_id as uuid[]), cast(:shipment_id as uuid[]), cast(:lines as jsonb[]),
        cast(:dispatched_at as timestamptz[]), cast(:delivered_at as timestamptz[]))
    on conflict (order_id, shipment_id) do update
       set lines = excluded.lines, dispatched_at = excluded.dispatched_at, delivered_at = excluded.delivered_at
    """
)


_SHIP_TO = 10
"""Place of `ship_to` among the columns of an order, which stand as its fields do."""


_ASKED = 5
"""Place of `lines` among the columns of a cancellation."""


# --- load ---------------------------------------------------------------------------------------------------------


async def load(
    connection: AsyncConnection,
    order_ids: Iterable[UUID],
    *,
    payments: Collection[UUID] = (),
    shipments: Collection[UUID] = (),
    cancellations: Collection[UUID] = (),
) -> dict[UUID, Order]:
    """The orders that exist, locked in the order of their ids, with their lines, open holds and open cancellations.

    Payments, shipments and all cancellations only of those orders for which they are asked: they are seldom needed.
    """
    found: dict[UUID, Order] = {}
    held: list[UUID] = []
    cancelling: set[UUID] = set(cancellations)
    for *columns, open_holds, open_cancellations in await connection.execute(_LOAD, {"ids": list(order_ids)}):
        columns[_SHIP_TO] = _ship_to.decode(columns[_SHIP_TO])
        order = Order(*columns)
        found[order.order_id] = order
        if open_holds:
            held.append(order.order_id)
        if open_cancellations:
            cancelling.add(order.order_id)
    if not found:
        return found
    for order_id, *columns in await connection.execute(_LOAD_LINES, {"ids": list(found)}):
        found[order_id].lines[columns[0]] = Line(*columns)
    if held:
        await _load_holds(connection, found, held)
    if known := found.keys() & cancelling:
        await _load_cancellations(connection, found, known)
    if known := found.keys() & set(payments):
        for order_id, *columns in await connection.execute(_LOAD_PAYMENTS, {"ids": list(known)}):
            found[order_id].payments[columns[0]] = Payment(*columns)
    if known := found.keys() & set(shipments):
        for order_id, *columns in await connection.execute(_LOAD_SHIPMENTS, {"ids": list(known)}):
            found[order_id].shipments[columns[0]] = Shipment(*columns)
    return found


async def held(connection: AsyncConnection, order_ids: Collection[UUID], codes: Collection[str]) -> set[UUID]:
    """Those of the orders that an open hold of one of these codes stops."""
    if not order_ids:
        return set()
    return set((await connection.execute(_HELD, {"ids": list(order_ids), "codes": list(codes)})).scalars())


async def _load_holds(connection: AsyncConnection, found: dict[UUID, Order], ids: Collection[UUID]) -> None:
    for order_id, hold_id, line_id, code, detail, blocks, auto, opened_at in await connection.execute(
        _LOAD_HOLDS, {"ids": ids}
    ):
        hold = Hold(hold_id, line_id, code, detail, tuple(blocks), auto, opened_at)
        found[order_id].holds.append(hold)


async def _load_cancellations(connection: AsyncConnection, found: dict[UUID, Order], ids: Collection[UUID]) -> None:
    for order_id, *columns in await connection.execute(_LOAD_CANCELLATIONS, {"ids": list(ids)}):
        columns[_ASKED] = [CancelledLine(**line) for line in columns[_ASKED]]
        cancellation = Cancellation(*columns)
        found[order_id].cancellations[cancellation.cancellation_no] = cancellation


# --- save ---------------------------------------------------------------------------------------------------------


async def insert(writing: Writing, orders: Collection[Order], now: datetime) -> None:
    """Write new orders with all that belongs to them."""
    rows = [
        (
            order.order_id,
            order.channel,
            order.shop,
            order.channel_order_no,
            order.received_at,
            *_content(order),
            *_progress(order),
        )
        for order in orders
    ]
    await _write(writing, _INSERT, ("order_id", *_IDENTITY, *_CONTENT, *_PROGRESS), rows, now=now)
    await _insert_lines(writing, orders)
    await _save_parts(writing, orders)


async def replace(connection: AsyncConnection, orders: Collection[Order]) -> None:
    """Write the content of orders that were told anew. `update` writes the rest."""
    rows = [(order.order_id, *_content(order)) for order in orders]
    if not rows:
        return
    await _write(connection, _REPLACE, ("order_id", *_CONTENT), rows)
    await connection.execute(_DELETE_LINES, {"ids": [order.order_id for order in orders]})
    await _insert_lines(connection, orders)


async def update(writing: Writing, orders: Collection[Order], now: datetime) -> None:
    """Write how far known orders have come, with what changed of all that belongs to them."""
    rows = [(order.order_id, *_progress(order)) for order in orders]
    await _write(writing, _UPDATE, ("order_id", *_PROGRESS), rows, now=now)
    lines = [
        (order.order_id, line.line_id, line.sku, line.cancelled, line.shipped, line.delivered)
        for order in orders
        for line in order.lines.values()
        if line.changed
    ]
    await _write(writing, _UPDATE_LINES, _LINE_PROGRESS, lines)
    await _save_parts(writing, orders)


_IDENTITY = ("channel", "shop", "channel_order_no", "received_at")
_CONTENT = (
    "placed_at",
    "currency",
    "shipping_minor",
    "total_minor",
    "ship_to",
    "delivery_tier",
    "channel_version",
    "ship_by",
    "buyer_note",
)
_PROGRESS = (
    "paid_minor",
    "reserved",
    "entered_at",
    "paid_at",
    "released_at",
    "cancelled_at",
    "completed_at",
    "payment_state",
    "fulfilment_state",
    "after_sales_state",
    "state",
    "open_holds",
    "open_cancellations",
    "version",
)


_LINE = (
    "order_id",
    "line_id",
    "position",
    "listing",
    "sku",
    "quantity",
    "unit_price_minor",
    "discount_minor",
    "cancelled",
    "shipped",
    "delivered",
)
_LINE_PROGRESS = ("order_id", "line_id", "sku", "cancelled", "shipped", "delivered")
_HOLD = (
    "hold_id",
    "order_id",
    "line_id",
    "code",
    "detail",
    "blocks",
    "auto",
    "state",
    "opened_at",
    "closed_at",
    "closed_by",
    "note",
)
_PAYMENT = ("order_id", "payment_no", "currency", "amount_minor", "paid_at")
_CANCELLATION = (
    "order_id",
    "cancellation_no",
    "cancellation_id",
    "source",
    "reason",
    "requested_at",
    "lines",
    "state",
    "closed_at",
)
_SHIPMENT = ("order_id", "shipment_id", "lines", "dispatched_at", "delivered_at")


def _content(order: Order) -> tuple[Any, ...]:
    return (
        order.placed_at,
        order.currency,
        order.shipping_minor,
        order.total_minor,
        to_document(order.ship_to),
        order.delivery_tier,
        order.channel_version,
        order.ship_by,
        order.buyer_note,
    )


def _progress(order: Order) -> tuple[Any, ...]:
    axes = axes_of(order)
    return (
        order.paid_minor,
        order.reserved,
        order.entered_at,
        order.paid_at,
        order.released_at,
        order.cancelled_at,
        order.completed_at,
        axes.payment,
        axes.fulfilment,
        axes.after_sales,
        axes.state,
        len(order.open_holds()),
        len(order.open_cancellations()),
        order.version,
    )


async def _insert_lines(writing: Writing, orders: Iterable[Order]) -> None:
    rows = [
        (
            order.order_id,
            line.line_id,
            position,
            line.listing,
            line.sku,
            line.quantity,
            line.unit_price_minor,
            line.discount_minor,
            line.cancelled,
            line.shipped,
            line.delivered,
        )
        for order in orders
        for position, line in enumerate(order.lines.values())
    ]
    await _write(writing, _INSERT_LINES, _LINE, rows)


async def _save_parts(writing: Writing, orders: Collection[Order]) -> None:
    holds = [
        (
            hold.hold_id,
            order.order_id,
            hold.line_id,
            hold.code,
            hold.detail,
            ",".join(hold.blocks),
            hold.auto,
            hold.state,
            hold.opened_at,
            hold.closed_at,
            hold.closed_by,
            hold.note,
        )
        for order in orders
        for hold in order.holds
        if hold.changed
    ]
    await _write(writing, _SAVE_HOLDS, _HOLD, holds)
    payments = [
        (order.order_id, payment.payment_no, payment.currency, payment.amount_minor, payment.paid_at)
        for order in orders
        for payment in order.new_payments
    ]
    await _write(writing, _INSERT_PAYMENTS, _PAYMENT, payments)
    cancellations = [
        (
            order.order_id,
            one.cancellation_no,
            one.cancellation_id,
            one.source,
            one.reason,
            one.requested_at,
            to_document(one.lines),
            one.state,
            one.closed_at,
        )
        for order in orders
        for one in order.cancellations.values()
        if one.changed
    ]
    await _write(writing, _SAVE_CANCELLATIONS, _CANCELLATION, cancellations)
    shipments = [
        (
            order.order_id,
            one.shipment_id,
            None if one.lines is None else to_document(one.lines),
            one.dispatched_at,
            one.delivered_at,
        )
        for order in orders
        for one in order.shipments.values()
        if one.changed
    ]
    await _write(writing, _SAVE_SHIPMENTS, _SHIPMENT, shipments)


async def _write(
    writing: Writing,
    statement: TextClause,
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    **single: object,
) -> None:
    """Give a statement its rows as one array per column. Without rows there is nothing to do."""
    if rows:
        columns = zip(names, map(list, zip(*rows, strict=True)), strict=True)
        await writing.execute(statement, {**dict(columns), **single})
