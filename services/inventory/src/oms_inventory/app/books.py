"""The books a batch works on: loaded under lock before it decides, saved together after."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from oms_events.runtime.together import together
from oms_events.runtime.work import Work
from oms_inventory.adapters import reservations, shelf, shipments
from oms_inventory.app import waiting
from oms_inventory.domain.allocation import Shipment
from oms_inventory.domain.channel import Shop
from oms_inventory.domain.reservation import Quantity, Reservation
from oms_inventory.domain.stock import Stock


class ContractLine(Protocol):
    """A line as contracts know it."""

    @property
    def line_id(self) -> str: ...
    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Books:
    """Orders, shipments and stock of a batch."""

    orders: Mapping[UUID, Reservation]
    shipments: Mapping[UUID, Shipment]
    stock: Stock


async def open_orders(
    work: Work, orders: Mapping[UUID, Reservation], skus: Iterable[str], *, shops: Collection[Shop] = ()
) -> Books:
    """The books of orders already locked, with the stock of these SKUs and of all lines known before."""
    wanted = set(skus)
    wanted.update(line.sku for order in orders.values() for line in order.lines.values())
    known = {order.shop for order in orders.values() if order.shop is not None}
    stock = await shelf.load(work.connection, wanted, shops=known.union(shops))
    return Books(orders, {}, stock)


async def open_shipments(
    work: Work, spoken: Sequence[Shipment], lines: Iterable[tuple[Shipment, Sequence[Quantity]]], *, create: bool
) -> Books:
    """The books of shipments: their orders locked, the stock of their lines at their nodes."""
    orders = await reservations.lock(work.connection, [shipment.order_id for shipment in spoken])
    known = await shipments.load(work.connection, spoken)
    cells = {(line.sku, known[shipment.shipment_id].node) for shipment, quantities in lines for line in quantities}
    cells |= {(line.sku, shipment.node) for shipment in known.values() for line in shipment.lines.values()}
    skus = {sku for sku, _ in cells}
    skus.update(line.sku for order in orders.values() for line in order.lines.values())
    shops = {order.shop for order in orders.values() if order.shop is not None}
    stock = await shelf.load(work.connection, skus, shops=shops, cells=cells, create=create)
    return Books(orders, known, stock)


async def close(work: Work, books: Books) -> None:
    """Save everything, then let orders that wait for what came free try again."""
    async with together(work.connection) as writing:
        await reservations.save(writing, books.orders.values())
        await shipments.save(writing, books.shipments.values())
        await shelf.save(writing, books.stock)
    await waiting.serve(work, books.stock.grown())


def quantities(lines: Iterable[ContractLine]) -> list[Quantity]:
    """Lines of a contract, each line id once."""
    found = [Quantity(line.line_id, line.sku, line.quantity) for line in lines]
    if len({line.line_id for line in found}) == len(found):
        return found
    merged: dict[str, Quantity] = {}
    for line in found:
        before = merged.get(line.line_id)
        merged[line.line_id] = line if before is None else before._replace(quantity=before.quantity + line.quantity)
    return list(merged.values())
