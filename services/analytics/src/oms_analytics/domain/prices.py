"""What pieces cost and what platforms charge, at the time at which an order was placed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from oms_events.values import fee_minor, largest_remainder

EVERY_SHOP = "*"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece costs from a time on."""

    sku: str
    currency: str
    valid_from: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What a platform charges for a component from a time on."""

    channel: str
    shop: str
    component: str
    currency: str
    version: str
    valid_from: datetime
    rate_ppm: int
    fixed_minor: int
    min_minor: int | None
    max_minor: int | None

    def of(self, base_minor: int) -> int:
        """What is charged on a sum."""
        return fee_minor(
            base_minor,
            rate_ppm=self.rate_ppm,
            fixed_minor=self.fixed_minor,
            min_minor=self.min_minor,
            max_minor=self.max_minor,
        )


class Prices:
    """Costs and rates, looked up by time."""

    def __init__(self, costs: Iterable[Cost], rates: Iterable[Rate]) -> None:
        self._costs: dict[str, list[Cost]] = {}
        for cost in costs:
            self._costs.setdefault(cost.sku, []).append(cost)
        self._rates: dict[tuple[str, str, str], list[Rate]] = {}
        for rate in rates:
            self._rates.setdefault((rate.channel, rate.component, rate.currency), []).append(rate)

    def cost(self, sku: str, currency: str, at: datetime) -> Cost | None:
        """What a piece cost then, best in this currency; None where nobody has said."""
        known = [cost for cost in self._costs.get(sku, ()) if cost.valid_from <= at]
        return min(
            known,
            key=lambda cost: (cost.currency != currency, cost.currency, -cost.valid_from.timestamp()),
            default=None,
        )

    def rate(self, channel: str, shop: str, component: str, currency: str, at: datetime) -> Rate | None:
        """What was charged then: the shop's own rate before that of every shop, the newest of several."""
        known = [
            rate
            for rate in self._rates.get((channel, component, currency), ())
            if rate.valid_from <= at and rate.shop in (shop, EVERY_SHOP)
        ]
        return max(known, key=lambda rate: (rate.shop == shop, rate.valid_from, rate.version), default=None)


class Split:
    """Splits of sums over one set of weights, exact to the unit; the same sum is split once."""

    def __init__(self, weights: list[int]) -> None:
        self._weights = [max(0, weight) for weight in weights]
        self._known: dict[int, list[int]] = {0: [0] * len(weights)}

    def of(self, amount: int) -> list[int]:
        """A share for each weight; they add up to the amount."""
        if amount not in self._known:
            self._known[amount] = largest_remainder(amount, self._weights)
        return self._known[amount]
