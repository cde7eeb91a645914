"""When a play is over: no order is on its way any more."""

import pytest

from oms_sample.progress import Standing


def standing(*states):
    return Standing.of(
        {
            "states": [{"state": state, "orders": orders, "holds": holds} for state, orders, holds in states],
            "lines_shipped": 7,
        }
    )


UNPAID = 2


@pytest.mark.parametrize(
    ("states", "moving"),
    [
        ([], 0),
        ([("completed", 5, {}), ("cancelled", 1, {})], 0),
        (
            [("awaiting_payment", 2, {}), ("awaiting_stock", 1, {"STOCK_SHORT": 1}), ("on_hold", 3, {"BUYER_NOTE": 3})],
            0,
        ),
        ([("released", 4, {})], 4),
        ([("awaiting_payment", 3, {})], 1),
        ([("awaiting_payment", 1, {})], 0),
        ([("awaiting_stock", 3, {"STOCK_SHORT": 1})], 2),
        ([("in_fulfilment", 4, {"NO_ROUTE": 1})], 3),
        ([("in_fulfilment", 1, {"NO_ROUTE": 1, "NO_CARRIER": 1})], 0),
    ],
)
def test_orders_on_their_way_are_those_that_nothing_explains(states, moving):
    assert standing(*states).moving(UNPAID) == moving


def test_known_counts_all_states():
    assert standing(("completed", 5, {}), ("released", 4, {})).known == 9
