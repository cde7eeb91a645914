"""Which faults come in which order: drawn from the seed, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .faults import Kind


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come. `after_s`: how long the load flows before it strikes. `seed`: of its own dice."""

    kind: Kind
    target: str
    after_s: float
    seed: int


def draw(seed: int, count: int, kinds: Sequence[Kind]) -> list[Planned]:
    """So many faults: every kind comes before one comes again, and each round in an order of its own."""
    dice = Random(seed)
    planned: list[Planned] = []
    gone: set[str] = set()
    while len(planned) < count:
        ready = [kind for kind in kinds if kind.name not in gone]
        if not ready:
            raise ValueError("all kinds can strike only once")
        dice.shuffle(ready)
        planned += [
            Planned(kind, dice.choice(kind.targets), round(dice.uniform(0.5, 3.0), 1), dice.getrandbits(32))
            for kind in ready[: count - len(planned)]
        ]
        gone |= {kind.name for kind in ready if kind.once}
    return planned
