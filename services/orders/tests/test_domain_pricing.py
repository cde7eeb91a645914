"""The money of an order, to the last unit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_events.contracts.intake import ChannelOrderLine
from oms_orders.domain.order import Line
from oms_orders.domain.pricing import discount_of, price_lines

sold_lines = st.lists(
    st.builds(
        ChannelOrderLine,
        line_no=st.uuids().map(str),
        listing=st.just("tea"),
        quantity=st.integers(1, 50),
        unit_price_minor=st.integers(0, 10**6),
        discount_minor=st.integers(0, 10**4),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda line: line.line_no,
)


@settings(deadline=None)
@given(sold_lines, st.integers(0, 10**6))
def test_shares_sum_up_to_the_discount(lines: list[ChannelOrderLine], discount: int) -> None:
    priced = price_lines(lines, discount)
    assert sum(line.discount_minor for line in priced) == discount + sum(line.discount_minor for line in lines)
    gross = sum(line.quantity * line.unit_price_minor for line in lines)
    assert sum(line.amount_minor for line in priced) == gross - sum(line.discount_minor for line in priced)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 1000), st.data())
def test_the_parts_of_a_line_share_its_discount(discount: int, quantity: int, data: st.DataObject) -> None:
    line = Line("1", "tea", "TEA", quantity, 100, discount)
    part = data.draw(st.integers(0, quantity))
    assert 0 <= discount_of(line, part) <= discount
    assert abs(discount_of(line, part) * quantity - discount * part) < quantity, "off by less than one unit"


def test_golden_shares() -> None:
    lines = [
        ChannelOrderLine(line_no=str(n), listing="tea", quantity=1, unit_price_minor=price)
        for n, price in enumerate([999, 999, 1])
    ]
    assert [line.discount_minor for line in price_lines(lines, 100)] == [50, 50, 0]


def test_a_line_number_may_stand_once() -> None:
    line = ChannelOrderLine(line_no="1", listing="tea", quantity=1, unit_price_minor=1)
    with pytest.raises(ValueError, match="stands twice"):
        price_lines([line, line], 0)
