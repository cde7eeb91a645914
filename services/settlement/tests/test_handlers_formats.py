"""Platforms' own formats, matched against the same expectations."""

import pytest

from oms_events.contracts.settlement import DifferenceAttributed, StatementLineMatched
from oms_events.testing.scenario import only
from oms_settlement.domain.reconciliation import Standing, divided

from .conftest import FAIR

CHARGED = FAIR["goods"] + FAIR["shipping"]


def stripe(*rows: tuple[str, int, int, str]) -> bytes:
    """A balance report of rows: order, gross, fee, category."""
    lines = ["balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,payment_metadata[order_no]"]
    for place, (order_no, gross, fee, category) in enumerate(rows):
        amounts = ",".join(f"{amount / 100:.2f}" for amount in (gross, fee, gross - fee))
        lines.append(f"txn_{place},2026-03-02 12:00:00,gbp,{amounts},{category},{order_no}")
    return "".join(f"{line}\n" for line in lines).encode()


async def sold(desk, sale, number):
    one = sale(number)
    await desk.scenario.given(*one.whole())
    return one


async def test_one_payment_for_goods_and_shipping_clears_both(desk, sale):
    one = await sold(desk, sale, "A-1")
    report = stripe(("A-1", CHARGED, -FAIR["payment_fee"], "charge"))
    events = await desk.hand_in(report, form="stripe_balance")
    assert only(events, DifferenceAttributed) == []
    (matched,) = only(events, StatementLineMatched)
    settled = {part.component: part.settled_minor for part in matched.components}
    assert settled == {name: FAIR[name] for name in ("goods", "shipping", "payment_fee")}
    assert (await desk.standing(one))["shipping"] == (399, 399, "matched")
    shown = await desk.statement(report)
    assert (shown["state"], shown["lines"], shown["lines_done"], shown["lines_cleared"]) == ("posted", 2, 2, 2)
    assert await desk.sound()


@pytest.mark.parametrize(("off", "reason"), [(-100, "SHORT_PAID"), (-1, "SHORT_PAID"), (25, "OVER_PAID")])
async def test_what_is_missing_of_one_payment_is_missing_of_the_goods(desk, sale, off, reason):
    await sold(desk, sale, "A-1")
    await desk.hand_in(stripe(("A-1", CHARGED + off, -FAIR["payment_fee"], "charge")), form="stripe_balance")
    assert await desk.reasons() == {("A-1", "goods"): reason}
    (difference,) = await desk.differences(state="open")
    assert difference["difference_minor"] == off
    assert await desk.sound()


async def test_a_payment_that_came_twice_is_not_taken_for_shipping_twice(desk, sale):
    await sold(desk, sale, "A-1")
    charge = ("A-1", CHARGED, -FAIR["payment_fee"], "charge")
    await desk.hand_in(stripe(charge, charge), form="stripe_balance")
    found = {(one["component"], one["difference_minor"]) for one in await desk.differences(state="open")}
    assert found == {("goods", CHARGED), ("payment_fee", FAIR["payment_fee"])}


async def test_the_systems_own_format_names_what_is_for_shipping(desk, sale, statement):
    await sold(desk, sale, "A-1")
    await desk.hand_in(statement().settle("A-1", goods=CHARGED, shipping=0))
    assert await desk.reasons() == {("A-1", "goods"): "OVER_PAID"}


async def test_a_payment_counts_as_the_one_line_that_it_is(desk, sale):
    for number in ("A-1", "A-2"):
        await sold(desk, sale, number)
    fee = -FAIR["payment_fee"]
    report = stripe(("A-1", CHARGED, fee, "charge"), ("A-2", CHARGED - 500, fee, "charge"))
    await desk.hand_in(report, form="stripe_balance")
    assert await desk.reasons() == {("A-2", "goods"): "SHORT_PAID"}
    shown = await desk.statement(report)
    assert (shown["lines"], shown["lines_done"], shown["lines_cleared"]) == (4, 4, 3)


@pytest.mark.parametrize(
    ("sums", "expected", "divided_into"),
    [
        ({"goods": (1000, 1)}, 200, {"goods": (800, 1), "shipping": (200, 1)}),
        ({"goods": (150, 1)}, 200, {"goods": (0, 1), "shipping": (150, 1)}),
        ({"goods": (1000, 1)}, 0, {"goods": (1000, 1)}),
        ({"goods": (-1000, 1)}, 200, {"goods": (-1000, 1)}),
        ({"goods": (800, 1), "shipping": (200, 1)}, 200, {"goods": (800, 1), "shipping": (200, 1)}),
        ({"refund": (-10, 1)}, 200, {"refund": (-10, 1)}),
    ],
)
def test_shipping_takes_what_is_still_expected_of_it(sums, expected, divided_into):
    assert divided(sums, Standing(expected_minor=expected)) == divided_into


def test_shipping_that_came_already_takes_nothing():
    assert divided({"goods": (500, 1)}, Standing(200, 200, 0, 1)) == {"goods": (500, 1)}
