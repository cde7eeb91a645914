"""Rate cards: what a platform takes of a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class RateCard:
    """A rate in millionths, a fixed part, bounds; in force from a time on."""

    rate_ppm: int
    fixed_minor: int
    min_minor: int | None
    max_minor: int | None
    version: str
    valid_from: datetime

    def fee(self, base_minor: int) -> int:
        """What is taken of a value, rounded half up once; nothing is taken of nothing."""
        if base_minor <= 0:
            return 0
        fee = (base_minor * self.rate_ppm + _MILLION // 2) // _MILLION + self.fixed_minor
        if self.min_minor is not None:
            fee = max(fee, self.min_minor)
        if self.max_minor is not None:
            fee = min(fee, self.max_minor)
        return fee


def in_force(cards: Sequence[RateCard], at: datetime) -> RateCard | None:
    """The newest card that is in force; `cards` ascend by `valid_from`, then version."""
    return next((card for card in reversed(cards) if card.valid_from <= at), None)
