"""When a number is worth telling others: not on every order, but never too late to matter."""


def worth_telling(told: int | None, now: int) -> bool:
    """True for a first number, one that crossed zero, and one that moved by a tenth of what was told (at least one)."""
    if told is None:
        return True
    if (told > 0) != (now > 0):
        return True
    return abs(now - told) * 10 >= max(10, told)
