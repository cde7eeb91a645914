"""Reservations and their lines, and the queue of orders that wait for stock."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import Writing
from oms_inventory.adapters.shelf import MAIN_POOL
from oms_inventory.domain.channel import Shop
from oms_inventory.domain.reservation import Line, Reservation, State

# One statement creates, locks and counts up. An order that others speak of before it is placed has a row too, so
# that two batches which both meet it for the first time wait for each other.
_LOCK = text(
    """
    insert into reservations (order_id, channel, shop, state)
    select order_id, channel, shop, :state
      from unnest(cast(:order_ids as uuid[]), cast(:channels as text[]), cast(:shops as text[]))
           as spoken(order_id, channel, shop)
     order by order_id
    on conflict (order_id) do update set
        version = reservations.version + 1, channel = coalesce(reservations.channel, excluded.channel),
        shop = coalesce(reservations.shop, excluded.shop)
    returning order_id, channel, shop, state, version
    """
)
_LINES = text(
    """
    select order_id, line_id, sku, ordered, cancelled, allocated, consumed, reserved
      from reservation_lines where order_id = any(cast(:order_ids as uuid[])) order by order_id, line_id
    """
)
_SAVE_STATES = text(
    """
    update reservations set state = saved.state
      from unnest(cast(:order_ids as uuid[]), cast(:states as text[])) as saved(order_id, state)
     where reservations.order_id = saved.order_id
    """
)
_SAVE_LINES = text(
    """
    insert into reservation_lines (order_id, line_id, sku, ordered, cancelled, allocated, consumed, reserved)
    select * from unnest(
        cast(:order_ids as uuid[]), cast(:line_ids as text[]), cast(:skus as text[]), cast(:ordered as bigint[]),
        cast(:cancelled as bigint[]), cast(:allocated as bigint[]), cast(:consumed as bigint[]),
        cast(:reserved as bigint[]))
    on conflict (order_id, line_id) do update set
        sku = excluded.sku, ordered = excluded.ordered, cancelled = excluded.cancelled,
        allocated = excluded.allocated, consumed = excluded.consumed, reserved = excluded.reserved
    """
)
_QUEUE = text(
    """
    insert into waiting_orders (order_id, skus, cause_id, correlation_id, received_at, retry_at)
    select order_id, string_to_array(skus, chr(31)), cause_id, correlation_id, received_at, received_at
      from unnest(cast(:order_ids as uuid[]), cast(:skus as text[]), cast(:cause_ids as uuid[]),
                  cast(:correlation_ids as text[]), cast(:received_ats as timestamptz[]))
           as waiting(order_id, skus, cause_id, correlation_id, received_at)
    """
)
_UNQUEUE = text("delete from waiting_orders where order_id = any(cast(:order_ids as uuid[]))")
_POSTPONE = text("update waiting_orders set retry_at = :retry_at where order_id = any(cast(:order_ids as uuid[]))")
# Only orders whose every line the pool could give now are taken up; those that another transaction holds are
# being changed anyway and left to the next round.
_LOCK_WAITING = text(
    """
    with candidates as materialized (
        select waiting.order_id, waiting.cause_id, waiting.correlation_id, waiting.received_at
          from waiting_orders waiting
         where waiting.retry_at <= :now
           and waiting.skus && array(
               select sku from pools where pool = :pool and sku = any(cast(:skus as text[])) and base > reserved)
           and not exists (
               select 1 from reservation_lines line
                 left join pools on pools.pool = :pool and pools.sku = line.sku
                where line.order_id = waiting.order_id
                group by line.sku
               having sum(greatest(0, line.ordered - line.cancelled - line.allocated - line.consumed))
                      > greatest(0, coalesce(max(pools.base - pools.reserved), 0)))
         order by waiting.received_at, waiting.order_id
         limit :page
    )
    select candidates.order_id, channel, shop, version, cause_id, correlation_id, received_at
      from candidates join reservations on reservations.order_id = candidates.order_id
     where state = 'waiting'
     order by received_at, candidates.order_id
       for update of reservations skip locked
    """
)
_WAITED_FOR = text("select distinct unnest(skus) as sku from waiting_orders")


class Waiting(NamedTuple):
    """An order in the queue, with the event that placed it."""

    reservation: Reservation
    cause_id: str
    correlation_id: str
    received_at: datetime


class Queued(NamedTuple):
    """An order that goes to the end of the queue."""

    order_id: UUID
    skus: Sequence[str]
    cause_id: str
    correlation_id: str
    received_at: datetime


async def lock(connection: AsyncConnection, order_ids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """The reservations of these orders, locked, with their lines; new ones where nobody spoke of an order before."""
    ids = list(dict.fromkeys(order_ids))
    nothing = [None] * len(ids)
    return await _lock(connection, State.ANNOUNCED, ids, nothing, nothing)


async def lock_placed(connection: AsyncConnection, shops: dict[UUID, Shop]) -> dict[UUID, Reservation]:
    """Like `lock`, for orders just placed. A new row is written as reserved, which nearly all will be."""
    channels, names = [shop.channel for shop in shops.values()], [shop.shop for shop in shops.values()]
    return await _lock(connection, State.RESERVED, list(shops), channels, names)


async def _lock(
    connection: AsyncConnection,
    state: State,
    order_ids: Sequence[UUID],
    channels: Sequence[str | None],
    shops: Sequence[str | None],
) -> dict[UUID, Reservation]:
    parameters = {"order_ids": order_ids, "channels": channels, "shops": shops, "state": state}
    locked: dict[UUID, Reservation] = {}
    known: list[UUID] = []
    for order_id, channel, shop, stored, version in await connection.execute(_LOCK, parameters):
        reservation = locked[order_id] = Reservation(order_id, version, saved_state=State(stored))
        if version > 1:
            known.append(order_id)
            reservation.state = reservation.saved_state
            reservation.shop = Shop(channel, shop) if channel is not None else None
    await _load_lines(connection, locked, known)
    return locked


async def _load_lines(
    connection: AsyncConnection, reservations: dict[UUID, Reservation], order_ids: Collection[UUID]
) -> None:
    if order_ids:
        for order_id, line_id, *values in await connection.execute(_LINES, {"order_ids": list(order_ids)}):
            reservations[order_id].lines[line_id] = Line(line_id, *values)


async def save(writing: Writing, reservations: Iterable[Reservation]) -> None:
    """Write what changed."""
    changed = list(reservations)
    await _save_states(writing, [r for r in changed if r.state is not r.saved_state])
    lines = [(r.order_id, line) for r in changed for line in r.changed.values()]
    if lines:
        await writing.execute(
            _SAVE_LINES,
            {
                "order_ids": [order_id for order_id, _ in lines],
                "line_ids": [line.line_id for _, line in lines],
                "skus": [line.sku for _, line in lines],
                "ordered": [line.ordered for _, line in lines],
                "cancelled": [line.cancelled for _, line in lines],
                "allocated": [line.allocated for _, line in lines],
                "consumed": [line.consumed for _, line in lines],
                "reserved": [line.reserved for _, line in lines],
            },
        )


async def _save_states(writing: Writing, moved: Sequence[Reservation]) -> None:
    if moved:
        await writing.execute(
            _SAVE_STATES,
            {"order_ids": [r.order_id for r in moved], "states": [r.state.value for r in moved]},
        )
    left = [r.order_id for r in moved if r.saved_state is State.WAITING]
    if left:
        await writing.execute(_UNQUEUE, {"order_ids": left})


async def queue(connection: AsyncConnection, orders: Sequence[Queued]) -> None:
    """Let orders wait for stock."""
    if orders:
        await connection.execute(
            _QUEUE,
            {
                "order_ids": [order.order_id for order in orders],
                # An array of arrays has to be square, so each order's SKUs travel as one text. No SKU holds a
                # control character.
                "skus": ["\x1f".join(order.skus) for order in orders],
                "cause_ids": [order.cause_id for order in orders],
                "correlation_ids": [order.correlation_id for order in orders],
                "received_ats": [order.received_at for order in orders],
            },
        )


async def waited_for(connection: AsyncConnection) -> list[str]:
    """SKUs that some order waits for."""
    return list((await connection.execute(_WAITED_FOR)).scalars())


async def lock_waiting(
    connection: AsyncConnection, skus: Collection[str], *, now: datetime, page: int
) -> list[Waiting]:
    """Orders that waited for any of these SKUs and could be served now, oldest first."""
    rows = await connection.execute(_LOCK_WAITING, {"skus": list(skus), "now": now, "page": page, "pool": MAIN_POOL})
    found = [
        Waiting(
            Reservation(order_id, version, State.WAITING, State.WAITING, Shop(channel, shop)),
            str(cause_id),
            correlation,
            at,
        )
        for order_id, channel, shop, version, cause_id, correlation, at in rows
    ]
    reservations = {waiting.reservation.order_id: waiting.reservation for waiting in found}
    await _load_lines(connection, reservations, reservations.keys())
    return found


async def postpone(connection: AsyncConnection, order_ids: Sequence[UUID], *, retry_at: datetime) -> None:
    """Leave orders alone until then."""
    if order_ids:
        await connection.execute(_POSTPONE, {"order_ids": list(order_ids), "retry_at": retry_at})
