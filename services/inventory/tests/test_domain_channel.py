"""The channel layer's arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_inventory.domain.channel import ChannelRule, sellable, shop_limit


@pytest.mark.parametrize(
    ("rule", "base", "pool_reserved", "by_shop", "expected"),
    [
        (None, 100, 30, 30, 70),
        (ChannelRule(), 100, 30, 10, 70),  # 100 %: the pool
        (ChannelRule(percent=50), 100, 0, 0, 50),
        (ChannelRule(percent=50), 101, 0, 0, 50),  # rounds down
        (ChannelRule(percent=50), 100, 20, 20, 30),  # own reservations use the share up
        (ChannelRule(percent=50), 100, 80, 0, 20),  # others used the pool up
        (ChannelRule(percent=30, plus=5), 100, 0, 0, 35),
        (ChannelRule(percent=30, plus=-5), 100, 0, 0, 25),
        (ChannelRule(percent=10, minimum=20), 100, 0, 0, 20),
        (ChannelRule(percent=10, minimum=20), 15, 0, 0, 15),  # a minimum never promises beyond the pool
        (ChannelRule(percent=90, maximum=40), 100, 0, 10, 30),
        (ChannelRule(percent=0), 100, 0, 0, 0),
        (ChannelRule(percent=50), 10, 8, 8, 0),  # over its share after the pool shrank: nothing, not a debt
        (None, 5, 9, 0, 0),
    ],
)
def test_golden_numbers(rule: ChannelRule | None, base: int, pool_reserved: int, by_shop: int, expected: int) -> None:
    assert sellable(rule, pool_base=base, pool_reserved=pool_reserved, reserved_by_shop=by_shop) == expected


RULES = st.builds(
    ChannelRule,
    percent=st.integers(0, 100),
    plus=st.integers(-50, 50),
    minimum=st.integers(0, 20),
    maximum=st.none() | st.integers(20, 200),
)


@given(rule=RULES, base=st.integers(0, 1000), reserved=st.integers(0, 1000), by_shop=st.integers(0, 1000))
def test_never_more_than_the_pool_nor_the_share(rule: ChannelRule, base: int, reserved: int, by_shop: int) -> None:
    can = sellable(rule, pool_base=base, pool_reserved=reserved, reserved_by_shop=by_shop)
    assert 0 <= can <= max(0, base - reserved)
    assert can <= max(0, shop_limit(rule, pool_base=base, reserved_by_shop=by_shop))
