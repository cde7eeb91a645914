"""When a number is worth telling others: not on every order, but never too late to matter."""

from datetime import datetime


def worth_telling(told: int | None, now: int) -> bool:
    """True for a first number, one that crossed zero, and one that moved by a tenth of what was told (at least one)."""
    if told is None:
        return True
    if (told > 0) != (now > 0):
        return True
    return abs(now - told) * 10 >= max(10, told)


def next_change_no(last: int, now: datetime) -> int:
    """The number of a change that is told: the time in Unix milliseconds, or one more than the `last` if that is more.

    Counted from the last alone, a database restored from a backup would number on from where the backup stood, and SKUs
    that it had not told of from one: others know greater numbers, and would take what they are told for stale.
    """
    return max(last + 1, int(now.timestamp() * 1000))
