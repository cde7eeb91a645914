"""The platforms where the shops sell: their terms, and what each of them pays for an order.

Worked out from what the players themselves did, never from what the system says of it: what the buyer paid, what
left the warehouses, what was given back. So a statement tells whether the system expected the right money.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from oms_events.contracts.intake import ChannelOrder

Format = Literal["canonical", "amazon_v2", "stripe_balance"]

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How a platform settles: the format of its statements and what it takes. Rates in millionths."""

    format: Format
    commission_ppm: int = 0
    """Of the goods."""
    payment_ppm: int = 0
    """Of goods and shipping."""
    payment_fixed_minor: int = 0
    subscription_minor: int = 0
    """A month, whatever is sold."""

    @property
    def fees(self) -> list[str]:
        """The components that it takes."""
        return [
            component
            for component, rate in (("commission", self.commission_ppm), ("payment_fee", self.payment_ppm))
            if rate
        ]


MARKETPLACE = Terms("canonical", commission_ppm=80_000, payment_ppm=14_000, subscription_minor=2_500)
AMAZON = Terms("amazon_v2", commission_ppm=150_000, subscription_minor=2_500)
STRIPE = Terms("stripe_balance", payment_ppm=15_000, payment_fixed_minor=20)
_OTHERS: Mapping[str, Terms] = {"germany": AMAZON, "france": STRIPE, "eire": STRIPE}


def terms_of(shop: str) -> Terms:
    """The terms of the platform where a shop sells."""
    return _OTHERS.get(shop, MARKETPLACE)


class Payment(NamedTuple):
    """A line of a statement as a platform means it. An empty `order_no`: about no order."""

    order_no: str
    component: str
    amount_minor: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Sold:
    """An order that is over: what was sold, and what of it left the warehouses, by line."""

    order: ChannelOrder
    shipped: Mapping[str, int]

    @property
    def goods_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.order.lines)

    @property
    def shipped_minor(self) -> int:
        return sum(self.shipped.get(line.line_no, 0) * line.unit_price_minor for line in self.order.lines)


def payments(sold: Sold, terms: Terms) -> list[Payment]:
    """What the platform books for a paid order: goods and shipping in, fees for what was shipped and refunds for what
    was not out."""
    order_no = sold.order.channel_order_no
    shipping = sold.order.shipping_minor
    refund = sold.goods_minor - sold.shipped_minor + (0 if sold.shipped_minor else shipping)
    amounts = {
        "goods": sold.goods_minor,
        "shipping": shipping,
        "refund": -refund,
        **{component: -amount for component, amount in _fees(sold, terms)},
    }
    return [Payment(order_no, component, amount) for component, amount in amounts.items() if amount]


def _fees(sold: Sold, terms: Terms) -> Iterator[tuple[str, int]]:
    goods = sold.shipped_minor
    if not goods:
        return
    yield "commission", rated(goods, terms.commission_ppm)
    if terms.payment_ppm:
        yield "payment_fee", rated(goods + sold.order.shipping_minor, terms.payment_ppm) + terms.payment_fixed_minor


def rated(base_minor: int, rate_ppm: int) -> int:
    """A rate of an amount, half up."""
    return (base_minor * rate_ppm + _MILLION // 2) // _MILLION


def of_the_month(booked: Sequence[Payment], terms: Terms) -> list[Payment]:
    """What stands at the end of a statement: the platform's subscription, and the payout of all that is left."""
    subscription = [Payment("", "subscription", -terms.subscription_minor, "monthly fee")] * (
        terms.subscription_minor > 0
    )
    left = sum(payment.amount_minor for payment in [*booked, *subscription])
    return [*subscription, Payment("", "payout", -left, "to the bank")] if left > 0 else subscription
