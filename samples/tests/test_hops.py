"""Times per hop."""

import pytest

from oms_events.contracts.intake import ChannelOrderReceived
from oms_events.contracts.orders import OrderPlaced
from oms_sample.hops import Spread, Tape, percentile


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentile_is_the_nearest_rank(share, value):
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_hop_counts_the_first_time_of_each_event():
    tape = Tape()
    for order, received, placed in ((b"a", 1.0, 1.010), (b"b", 2.0, 2.030)):
        tape.note(OrderPlaced.type, order, placed)
        tape.note(ChannelOrderReceived.type, order, received + 5)  # the same order told again
        tape.note(ChannelOrderReceived.type, order, received)
    tape.note(ChannelOrderReceived.type, b"never placed", 3.0)
    assert tape.hops() == {"ChannelOrderReceived -> OrderPlaced": Spread(10.0, 30.0, 2)}
