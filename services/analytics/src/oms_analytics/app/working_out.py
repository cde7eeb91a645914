"""Orders of which something is new are worked out, a page at a time, each page in a few statements."""

import asyncio
import time
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.adapters import facts, profits, reference
from oms_analytics.domain.order import Order, order_of
from oms_analytics.domain.prices import Prices
from oms_analytics.domain.shares import OrderProfit, Shares, work_out
from oms_events.runtime.service import Begin
from oms_events.runtime.work import Work

_AT_A_TIME = 100
"""Orders between two looks at what else the process has to do: an API in it must not wait."""
_PAGE = 500
"""Orders that are loaded and saved together."""
_ROWS_A_RUN = 100
"""Batches of news that one run looks at: orders that are in several of them are worked out once."""
_LONGEST_S = 2.0
"""How long one transaction goes on while there is more: what it changed stays locked until it ends."""


class Run(NamedTuple):
    """What one transaction did."""

    orders: int
    more: bool
    """Whether there was more than it had time for. What comes meanwhile can wait: several words on one order then cost
    one look at it."""


async def keep_up(begin: Begin) -> None:
    """Bring orders and roll-ups up to what is known."""
    more = True
    while more:
        async with begin() as work:
            more = (await work_out_changed(work)).more


async def work_out_changed(work: Work) -> Run:
    """Work out orders of which something is new, for a while."""
    until, done = time.monotonic() + _LONGEST_S, 0
    await facts.alone(work.connection)
    await facts.take_changed_prices(work.connection)
    changed, all_taken = await facts.take_changed(work.connection, rows=_ROWS_A_RUN)
    while done < len(changed):
        await _bring_up(work.connection, changed[done : done + _PAGE])
        done = min(done + _PAGE, len(changed))
        if time.monotonic() >= until:  # asked last: one page at least is done, however slow the database is
            break
    await facts.enqueue(work.connection, changed[done:])
    return Run(done, more=done < len(changed) or not all_taken)


async def load(connection: AsyncConnection, order_ids: Collection[str]) -> tuple[dict[str, Order], Prices]:
    """Orders as their facts tell them, and the prices of their time. Those that nobody placed yet are left out."""
    told = await facts.facts_of(connection, order_ids)
    orders = {id_: order for id_, known in told.items() if (order := order_of(known)) is not None}
    skus = {line.sku for order in orders.values() for line in order.lines}
    return orders, await reference.prices(connection, skus, {order.channel for order in orders.values()})


async def _bring_up(connection: AsyncConnection, order_ids: Collection[str]) -> None:
    orders, prices = await load(connection, order_ids)
    before = await profits.shares_of(connection, orders.keys())
    after: dict[str, OrderProfit] = {}
    change = Shares.none()
    for number, (order_id, order) in enumerate(orders.items(), start=1):
        worked_out = work_out(order, prices)
        known = before.get(order_id)
        if known != worked_out.shares:
            after[order_id] = worked_out
            change.add(worked_out.shares)
            if known is not None:
                change.add(known, sign=-1)
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    await profits.save(connection, after, change.without_zeros())
