"""The orders of one batch: loaded once, changed by one fact after the other, saved once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from oms_events.envelope import EventMeta, Received
from oms_events.registry import Event
from oms_events.runtime.together import together
from oms_events.runtime.work import Work
from oms_orders.adapters import orders, records
from oms_orders.adapters.records import Entry
from oms_orders.app.announcements import announcement, label
from oms_orders.domain.order import Cause, Order
from oms_orders.domain.progress import settle
from oms_orders.domain.states import awaits_payment
from oms_orders.settings import settings

SOURCE = "/oms/orders"
"""What names our own causes: commands, deadlines, jobs."""
UNPAID = "unpaid"
"""The deadline by which an order must be paid; its key is the order's id."""


class Book:
    """What a handler writes in. Facts of orders that have not come yet are kept for them."""

    def __init__(self, work: Work, known: Mapping[UUID, Order]) -> None:
        self.orders = dict(known)
        self.new: dict[UUID, Order] = {}
        self.retold: dict[UUID, Order] = {}
        self._work = work
        self._waited = {order_id for order_id, order in known.items() if awaits_payment(order)}
        self._changed: dict[UUID, Order] = {}
        self._entries: list[Entry] = []
        self._early: dict[UUID, list[Received[Event]]] = {}

    def add(self, order: Order) -> None:
        """Take in an order that was not known."""
        self.orders[order.order_id] = self.new[order.order_id] = order

    def cause(self, meta: EventMeta) -> Cause:
        """An event as the cause of decisions."""
        return Cause(meta.id, meta.time, self._work.now)

    def expect(self, early: Mapping[UUID, Sequence[Received[Event]]]) -> None:
        """Orders that will be added, with what was heard of them before this batch."""
        self._early = {order_id: list(facts) for order_id, facts in early.items()}

    def wait(self, order_id: UUID, received: Received[Event]) -> None:
        """Keep a fact until its order comes."""
        self._early.setdefault(order_id, []).append(received)

    def take_early(self, order_id: UUID) -> Sequence[Received[Event]]:
        """What was heard of an order before it came, in the order in which it was heard."""
        return self._early.pop(order_id, ())

    def note(self, order_id: UUID, meta: EventMeta, kind: str, detail: dict[str, Any]) -> None:
        """Put on an order's timeline what changes nothing about it."""
        self._entries.append(Entry(order_id, meta.time, kind, meta.id, detail))

    def record(self, order: Order, meta: EventMeta, cause: Cause, kind: str, detail: dict[str, Any]) -> None:
        """Draw the conclusions from a fact, publish them, and put all of it on the order's timeline."""
        settle(order, cause)
        led_to = []
        for decision in order.take_decisions():
            order.version += 1
            self._work.emit(announcement(order, decision), cause=meta, sequence=order.version)
            led_to.append(label(decision))
        self._entries.append(Entry(order.order_id, meta.time, kind, meta.id, detail, led_to))
        if order.order_id not in self.new:
            self._changed[order.order_id] = order

    async def save(self) -> None:
        """Write all that changed: one statement per table."""
        connection, now = self._work.connection, self._work.now
        waiting = [(order_id, fact) for order_id, facts in self._early.items() for fact in facts]
        await orders.replace(connection, self.retold.values())
        async with together(connection) as writing:
            await orders.insert(writing, self.new.values(), now)
            await orders.update(writing, self._changed.values(), now)
            await records.append(writing, self._entries)
            await records.keep_early(writing, waiting)
        self._schedule(self.new.values())
        self._schedule(self._changed.values())

    def _schedule(self, written: Iterable[Order]) -> None:
        for order in written:
            waits, waited = awaits_payment(order), order.order_id in self._waited
            if waits and not waited:
                due_at = order.received_at + timedelta(seconds=settings().unpaid_timeout_s)
                self._work.schedule(UNPAID, str(order.order_id), due_at)
            elif waited and not waits:
                self._work.unschedule(UNPAID, str(order.order_id))
