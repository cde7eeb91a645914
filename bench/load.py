"""Orders to send, encoded before the clock starts: the driver shares the cores with what it measures."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from pydantic_core import to_json

from oms_events.contract import Contract
from oms_events.contracts.intake import ChannelOrder, ChannelOrderLine, ChannelPayment
from oms_events.contracts.shared import Destination
from oms_sample.client import chunks

CHANNEL, SHOP, CURRENCY = "bench", "main", "GBP"
PRICE_MINOR = 250
SMALL_BATCH = 20
"""For latency: an order should not wait for hundreds of others to be encoded with it."""
POSTS_PER_S = 25
"""Requests that a slow load is cut into, at most."""
_HOME = Destination(country="GB", region="England", city="London", postcode="SE1 1AB", receiver_token="t-bench")


@dataclass(frozen=True, slots=True)
class Batch:
    """The bodies of one request each: orders, and the payments that follow them (empty: they stay unpaid)."""

    orders: bytes
    payments: bytes
    ids: tuple[bytes, ...]
    """Order ids as they key the topics."""


Load = Sequence[Batch]


def size(load: Load) -> int:
    """How many orders a load has."""
    return sum(len(batch.ids) for batch in load)


def synthetic(name: str, count: int, skus: Sequence[str], *, batch: int, lines: int = 2, paid: bool = True) -> Load:
    """`count` orders of one piece of each of `lines` SKUs, drawn evenly. The same name gives the same
    orders, placed now."""
    draw = Random(name)
    orders = [_order(f"{name}-{number}", draw.sample(skus, lines)) for number in range(count)]
    return encode(((order, _payment(order) if paid else None) for order in orders), batch=batch)


def paced(name: str, rate: float, seconds: float, skus: Sequence[str]) -> Load:
    """Orders for so long a load of `rate` a second, in small posts."""
    return synthetic(name, round(rate * seconds), skus, batch=_post_size(rate))


def endless(name: str, rate: float, skus: Sequence[str]) -> Iterator[Batch]:
    """The same without an end, each post made when it is asked for: a long load fits no memory."""
    orders = _post_size(rate)
    for number in itertools.count():
        yield from synthetic(f"{name}-{number}", orders, skus, batch=orders)


def _post_size(rate: float) -> int:
    return max(1, min(SMALL_BATCH, int(rate / POSTS_PER_S)))


def encode(pairs: Iterable[tuple[ChannelOrder, ChannelPayment | None]], *, batch: int) -> Load:
    """Orders and their payments as batches of at most `batch` orders."""
    return [
        Batch(
            orders=_array([order for order, _ in chunk]),
            payments=_array([payment for _, payment in chunk if payment is not None]),
            ids=tuple(str(order.order_id).encode() for order, _ in chunk),
        )
        for chunk in chunks(pairs, batch)
    ]


def _order(number: str, skus: Sequence[str]) -> ChannelOrder:
    return ChannelOrder(
        channel=CHANNEL,
        shop=SHOP,
        channel_order_no=number,
        placed_at=datetime.now(UTC),  # ids begin with it: orders of one moment would be scattered in every index
        currency=CURRENCY,
        lines=tuple(
            ChannelOrderLine(line_no=str(place), listing=sku, quantity=1, unit_price_minor=PRICE_MINOR)
            for place, sku in enumerate(skus, start=1)
        ),
        total_minor=PRICE_MINOR * len(skus),
        ship_to=_HOME,
    )


def _payment(order: ChannelOrder) -> ChannelPayment:
    return ChannelPayment(
        channel=CHANNEL,
        shop=SHOP,
        channel_order_no=order.channel_order_no,
        payment_no="1",
        currency=CURRENCY,
        amount_minor=order.total_minor,
        paid_at=order.placed_at,
    )


def _array(items: Sequence[Contract]) -> bytes:
    return to_json(items) if items else b""
