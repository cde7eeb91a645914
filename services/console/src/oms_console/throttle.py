"""How often somebody may guess: after a few wrong passwords each further try has to wait, longer every time."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FREE_FAILURES = 5
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 300.0
FORGET_AFTER_S = 3600.0
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failures by whatever names a guesser: the name they try, the address they come from.

    It lives in this process: with several replicas a guesser gets as many times the tries. Those counted longest
    ago are forgotten first, so that names made up cannot fill the memory.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, names: Iterable[str]) -> float:
        """How long the next try has to wait; 0 if it need not."""
        return max((self._wait(name) for name in names), default=0.0)

    def fail(self, names: Iterable[str]) -> None:
        """Remember a wrong password."""
        now = self._monotonic()
        for name in names:
            known = self._failures.pop(name, None)
            count = known.count if known and now - known.last < FORGET_AFTER_S else 0
            self._failures[name] = _Failures(count + 1, now)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def clear(self, names: Iterable[str]) -> None:
        """Forget the failures: the password was right."""
        for name in names:
            self._failures.pop(name, None)

    def _wait(self, name: str) -> float:
        known = self._failures.get(name)
        if known is None or known.count < FREE_FAILURES:
            return 0.0
        doublings = min(known.count - FREE_FAILURES, 20)
        due = known.last + min(FIRST_WAIT_S * float(2**doublings), LONGEST_WAIT_S)
        return max(0.0, due - self._monotonic())
