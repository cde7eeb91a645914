"""How long what comes is gathered into a batch: as long as it takes to be worth one, and no longer.

A batch costs the same few milliseconds whether it holds one event or fifty. Where events come slowly they are gathered
for the whole window; where they come fast enough to pay for a batch sooner, an order need not wait at every hop.
"""

_WORTH_IT = 16
"""So many records are worth a batch."""
_SHORTEST = 1 / 3
"""Of the window. Below it the broker answers more often than batches get done, and nothing is sooner."""
_NEWS = 0.2
"""How much the last batch counts in what is expected next: batches upstream come as bursts here."""


class Window:
    """The window of one consumer. Times are seconds of one clock."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._per_s = 0.0
        self._handed_at: float | None = None
        self._busy_s = 0.0

    def asked(self, now: float) -> None:
        """The consumer is done with what was handed over, and wants more."""
        if self._handed_at is not None:
            self._busy_s = now - self._handed_at

    def handed(self, records: int, now: float) -> float:
        """Records were handed over. Answers how long those that come after them may be gathered.

        Not less than the last batch took: before this one is done nobody takes them, and what comes between the
        broker's answer and then would miss the batch.
        """
        if self._handed_at is not None:
            self._per_s += _NEWS * (records / max(now - self._handed_at, 1e-6) - self._per_s)
        self._handed_at = now
        worth_it_s = _WORTH_IT / self._per_s if self._per_s else self._longest_s
        return min(self._longest_s, max(worth_it_s, self._longest_s * _SHORTEST, self._busy_s))
