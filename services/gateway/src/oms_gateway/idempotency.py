"""`Idempotency-Key`: notices when a caller uses one key for two different bodies.

Only a guard against callers' mistakes, within the memory of one process. That the same body twice is the same fact
once follows from derived ids, with or without this header.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

_REMEMBERED = 100_000
_FOR_S = 24 * 60 * 60.0

Claim = tuple[str, str, str]
"""Who, where, and the key: `(caller, path, Idempotency-Key)`."""


class ClaimedBodies:
    """Which body each `Idempotency-Key` stands for: the latest 100,000, for 24 hours."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._bodies: OrderedDict[Claim, tuple[bytes, float]] = OrderedDict()

    def agrees(self, claim: Claim, digest: bytes) -> bool:
        """True unless the claim stands for another body."""
        known = self._bodies.get(claim)
        return known is None or known[0] == digest or self._monotonic() - known[1] > _FOR_S

    def remember(self, claim: Claim, digest: bytes) -> None:
        """Let the claim stand for this body from now on. For accepted bodies only: a refused one may be mended."""
        self._bodies[claim] = (digest, self._monotonic())
        self._bodies.move_to_end(claim)
        while len(self._bodies) > _REMEMBERED:
            self._bodies.popitem(last=False)
