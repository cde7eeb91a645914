"""The channels' adapters: send orders, payments and cancellations in the order of the book."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from oms_events.contracts.intake import ChannelCancellation, ChannelOrder, ChannelPayment
from oms_sample.book import Cancellation, Entry, Sale
from oms_sample.client import BATCH, Door, Pace, chunks
from oms_sample.journal import Journal
from oms_sample.synth import World

ORDERS = "/v1/orders:batch"
PAYMENTS = "/v1/payments:batch"
CANCELLATIONS = "/v1/cancellations:batch"


@dataclass(slots=True)
class _Post:
    """What goes out together. `again` follows `orders` in a request of its own: repeats and older versions."""

    early: list[ChannelPayment] = field(default_factory=list)
    orders: list[ChannelOrder] = field(default_factory=list)
    again: list[ChannelOrder] = field(default_factory=list)
    payments: list[ChannelPayment] = field(default_factory=list)
    cancellations: list[ChannelCancellation] = field(default_factory=list)


class Channels:
    """Sends the book. One batch is acknowledged before the next: a cancellation never overtakes its order here."""

    def __init__(self, world: World, door: Door, journal: Journal, pace: Pace, batch: int = BATCH) -> None:
        self._world = world
        self._door = door
        self._journal = journal
        self._pace = pace
        self._batch = batch

    async def send(self, entries: Iterable[Entry]) -> None:
        """Send all of it. Raises Refused and Unavailable."""
        for chunk in chunks(entries, self._batch):
            post = self._gather(chunk)
            await self._pace.pass_on(len(post.orders))
            await self._send("early payments", PAYMENTS, post.early)
            await self._send_orders(post.orders)
            await self._send("payments", PAYMENTS, post.payments)
            await self._send("orders again", ORDERS, post.again)
            await self._send("cancellations", CANCELLATIONS, post.cancellations)

    def _gather(self, entries: Iterable[Entry]) -> _Post:
        post = _Post()
        for entry in entries:
            if isinstance(entry, Cancellation):
                post.cancellations.append(self._world.cancellation(entry))
            else:
                self._add_sale(post, entry)
        return post

    def _add_sale(self, post: _Post, sale: Sale) -> None:
        world, no = self._world, sale.invoice_no
        order = world.order(sale)
        post.orders.append(order)
        if world.is_repeated(no):
            post.again.append(order)
            self._journal.happened["orders sent twice"] += 1
        if world.is_outdated(no):
            post.again.append(world.outdated(order))
            self._journal.happened["older versions sent after newer ones"] += 1
        if world.is_unpaid(no):
            self._journal.unpaid.add(str(order.order_id))
        elif (payment := world.payment(sale, order)) is not None:
            (post.early if world.pays_early(no) else post.payments).append(payment)

    async def _send_orders(self, orders: list[ChannelOrder]) -> None:
        answers = await self._door.post_intake(ORDERS, orders)
        accepted = set(answers.accepted)
        self._journal.posted["orders"] += len(orders)
        self._journal.rejected += answers.rejected
        for order in orders:
            order_id = str(order.order_id)
            if order_id in accepted:
                self._journal.ordered[order_id] = {line.line_no: line.quantity for line in order.lines}
                self._journal.order_numbers[order_id] = f"{order.shop} {order.channel_order_no}"

    async def _send(
        self, what: str, path: str, items: list[ChannelOrder] | list[ChannelPayment] | list[ChannelCancellation]
    ) -> None:
        answers = await self._door.post_intake(path, items)
        self._journal.posted[what] += len(items)
        self._journal.rejected += answers.rejected
