"""The load: a real order book, let out in portions, one or two per fault."""

import asyncio

from oms_sample.client import Pace


class Portions(Pace):
    """Lets orders pass at a rate, as long as there is some left of the portions given out so far."""

    def __init__(self, rate: float, portion: float) -> None:
        super().__init__(rate)
        self._portion = portion
        self._left = 0.0
        self._given = asyncio.Event()

    def give_one(self) -> None:
        """Let one more portion pass."""
        self._give(self._portion)

    def give_all(self) -> None:
        """Let everything pass that is still to come."""
        self._give(float("inf"))

    def _give(self, orders: float) -> None:
        self._left += orders
        self._given.set()

    async def pass_on(self, items: int) -> None:
        while self._left <= 0:
            self._given.clear()
            await self._given.wait()
        self._left -= items
        await super().pass_on(items)
