"""Rests of a process that steps back: what a low priority alone does not spare the others.

The scheduler hands it whatever gaps the others leave, and what it causes elsewhere - statements at the database, the
broker's answers - runs at their priority. So it takes fewer batches where processors are short.
"""

from pathlib import Path

_SCHEDSTAT = Path("/proc/self/schedstat")
"""Nanoseconds the main thread ran, nanoseconds it could have run and did not, turns
(https://docs.kernel.org/scheduler/sched-stats.html)."""
TIMES = 3
LONGEST_S = 5.0


class Courtesy:
    """How long to rest after each batch: so many times what the process waited for a processor meanwhile."""

    def __init__(self, schedstat: Path = _SCHEDSTAT) -> None:
        self._schedstat = schedstat
        self._waited_s = self._waited()

    def rest_s(self) -> float:
        """Seconds to rest since it was asked last; 0 where processors are idle, or the kernel does not tell."""
        before, self._waited_s = self._waited_s, self._waited()
        return min(TIMES * (self._waited_s - before), LONGEST_S)

    def _waited(self) -> float:
        try:
            return int(self._schedstat.read_text().split()[1]) / 1e9
        except OSError:
            return 0.0
