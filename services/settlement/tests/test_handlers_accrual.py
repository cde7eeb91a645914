"""What is heard of orders becomes expected money: in any order, twice, late, the same."""

from datetime import timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from oms_events.contracts.settlement import AccrualPosted, JournalPosted
from oms_events.testing.scenario import only

from .conftest import FAIR, Sale, begun


def amounts(accrued: AccrualPosted) -> dict[str, int]:
    return {one.component: one.amount_minor for one in accrued.components}


async def test_paying_makes_a_receivable_and_dispatching_revenue_and_fees(desk, sale):
    one = sale("A-1")
    paid, dispatched = only(await desk.scenario.when(*one.whole()), AccrualPosted)
    assert (paid.basis, amounts(paid)) == ("paid", {"goods": 3001, "shipping": 399})
    assert (dispatched.basis, amounts(dispatched)) == ("dispatched", {"commission": -450, "payment_fee": -129})
    assert [part.rate_version for part in dispatched.components] == ["2026", "2026"]
    assert await desk.standing(one) == {name: (minor, 0, "open") for name, minor in FAIR.items()}
    assert await desk.balances() == {
        "1122": 3400,
        "6001.1": -3001,
        "6001.2": -399,
        "6601.01": 450,
        "6601.02": 129,
        "2241.2": -579,
    }


async def test_an_order_that_is_placed_is_no_money_yet(desk, sale):
    assert await desk.scenario.when(sale("A-1").placed()) == []


async def test_one_announcement_of_the_journal_per_account_and_transaction(desk, sale):
    events = [event for number in range(5) for event in sale(f"A-{number}").whole()]
    (posted,) = only(await desk.scenario.when(*events), JournalPosted)
    assert (posted.account, posted.first_no, posted.last_no) == ("uci/uk", 1, 10)
    assert sum(total.debit_minor for total in posted.totals) == sum(total.credit_minor for total in posted.totals)
    (more,) = only(await desk.scenario.when(*sale("B-1").whole()), JournalPosted)
    assert (more.first_no, more.last_no) == (11, 12)
    assert await desk.sound()


async def test_cancelling_paid_lines_makes_a_refund(desk, sale):
    one = sale("A-1")
    await desk.scenario.given(one.placed(), one.paid())
    (accrued,) = only(await desk.scenario.when(one.lines_cancelled(("2", 1))), AccrualPosted)
    # A third of 10.01 is rounded so that what is kept and what goes add up.
    assert (accrued.basis, amounts(accrued)) == ("cancelled", {"refund": -334})
    await desk.scenario.when(one.dispatched(("1", 2), ("2", 2)))
    assert (await desk.standing(one))["commission"][0] == -400  # 15 % of 26.67
    balances = await desk.balances()
    assert (balances["2241.3"], balances["6001.1"]) == (-334, -2667)
    assert "2203" not in balances


async def test_a_wholly_cancelled_order_refunds_shipping_too_and_costs_no_fee(desk, sale):
    one = sale("A-1")
    await desk.scenario.when(one.placed(), one.paid(), one.lines_cancelled(("1", 2), ("2", 3)), one.cancelled())
    assert (await desk.standing(one))["refund"][0] == -3400
    assert await desk.balances() == {"1122": 3400, "2241.3": -3400}


async def test_lines_cancelled_before_they_were_paid_for_owe_no_refund(desk, sale):
    one = sale("A-1")
    await desk.scenario.when(one.placed(), one.lines_cancelled(("1", 1)), one.paid(minor=2400))
    assert {name: expected for name, (expected, _, _) in (await desk.standing(one)).items()} == {
        "goods": 2001,
        "shipping": 399,
    }


@pytest.mark.parametrize(("paid", "goods", "refund"), [(3900, 3501, -500), (3600, 3201, -200), (3400, 3001, 0)])
async def test_what_was_cancelled_before_the_order_was_placed_goes_back_if_it_was_paid(desk, sale, paid, goods, refund):
    one = sale("A-1")
    await desk.scenario.when(one.placed(cancelled_minor=500), one.paid(paid), one.dispatched())
    standing = {name: expected for name, (expected, _, _) in (await desk.standing(one)).items()}
    assert standing == FAIR | {"goods": goods} | ({"refund": refund} if refund else {})
    assert (await desk.balances()).get("2241.3", 0) == refund
    assert await desk.sound()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_order_that_was_never_placed_is_paid_and_given_back(desk, sale, order):
    one = sale("A-1", shop="new")
    for place in order:
        await desk.scenario.when((one.never_placed(), one.paid())[place])
    standing = {name: expected for name, (expected, _, _) in (await desk.standing(one)).items()}
    assert standing == {"goods": 3001, "shipping": 399, "refund": -3400}
    assert await desk.balances() == {"1122": 3400, "2241.3": -3400}


