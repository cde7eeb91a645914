"""What profit is made of. Income is positive, cost is negative, and profit is their sum."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

Component = Literal[
    "goods",
    "shipping",
    "merchant_discount",
    "platform_subsidy",
    "commission",
    "payment_fee",
    "freight",
    "cost_of_goods",
    "returns",
    "adjustments",
    "write_offs",
]
COMPONENTS: tuple[Component, ...] = get_args(Component)

Version = Literal["estimated", "accrued", "settled"]
VERSIONS: tuple[Version, ...] = get_args(Version)

Amounts = Sequence[int]
"""One amount for each component, in their order."""

NOTHING: Amounts = (0,) * len(COMPONENTS)
PLACE: dict[str, int] = {component: place for place, component in enumerate(COMPONENTS)}


def total(parts: Iterable[Amounts]) -> list[int]:
    """The sum of amounts, component by component."""
    return [sum(column) for column in zip(NOTHING, *parts, strict=True)]
