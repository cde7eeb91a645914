"""What is worth telling."""

import pytest

from oms_inventory.domain.publishing import worth_telling


@pytest.mark.parametrize(
    ("told", "now", "expected"),
    [
        (None, 0, True),
        (0, 0, False),
        (0, 1, True),
        (1, 0, True),
        (100, 91, False),
        (100, 90, True),
        (100, 110, True),
        (5, 4, True),
        (1000, 0, True),
        (15, 14, False),
        (15, 13, True),
    ],
)
def test_crossing_zero_or_a_tenth(told: int | None, now: int, expected: bool) -> None:
    assert worth_telling(told, now) is expected
