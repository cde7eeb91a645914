"""What is sold, what it costs, what platforms charge: the newest version of each counts, whenever it comes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from oms_analytics.adapters import reference
from oms_events.contracts.catalog import CostSet, ProductDefined, SkuDefined
from oms_events.contracts.settlement import RateCardSet
from oms_events.envelope import Batch, Received
from oms_events.registry import Event
from oms_events.runtime.work import Work

E = TypeVar("E", bound=Event)


async def on_product_defined(defined: Batch[ProductDefined], work: Work) -> None:
    """Remember a product's category."""
    await reference.save_products(work.connection, _newest(defined, lambda product: product.product_code))


async def on_sku_defined(defined: Batch[SkuDefined], work: Work) -> None:
    """Remember which product a SKU is of."""
    await reference.save_skus(work.connection, _newest(defined, lambda sku: sku.sku))


async def on_cost_set(costs: Batch[CostSet], work: Work) -> None:
    """Remember what a piece costs from a time on; what was sold since then is worked out again."""
    await reference.save_costs(work.connection, _newest(costs, lambda cost: (cost.sku, cost.currency, cost.valid_from)))


async def on_rate_card_set(cards: Batch[RateCardSet], work: Work) -> None:
    """Remember what a platform charges from a time on; estimates of what was sold since then are made again."""
    await reference.save_rate_cards(work.connection, [card.event for card in cards])


def _newest(received: Batch[E], key: Callable[[E], object]) -> Sequence[Received[E]]:
    """The one with the highest version of each key: a statement cannot write a row twice."""
    newest: dict[object, Received[E]] = {}
    for item in received:
        known = newest.get(key(item.event))
        if known is None or reference.version_of(known.meta) <= reference.version_of(item.meta):
            newest[key(item.event)] = item
    return list(newest.values())
