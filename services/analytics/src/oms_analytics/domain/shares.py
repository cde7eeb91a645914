"""What an order adds to the roll-ups. A roll-up is the sum of shares; when an order changes, the difference goes in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from oms_analytics.domain.amounts import COMPONENTS, NOTHING, VERSIONS, Version
from oms_analytics.domain.order import Order
from oms_analytics.domain.prices import Prices
from oms_analytics.domain.profit import Account, accounts


class ShopDay(NamedTuple):
    """Key of a shop's day."""

    version: Version
    day: date
    currency: str
    channel: str
    shop: str


class SkuDay(NamedTuple):
    """Key of a SKU's day in a shop."""

    version: Version
    day: date
    currency: str
    channel: str
    shop: str
    sku: str


class ShopHour(NamedTuple):
    """Key of a shop's hour."""

    hour: datetime
    currency: str
    channel: str
    shop: str


Numbers = tuple[int, ...]

COUNTS = ("orders", "units", "units_without_cost")
SUMS = ("expected_sum_minor", "answered_sum_minor")
SKU_COLUMNS = (*COUNTS, *(f"{component}_minor" for component in COMPONENTS))
SHOP_COLUMNS = (*SKU_COLUMNS, *SUMS)
HOUR_COLUMNS = ("orders", "cancelled_orders", "units", "sales_minor", "shipments", "delivered", "late", "rejections")


@dataclass(frozen=True, slots=True)
class Shares:
    """What one order, or several, add to each roll-up."""

    shop_days: dict[ShopDay, Numbers]
    sku_days: dict[SkuDay, Numbers]
    shop_hours: dict[ShopHour, Numbers]

    @classmethod
    def none(cls) -> "Shares":
        return cls({}, {}, {})

    def add(self, other: "Shares", sign: int = 1) -> None:
        """Add another's, or take them away."""
        _add(self.shop_days, other.shop_days, sign)
        _add(self.sku_days, other.sku_days, sign)
        _add(self.shop_hours, other.shop_hours, sign)

    def without_zeros(self) -> "Shares":
        """The same, without what adds nothing."""
        return Shares(_nonzero(self.shop_days), _nonzero(self.sku_days), _nonzero(self.shop_hours))


@dataclass(frozen=True, slots=True)
class OrderProfit:
    """An order worked out: for lists, and for the roll-ups."""

    channel: str
    shop: str
    currency: str
    placed_at: datetime
    skus: tuple[str, ...]
    profits: Mapping[Version, int]
    """In the order's own currency."""
    expected_sum_minor: int
    answered_sum_minor: int
    shares: Shares


def work_out(order: Order, prices: Prices) -> OrderProfit:
    """What an order earned, and what it adds to each roll-up."""
    shares, versions = Shares.none(), accounts(order, prices)
    day = order.placed_at.astimezone(UTC).date()
    for version, account in versions.items():
        _share_out(shares, order, version, account, day)
    _count(shares, order)
    settled = versions["settled"]
    return OrderProfit(
        channel=order.channel,
        shop=order.shop,
        currency=order.currency,
        placed_at=order.placed_at,
        skus=tuple(sorted({line.sku for line in order.lines})),
        profits={version: _own_profit(order, versions[version]) for version in VERSIONS},
        expected_sum_minor=settled.expected_sum_minor,
        answered_sum_minor=settled.answered_sum_minor,
        shares=shares.without_zeros(),
    )


def _own_profit(order: Order, account: Account) -> int:
    sheet = account.sheets.get(order.currency)
    return 0 if sheet is None else sum(map(sum, sheet.rows))


def _share_out(shares: Shares, order: Order, version: Version, account: Account, day: date) -> None:
    for currency in sorted(account.sheets.keys() | {order.currency}):
        own = currency == order.currency
        of_skus: dict[str, Numbers] = {}
        for place, line in enumerate(order.lines):
            sheet = account.sheets.get(currency)
            amounts = NOTHING if sheet is None else sheet.rows[place]
            units = (account.units[place], account.units_without_cost[place]) if own else (0, 0)
            known = of_skus.get(line.sku)
            numbers = (int(own), *units, *amounts)
            # An order counts once for a SKU, on however many lines it is.
            of_skus[line.sku] = numbers if known is None else (numbers[0], *_sum(known[1:], numbers[1:]))
        key = (version, day, currency, order.channel, order.shop)
        shares.sku_days.update({SkuDay(*key, sku): numbers for sku, numbers in of_skus.items()})
        sums = (account.expected_sum_minor, account.answered_sum_minor) if own else (0, 0)
        columns = zip(*(numbers[1:] for numbers in of_skus.values()), strict=True)
        shares.shop_days[ShopDay(*key)] = (int(own), *map(sum, columns), *sums)


def _count(shares: Shares, order: Order) -> None:
    hour = order.placed_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    sales = sum(line.kept_minor for line in order.lines) + (0 if order.cancelled else order.shipping_minor)
    shares.shop_hours[ShopHour(hour, order.currency, order.channel, order.shop)] = (
        1,
        int(order.cancelled),
        sum(line.kept for line in order.lines),
        sales,
        order.shipments,
        order.delivered,
        order.late,
        order.rejections,
    )


def _sum(one: Iterable[int], other: Iterable[int]) -> Numbers:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _add(into: dict[Any, Numbers], other: Mapping[Any, Numbers], sign: int) -> None:
    for key, numbers in other.items():
        signed = numbers if sign == 1 else tuple(-number for number in numbers)
        known = into.get(key)
        into[key] = signed if known is None else _sum(known, signed)


def _nonzero(numbers: Mapping[Any, Numbers]) -> dict[Any, Numbers]:
    return {key: values for key, values in numbers.items() if any(values)}
