"""Places where a process can be made to die: the seams between work, database and broker.

`OMS_CRASH_AT=<point>[:<n>]` ends the process the n-th time it comes there, as `kill -9` would. Fault campaigns arm it.
"""

import os
from typing import Literal

Point = Literal["handled", "committed", "sent", "marked", "offsets"]
"""`handled`: the work is done, not committed. `committed`: nothing of it is published yet. `sent`: the broker has
it, the outbox row is still there. `marked`: the row is gone. `offsets`: a batch is applied, its offsets are not
committed."""

EXIT_CODE = 137
"""As of a process that was killed."""


class _Trap:
    """Counts down to the end."""

    def __init__(self, armed: str) -> None:
        self.point, _, nth = armed.partition(":")
        self._left = int(nth or 1)

    def spring(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os._exit(EXIT_CODE)


_trap = _Trap(os.environ.get("OMS_CRASH_AT", ""))


def reach(point: Point) -> None:
    """Die here if this is the place and the time."""
    if point == _trap.point:
        _trap.spring()
