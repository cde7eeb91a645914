"""How long a consumer lets events gather."""

import pytest

from oms_events.runtime.window import Window

LONGEST_S = 0.06


def settled(*, per_s: float, busy_s: float) -> float:
    """The window after a while of so many events a second, in batches that take so long."""
    window, now, gathered_s = Window(LONGEST_S), 0.0, LONGEST_S
    for _ in range(100):
        cycle_s = max(gathered_s, busy_s)
        window.asked(now + busy_s)
        now += cycle_s
        gathered_s = window.handed(round(per_s * cycle_s), now)
    return gathered_s


@pytest.mark.parametrize(
    ("per_s", "busy_s", "window_s"),
    [
        pytest.param(50, 0.008, LONGEST_S, id="few events wait for the whole window"),
        pytest.param(400, 0.008, 0.04, id="more of them until they are worth a batch"),
        pytest.param(2_000, 0.008, LONGEST_S / 3, id="many for a third of it"),
        pytest.param(2_000, 0.035, 0.035, id="but as long as a batch takes"),
        pytest.param(2_000, 0.5, LONGEST_S, id="and never longer than the window"),
    ],
)
def test_events_gather_until_they_are_worth_a_batch(per_s: float, busy_s: float, window_s: float) -> None:
    assert settled(per_s=per_s, busy_s=busy_s) == pytest.approx(window_s, rel=0.15)


def test_the_first_events_after_a_pause_count_for_the_pause() -> None:
    window = Window(LONGEST_S)
    window.handed(1, 0.0)
    window.asked(0.008)
    assert window.handed(50, 10.0) == LONGEST_S
