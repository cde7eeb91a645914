"""The operator: answers what only a person can decide. Leaves some cases open, as people do."""

import asyncio

from oms_sample.client import Door
from oms_sample.journal import Journal
from oms_sample.synth import World

IDLE_S = 0.5


class Operator:
    """Works through the open holds that wait for a person."""

    def __init__(self, world: World, door: Door, journal: Journal) -> None:
        self._world = world
        self._door = door
        self._journal = journal
        self._seen: set[str] = set()

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            await self._answer("BUYER_NOTE", self._world.shares.note_answered, "resolved", "buyers' notes answered")
            await self._answer(
                "AMOUNT_MISMATCH", self._world.shares.mismatch_refused, "rejected", "wrong totals refused"
            )
            await asyncio.sleep(IDLE_S)

    async def _answer(self, code: str, share: float, outcome: str, what: str) -> None:
        async for hold in self._door.pages("/v1/holds", state="OPEN", code=code):
            hold_id = hold["hold_id"]
            if hold_id in self._seen:
                continue
            self._seen.add(hold_id)
            if self._world.dice.happens(share, "answered", hold_id):
                answer = {"outcome": outcome, "by": "sample operator", "note": what}
                await self._door.post(f"/v1/holds/{hold_id}:resolve", answer)
                self._journal.happened[what] += 1
