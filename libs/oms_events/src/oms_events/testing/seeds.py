"""Seeds of chance: a new one each time, unless a run is to be played again.

Chance decides what the broker in memory does. A test that fails tells its seeds; `pytest --seed N`, or OMS_SEED=N in
the environment, plays it again with the same decisions.
"""

import os
import random
from collections import deque

VARIABLE = "OMS_SEED"
_REMEMBERED = 20
_drawn: deque[int] = deque(maxlen=_REMEMBERED)


def draw() -> int:
    """A seed: the one asked for, or any. Raises ValueError when OMS_SEED is no number."""
    asked = os.environ.get(VARIABLE, "")
    seed = int(asked) if asked else random.SystemRandom().getrandbits(32)
    _drawn.append(seed)
    return seed


def drawn() -> list[int]:
    """The seeds drawn since last forgotten, oldest first."""
    return list(dict.fromkeys(_drawn))


def forget() -> None:
    """A new test begins."""
    _drawn.clear()
