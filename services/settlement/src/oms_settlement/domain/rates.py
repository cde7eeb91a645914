"""Rate cards: what a platform takes of a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oms_events.values import fee_minor


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
        """What is taken of a value."""
        return fee_minor(
            base_minor,
            rate_ppm=self.rate_ppm,
            fixed_minor=self.fixed_minor,
            min_minor=self.min_minor,
            max_minor=self.max_minor,
        )


def in_force(cards: Sequence[RateCard], at: datetime) -> RateCard | None:
    """The newest card that is in force; `cards` ascend by `valid_from`, then version."""
    return next((card for card in reversed(cards) if card.valid_from <= at), None)
