"""The way of a parcel does not depend on the order in which it is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from oms_logistics.domain.progress import (
    STATUSES,
    Mark,
    Progress,
    cancelled,
    dispatched,
    late_by_s,
    promise_passed,
    scanned,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PARCEL = Progress(
    UUID(int=1), UUID(int=2), requested=True, waybill_no="NP000000014ZZ", promised_at=START + timedelta(days=2)
)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def after(*marks: Mark) -> Progress:
    parcel = PARCEL
    for mark in marks:
        parcel = scanned(parcel, mark)
    return parcel


def by_the_book(marks: list[Mark]) -> str:
    """The rule itself: sorted by time, a delivery yields to returns only, a completed return to nothing."""
    status = "label_ready"
    for mark in sorted(marks, key=lambda mark: (mark.at, STATUSES.index(mark.status))):
        final = status == "returned" or (
            status == "delivered" and mark.status not in {"refused", "returning", "returned"}
        )
        status = status if final else mark.status
    return status


Marks = st.lists(st.builds(Mark, st.sampled_from(STATUSES), st.integers(0, 6).map(at)), max_size=9)


@given(Marks, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_status(marks: list[Mark], random: Random) -> None:
    shuffled = list(marks)
    random.shuffle(shuffled)
    first, second = after(*marks), after(*shuffled)
    assert first.status == second.status == by_the_book(marks)
    assert (first.mark, first.state) == (second.mark, second.state)
    assert (first.delivered_at is None) == (second.delivered_at is None)


@given(Marks, st.permutations(["dispatch", "cancel", "scans"]))
def test_dispatch_cancellation_and_scans_commute(marks: list[Mark], order: list[str]) -> None:
    steps = {
        "dispatch": lambda parcel: dispatched(parcel, at(1), 900),
        "cancel": lambda parcel: cancelled(parcel, at(2)),
        "scans": lambda parcel: after_from(parcel, marks),
    }

    def after_from(parcel: Progress, marks: list[Mark]) -> Progress:
        for mark in marks:
            parcel = scanned(parcel, mark)
        return parcel

    parcel, straight = PARCEL, PARCEL
    for step in order:
        parcel = steps[step](parcel)
    for step in ("dispatch", "cancel", "scans"):
        straight = steps[step](straight)
    assert (parcel.status, parcel.state, parcel.awaited) == (straight.status, straight.state, straight.awaited)


@given(Marks)
def test_the_same_scans_again_change_nothing(marks: list[Mark]) -> None:
    parcel = after(*marks)
    assert all(scanned(parcel, mark) is parcel for mark in marks)


def test_a_late_older_scan_does_not_move_the_parcel_back() -> None:
    assert after(Mark("out_for_delivery", at(5)), Mark("in_transit", at(3))).status == "out_for_delivery"


def test_a_delivery_stands_against_later_scans_but_not_against_a_return() -> None:
    delivered = after(Mark("delivered", at(5)), Mark("in_transit", at(6)))
    assert (delivered.status, delivered.state, delivered.delivered_at) == ("delivered", "delivered", at(5))
    back = scanned(delivered, Mark("returning", at(7)))
    assert (back.status, back.state, back.delivered_at) == ("returning", "open", at(5))
    assert scanned(back, Mark("returned", at(8))).state == "returned"


def test_a_refused_parcel_may_be_delivered_after_all() -> None:
    assert after(Mark("refused", at(4)), Mark("delivered", at(9))).status == "delivered"


def test_goods_seen_under_way_outweigh_a_cancellation() -> None:
    void = cancelled(PARCEL, at(1))
    assert (void.state, void.status, void.awaited) == ("cancelled", "cancelled", False)
    assert dispatched(void, at(2), 900).state == "open"
    assert scanned(void, Mark("picked_up", at(2))).awaited


def test_who_wants_a_carrier() -> None:
    fresh = Progress(UUID(int=1), UUID(int=2), requested=True)
    assert fresh.wants_carrier
    assert not cancelled(fresh, at(1)).wants_carrier
    assert dispatched(cancelled(fresh, at(1)), at(2), 1).wants_carrier
    assert not PARCEL.wants_carrier


def test_a_promise_breaks_once_and_only_when_it_is_over() -> None:
    late = PARCEL.promised_at
    assert late is not None
    assert promise_passed(PARCEL, late - timedelta(seconds=1)) is PARCEL
    broken = promise_passed(PARCEL, late)
    assert broken.promise_broken_at == late
    assert promise_passed(broken, late + timedelta(days=1)) is broken
    arrived = scanned(PARCEL, Mark("delivered", at(1)))
    assert promise_passed(arrived, late) is arrived
    assert promise_passed(replace(PARCEL, cancelled_at=at(1)), late).promise_broken_at is None


def test_lateness_is_never_negative() -> None:
    assert late_by_s(at(5), at(4)) == 0
    assert late_by_s(at(5), at(5) + timedelta(seconds=90)) == 90
