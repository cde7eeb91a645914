"""The life of an order, in any sequence of its facts: one end, and books that add up after every step."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from oms_inventory.domain.allocation import Allocated, Refused, Shipment, allocate, dispatch, take_back
from oms_inventory.domain.channel import ChannelRule, Shop
from oms_inventory.domain.reservation import (
    Held,
    Lack,
    Quantity,
    Reservation,
    Short,
    State,
    cancel_lines,
    cancel_order,
    place,
)
from oms_inventory.domain.stock import Cause, Cell, Pool, Shares, Stock

SHOP = Shop("web", "S1")
AT = datetime(2026, 3, 2, tzinfo=UTC)
WHY = Cause("reserved", UUID(int=1), AT)


def a_stock(rules: dict[tuple[Shop, str], ChannelRule] | None = None, **on_hand: int) -> Stock:
    """Stock of some SKUs, all at node N1."""
    cells = {(sku, "N1"): Cell(on_hand=quantity) for sku, quantity in on_hand.items()}
    return Stock({sku: Pool(base=quantity) for sku, quantity in on_hand.items()}, cells, Shares(rules or {}, {}))


def assert_books_add_up(
    stock: Stock, start: dict[str, int], orders: list[Reservation], shipments: list[Shipment]
) -> None:
    for sku, pool in stock.pools.items():
        cell = stock.cells[sku, "N1"]
        moved = [m for m in stock.movements if m.sku == sku]
        assert cell.on_hand == start[sku] + sum(m.on_hand for m in moved)
        assert cell.allocated == sum(m.allocated for m in moved)
        assert pool.reserved == sum(m.reserved for m in moved)
        assert pool.base == cell.contribution
        assert pool.reserved == sum(line.reserved for o in orders for line in o.lines.values() if line.sku == sku)
        assert cell.allocated == sum(line.open for s in shipments for line in s.lines.values() if line.sku == sku)


def test_two_orders_of_a_batch_see_each_other() -> None:
    stock = a_stock(A=10)
    first, second = Reservation(UUID(int=1), 1), Reservation(UUID(int=2), 1)
    assert isinstance(place(stock, first, SHOP, [Quantity("1", "A", 7)], WHY), Held)
    assert place(stock, second, SHOP, [Quantity("1", "A", 4)], WHY) == Short([Lack("A", 4, 3)])
    assert (first.state, second.state) == (State.RESERVED, State.WAITING)
    assert stock.pools["A"].reserved == 7


def test_all_lines_or_none() -> None:
    stock = a_stock(A=10, B=1)
    order = Reservation(UUID(int=1), 1)
    ordered = [Quantity("1", "A", 1), Quantity("2", "B", 1), Quantity("3", "B", 1), Quantity("4", "C", 1)]
    assert place(stock, order, SHOP, ordered, WHY) == Short([Lack("B", 2, 1), Lack("C", 1, 0)])
    assert stock.movements == []


def test_a_shop_reserves_no_more_than_its_share() -> None:
    stock = a_stock({(SHOP, ""): ChannelRule(percent=50)}, A=10)
    other = Shop("web", "S2")
    assert isinstance(place(stock, Reservation(UUID(int=1), 1), SHOP, [Quantity("1", "A", 3)], WHY), Held)
    assert place(stock, Reservation(UUID(int=2), 1), SHOP, [Quantity("1", "A", 3)], WHY) == Short([Lack("A", 3, 2)])
    assert isinstance(place(stock, Reservation(UUID(int=3), 1), other, [Quantity("1", "A", 7)], WHY), Held)
    assert place(stock, Reservation(UUID(int=4), 1), SHOP, [Quantity("1", "A", 1)], WHY) == Short([Lack("A", 1, 0)])
    assert stock.shares.reserved == {(SHOP, "A"): 3}


def test_a_shipment_beyond_its_reservation_needs_a_free_pool() -> None:
    stock = a_stock(A=10)
    held = Reservation(UUID(int=1), 1)
    place(stock, held, SHOP, [Quantity("1", "A", 8)], WHY)
    stranger = Reservation(UUID(int=2), 1)
    shipment = Shipment(UUID(int=9), stranger.order_id, "N1")
    assert allocate(stock, stranger, shipment, [Quantity("1", "A", 3)], WHY) == Refused([Lack("A", 3, 2)])
    assert stock.cells["A", "N1"].allocated == 0


def test_a_dispatch_that_the_snapshot_counted_out_does_not_count_twice() -> None:
    stock = a_stock(A=10)
    stock.cells["A", "N1"].wms_reported_at = AT
    order = Reservation(UUID(int=1), 1)
    place(stock, order, SHOP, [Quantity("1", "A", 4)], WHY)
    shipment = Shipment(UUID(int=9), order.order_id, "N1")
    assert allocate(stock, order, shipment, [Quantity("1", "A", 4)], WHY) == Allocated([Quantity("1", "A", 4)])
    dispatch(stock, order, shipment, [Quantity("1", "A", 4)], WHY._replace(occurred_at=AT - timedelta(minutes=1)))
    assert (stock.cells["A", "N1"].on_hand, stock.cells["A", "N1"].allocated) == (10, 0)


def test_more_dispatched_than_set_aside_is_booked_and_named() -> None:
    stock = a_stock(A=5)
    order = Reservation(UUID(int=1), 1)
    place(stock, order, SHOP, [Quantity("1", "A", 4)], WHY)
    shipment = Shipment(UUID(int=9), order.order_id, "N1")
    allocate(stock, order, shipment, [Quantity("1", "A", 4)], WHY)
    assert dispatch(stock, order, shipment, [Quantity("1", "A", 6)], WHY._replace(reason="dispatched"))
    assert [(m.reason, m.on_hand, m.allocated) for m in stock.movements[-2:]] == [
        ("dispatched", -4, -4),
        ("dispatched_unallocated", -2, 0),
    ]
    assert stock.cells["A", "N1"].on_hand == -1


FACTS = (
    "placed",
    "routed",
    "dispatched",
    "cancelled",
    "shipment_cancelled",
    "second_routed",
    "second_rejected",
    "order_cancelled",
)


class Life:
    """An order of 10 A and 4 B: shipped in two parts, cancelled in part, partly given back."""

    def __init__(self) -> None:
        self.stock = a_stock(A=100, B=100)
        self.order = Reservation(UUID(int=1), 1)
        self.first = Shipment(UUID(int=11), self.order.order_id, "N1")
        self.second = Shipment(UUID(int=12), self.order.order_id, "N1")

    def happen(self, fact: str) -> None:
        stock, order = self.stock, self.order
        match fact:
            case "placed":
                place(stock, order, SHOP, [Quantity("1", "A", 10), Quantity("2", "B", 4)], WHY)
            case "routed":
                allocate(stock, order, self.first, [Quantity("1", "A", 6)], WHY)
            case "second_routed":
                allocate(stock, order, self.second, [Quantity("1", "A", 4), Quantity("2", "B", 4)], WHY)
            case "dispatched":
                dispatch(stock, order, self.first, [Quantity("1", "A", 5)], WHY)
            case "shipment_cancelled":
                take_back(stock, order, self.first, [Quantity("1", "A", 1)], WHY, how="cancelled")
            case "second_rejected":
                take_back(stock, order, self.second, [Quantity("2", "B", 3)], WHY, how="rejected")
            case "cancelled":
                cancel_lines(stock, order, [Quantity("1", "A", 1)], WHY)
            case "order_cancelled":
                cancel_order(stock, order, WHY)

    def end(self) -> tuple[int, ...]:
        pools, cells = self.stock.pools, self.stock.cells
        return (
            *(pools[sku].reserved for sku in "AB"),
            *(pools[sku].base for sku in "AB"),
            *(cells[sku, "N1"].on_hand for sku in "AB"),
            *(cells[sku, "N1"].allocated for sku in "AB"),
        )


@given(st.data())
def test_any_sequence_of_facts_ends_the_same(data: st.DataObject) -> None:
    happened = [fact for fact in FACTS if fact == "placed" or data.draw(st.booleans(), label=fact)]
    sequence = data.draw(st.permutations(happened))
    twice = [f for f in sequence if f in {"placed", "routed", "second_routed", "dispatched", "order_cancelled"}]
    again = data.draw(st.lists(st.sampled_from(twice), max_size=3))
    life, plain = Life(), Life()
    for fact in happened:
        plain.happen(fact)
    for fact in [*sequence, *again]:
        before = {sku: pool.available for sku, pool in life.stock.pools.items()}
        life.happen(fact)
        assert_books_add_up(life.stock, {"A": 100, "B": 100}, [life.order], [life.first, life.second])
        assert all(pool.available >= min(0, before[sku]) for sku, pool in life.stock.pools.items())
    assert life.end() == plain.end()


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 6)), min_size=1, max_size=30),
    st.lists(st.integers(0, 25), min_size=3, max_size=3),
)
def test_first_come_first_served_never_oversells(orders: list[tuple[str, int]], on_hand: list[int]) -> None:
    have = dict(zip("ABC", on_hand, strict=True))
    stock = a_stock(**have)
    left = Counter(have)
    for number, (sku, quantity) in enumerate(orders):
        outcome = place(stock, Reservation(UUID(int=number), 1), SHOP, [Quantity("1", sku, quantity)], WHY)
        assert isinstance(outcome, Held) is (left[sku] >= quantity)
        if isinstance(outcome, Held):
            left[sku] -= quantity
    assert {sku: pool.available for sku, pool in stock.pools.items()} == dict(left)
