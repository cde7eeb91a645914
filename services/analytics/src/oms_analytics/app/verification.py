"""Looking over the books: roll-ups against orders, orders against facts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.adapters import audit
from oms_analytics.app import working_out
from oms_analytics.domain.amounts import VERSIONS
from oms_analytics.domain.shares import Shares, work_out

_PAGE = 500


async def differences(connection: AsyncConnection) -> AsyncIterator[str]:
    """Everything that is other than it should be, one line each; nothing when the books are right.

    Roll-ups must be the sum of their orders at every moment. An order must be what its facts come to, unless it waits
    to be worked out again.
    """
    await audit.hold_still(connection)
    waiting = await audit.queued(connection)
    prices_wait = await audit.prices_queued(connection)
    for order_id in await audit.forgotten(connection):
        if order_id not in waiting:
            yield f"order {order_id}: placed and never worked out"
    for day in await audit.days(connection):
        async for difference in _of_day(connection, day, waiting, check_facts=not prices_wait):
            yield difference


async def _of_day(
    connection: AsyncConnection, day: date, waiting: frozenset[str], *, check_facts: bool
) -> AsyncIterator[str]:
    order_ids = await audit.orders_of(connection, day)
    added = Shares.none()
    for start in range(0, len(order_ids), _PAGE):
        page = order_ids[start : start + _PAGE]
        known = await audit.stored(connection, page)
        for _, shares in known.values():
            added.add(shares)
        if check_facts:
            settled = {id_: known[id_] for id_ in page if id_ not in waiting}
            for line in await _against_facts(connection, settled):
                yield line
    rolled_up, added = await audit.roll_ups_of(connection, day), added.without_zeros()
    for name in ("shop_days", "sku_days", "shop_hours"):
        for line in _unequal(name, getattr(rolled_up, name), getattr(added, name)):
            yield line


async def _against_facts(connection: AsyncConnection, known: Mapping[str, tuple[Sequence[int], Shares]]) -> list[str]:
    orders, prices = await working_out.load(connection, known.keys())
    found = []
    for order_id, (sums, shares) in known.items():
        if order_id not in orders:
            found.append(f"order {order_id}: worked out without facts")
            continue
        fresh = work_out(orders[order_id], prices)
        expected = (
            *(fresh.profits[version] for version in VERSIONS),
            fresh.expected_sum_minor,
            fresh.answered_sum_minor,
        )
        if tuple(sums) != expected or shares != fresh.shares:
            found.append(f"order {order_id}: {tuple(sums)} is stored, its facts come to {expected}")
    return found


def _unequal(name: str, rolled_up: Mapping[Any, Sequence[int]], added: Mapping[Any, Sequence[int]]) -> list[str]:
    keys = sorted(rolled_up.keys() | added.keys())
    return [
        f"{name} {'/'.join(map(str, key))}: {rolled_up.get(key)} is kept, its orders add up to {added.get(key)}"
        for key in keys
        if rolled_up.get(key) != added.get(key)
    ]