async def test_fees_are_given_back_for_what_is_cancelled_after_it_left(desk, sale):
    one = sale("A-1")
    await desk.scenario.when(*one.whole(), one.lines_cancelled(("1", 2)))
    standing = {name: expected for name, (expected, _, _) in (await desk.standing(one)).items()}
    assert standing == FAIR | {"refund": -2000, "commission_refund": 300, "payment_fee_refund": 58}
    assert (await desk.balances())["6001.9"] == 2000


async def test_two_shipments_pay_one_fee(desk, sale):
    one = sale("A-1")
    events = await desk.scenario.when(
        one.placed(), one.paid(), one.dispatched(("1", 2)), one.dispatched(("2", 3), shipment=uuid4())
    )
    commissions = [amounts(event)["commission"] for event in only(events, AccrualPosted) if event.basis == "dispatched"]
    assert commissions == [-300, -150]
    assert {name: values[0] for name, values in (await desk.standing(one)).items()} == FAIR


def story(one: Sale) -> list:
    return [
        one.placed(),
        one.paid(),
        one.lines_cancelled(("2", 1)),
        one.dispatched(("1", 2), ("2", 2)),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4)))[1::5])
async def test_whatever_comes_first_the_end_is_the_same(desk, sale, order):
    straight, shuffled = sale("A-1", shipment=UUID(int=1)), sale("A-1", shop="fr", shipment=UUID(int=1))
    await desk.scenario.when(*story(straight))
    events = story(shuffled)
    for place in order:
        await desk.scenario.when(events[place])
    for event in events:
        assert await desk.scenario.when(event) == []  # told again, nothing is said again
    assert await desk.standing(shuffled) == await desk.standing(straight)
    shown = (await desk.get("/v1/trial-balance"))["rows"]
    by_account = {name: {} for name in ("uci/uk", "uci/fr")}
    for row in shown:
        by_account[row["account"]][row["ledger_account"]] = row["balance_minor"]
    level = {name: {key: minor for key, minor in rows.items() if minor} for name, rows in by_account.items()}
    assert level["uci/fr"] == level["uci/uk"]
    assert await desk.sound()


async def test_without_a_rate_card_no_fee_is_expected(desk, sale):
    one = sale("A-1", currency="EUR")
    await desk.scenario.when(*one.whole())
    assert set(await desk.standing(one)) == {"goods", "shipping"}


async def test_a_shops_own_card_counts_before_its_channels(desk, sale):
    card = {
        "channel": "uci",
        "shop": "uk",
        "component": "commission",
        "currency": "GBP",
        "rate_ppm": 100_000,
        "max_minor": 200,
        "version": "own",
        "valid_from": "2026-02-01T00:00:00Z",
    }
    assert (await desk.scenario.client.put("/v1/rate-cards", json=card)).status_code == 201
    assert (await desk.scenario.client.put("/v1/rate-cards", json=card)).status_code == 200
    assert (await desk.scenario.client.put("/v1/rate-cards", json=card | {"rate_ppm": 1})).status_code == 409
    one = sale("A-1")
    await desk.scenario.when(*one.whole())
    assert (await desk.standing(one))["commission"][0] == -200


async def test_what_does_not_come_until_it_is_due_is_missing(desk, sale):
    one = sale("A-1")
    await desk.scenario.when(*one.whole())
    assert await desk.scenario.run_jobs() == []
    desk.scenario.now = one.dispatched().dispatched_at.replace(month=4)
    events = await desk.scenario.run_jobs()
    assert {event.component for event in events} == set(FAIR)
    assert {event.reason for event in events} == {"MISSING_RECEIPT"}
    assert await desk.scenario.run_jobs() == []
    assert {state for _, _, state in (await desk.standing(one)).values()} == {"overdue"}


async def test_what_is_put_off_while_the_job_waits_is_not_called_missing(desk, sale):
    put_off, due = sale("A-1"), sale("A-2")
    await desk.scenario.when(*put_off.whole(), *due.whole())
    desk.scenario.now = put_off.dispatched().dispatched_at.replace(month=4)
    async with desk.scenario.transaction() as work:
        await work.connection.execute(
            text("update orders set due_at = :later where order_id = :order_id"),
            {"later": desk.scenario.now + timedelta(days=1), "order_id": put_off.order_id},
        )
        job = await begun(desk.scenario, desk.scenario.run_jobs())
    assert {event.order_id for event in await job} == {due.order_id}
    assert {state for _, _, state in (await desk.standing(put_off)).values()} == {"open"}
    desk.scenario.now += timedelta(days=2)
    assert {event.order_id for event in await desk.scenario.run_jobs()} == {put_off.order_id}
