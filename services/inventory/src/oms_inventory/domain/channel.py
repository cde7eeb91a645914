"""The channel layer: how much of the shared pool one shop may sell."""

from typing import NamedTuple


class Shop(NamedTuple):
    """A shop of a channel."""

    channel: str
    shop: str


class ChannelRule(NamedTuple):
    """A shop's share of the pool: `percent` of its base, plus a number, within bounds (None: no upper bound)."""

    percent: int = 100
    plus: int = 0
    minimum: int = 0
    maximum: int | None = None


def shop_limit(rule: ChannelRule, *, pool_base: int, reserved_by_shop: int) -> int:
    """How many more the shop may reserve by its rule alone; negative once a shrunken pool leaves it over its share."""
    share = max(pool_base * rule.percent // 100 + rule.plus, rule.minimum)
    if rule.maximum is not None:
        share = min(share, rule.maximum)
    return share - reserved_by_shop


def sellable(rule: ChannelRule | None, *, pool_base: int, pool_reserved: int, reserved_by_shop: int) -> int:
    """How many a shop may sell now. The pool is the hard limit: a minimum or an addend never promises beyond it.

    Shares may add up to more than the pool; then first come, first served.
    """
    free = pool_base - pool_reserved
    if rule is not None:
        free = min(free, shop_limit(rule, pool_base=pool_base, reserved_by_shop=reserved_by_shop))
    return max(0, free)
