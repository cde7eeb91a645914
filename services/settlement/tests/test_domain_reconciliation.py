"""Judging components: whatever is off is different, and every unit is either cleared or in a difference."""

from hypothesis import given
from hypothesis import strategies as st

from oms_settlement.domain.chart import BOOKED, FEES
from oms_settlement.domain.reconciliation import (
    Reason,
    Stage,
    Standing,
    judge,
    judge_orphan,
    settle,
    sums,
    tolerated,
)

DONE = Stage(paid=True, dispatched=True, per_line_minor=1, per_order_minor=2)
components = st.sampled_from(sorted(FEES | {"goods", "shipping", "refund", "subsidy"}))
minor = st.integers(-(10**6), 10**6)
standings = st.builds(Standing, minor, minor, st.just(0) | minor, st.integers(0, 5), st.just(1))
stages = st.builds(Stage, st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 5))


@given(components, standings, stages, st.booleans())
def test_nothing_is_cleared_that_is_not_equal_or_written_off(component, standing, stage, overdue):
    finding = judge(component, standing, stage, overdue=overdue)
    level = standing.settled_minor - standing.expected_minor == standing.written_off_minor
    if finding is None:
        assert level or not standing.touched
    else:
        assert not level
    assert standing.cleared == (level and standing.touched)


@given(components, standings, stages)
def test_only_fees_are_rounded_and_only_within_the_limits(component, standing, stage):
    finding = judge(component, standing, stage)
    if finding is not None and finding.reason is Reason.ROUNDING:
        assert component in FEES
        assert standing.expected_minor != 0
        assert abs(standing.gap_minor) <= min(standing.lines * stage.per_line_minor, stage.per_order_minor)
        assert tolerated(standing, stage)


@given(standings, minor, st.integers(1, 3))
def test_every_unit_that_comes_is_cleared_or_in_the_gap(standing, amount, lines):
    after = settle(standing, amount, lines, 7)
    assert after.gap_minor - standing.gap_minor == amount
    assert after.settled_minor == after.expected_minor + after.written_off_minor + after.gap_minor
    counted = sums(after)
    assert counted.value_cleared_minor in {0, counted.value_minor}
    assert counted.lines_cleared in {0, counted.lines}
    assert (counted.lines_cleared == counted.lines) == (after.gap_minor == 0)
    assert counted.matched_minor == (after.expected_minor if after.gap_minor == 0 else 0)


@given(components, st.integers(1, 10**6), st.integers(2, 4))
def test_a_multiple_in_several_lines_is_a_repetition(component, expected, times):
    finding = judge(component, Standing(expected, expected * times, 0, times, 1), DONE)
    assert finding is not None
    assert finding.reason in {Reason.DUPLICATE_CHARGE, Reason.DUPLICATE_PAYMENT}


def test_what_was_not_heard_of_yet_is_timing():
    early = DONE._replace(paid=False, dispatched=False)
    came = Standing(0, 500, 0, 1, 1)
    for component in ("goods", "shipping", "commission", "payment_fee"):
        assert judge(component, came, early).reason is Reason.TIMING_IN_TRANSIT
        assert judge(component, came, DONE).reason is Reason.UNEXPLAINED
    assert judge("refund", came, early).reason is Reason.UNEXPLAINED


def test_lines_of_no_order():
    assert judge_orphan("goods", "A-1", BOOKED).reason is Reason.MISSING_ORDER
    assert judge_orphan("payout", "A-1", BOOKED).reason is Reason.MISSING_ORDER
    assert judge_orphan("goods", "", BOOKED).reason is Reason.NO_KEY
    assert judge_orphan("other", "", BOOKED).reason is Reason.UNEXPLAINED
    assert judge_orphan("payout", "", BOOKED) is None
