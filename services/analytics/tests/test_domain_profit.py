"""The rules of profit: whatever is said of an order, in whatever order, its parts add up."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_analytics.adapters.shares import from_document, to_document
from oms_analytics.domain.amounts import COMPONENTS, total
from oms_analytics.domain.order import Fact, Order, order_of
from oms_analytics.domain.prices import Cost, Prices, Rate
from oms_analytics.domain.profit import accounts
from oms_analytics.domain.shares import Shares, work_out

from .stories import JANUARY, MARCH

ROOT = UUID("5d0e5c3b-9a53-4d6f-8a6e-7b1100000000")
COMPONENTS_OF_SETTLEMENT = (
    *("goods", "shipping", "refund", "commission", "commission_refund", "payment_fee", "payment_fee_refund"),
    *("subsidy", "adjustment", "other", "subscription", "payout"),
)
PRICES = Prices(
    [
        Cost("MUG", "GBP", JANUARY, 400),
        Cost("MUG", "GBP", MARCH, 410),
        Cost("TEA", "EUR", JANUARY, 90),
        Cost("POT", "GBP", MARCH + timedelta(days=1), 700),
    ],
    [
        Rate("uci", "*", "commission", "GBP", "1", JANUARY, 150_000, 0, None, None),
        Rate("uci", "uk", "payment_fee", "GBP", "1", JANUARY, 29_000, 30, 50, 100),
    ],
)
amounts = st.integers(-50_000, 50_000)
currencies = st.sampled_from(["GBP", "EUR"])
shipments = st.sampled_from(["s1", "s2"])


@st.composite
def order_lines(draw: st.DrawFn) -> list[list[Any]]:
    lines = []
    for number in range(draw(st.integers(1, 6))):
        quantity, price = draw(st.integers(1, 9)), draw(st.integers(0, 5000))
        discount = draw(st.integers(0, quantity * price))
        sku = draw(st.sampled_from(["MUG", "TEA", "POT", "UNKNOWN"]))
        lines.append([str(number), sku, quantity, price, discount, quantity * price - discount])
    return lines


def quantities(lines: list[list[Any]]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(st.tuples(st.sampled_from([line[0] for line in lines]), st.integers(1, 3)).map(list), max_size=4)


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """Anything that may be said of an order, sensible or not."""
    lines = draw(order_lines())
    placed = {
        "channel": "uci",
        "shop": "uk",
        "currency": "GBP",
        "placed_at": MARCH.isoformat(),
        "shipping_minor": draw(st.integers(0, 2000)),
        "lines": lines,
    }
    components = st.sampled_from(COMPONENTS_OF_SETTLEMENT)
    standing = st.fixed_dictionaries(
        {
            "currency": currencies,
            "components": st.lists(st.tuples(components, amounts, amounts).map(list), max_size=3),
            "answered": st.booleans(),
            "sequence": st.integers(0, 2),
        }
    )
    shipped = st.fixed_dictionaries({"shipment_id": shipments, "lines": quantities(lines)})
    on_shipment = st.fixed_dictionaries({"shipment_id": shipments})
    told = st.one_of(
        st.tuples(st.just("OrderLinesCancelled"), st.fixed_dictionaries({"lines": quantities(lines)})),
        st.tuples(
            st.just("WaybillAssigned"),
            st.fixed_dictionaries(
                {"shipment_id": shipments, "currency": currencies, "cost_minor": st.integers(0, 900)}
            ),
        ),
        st.tuples(st.just("ShipmentDispatched"), shipped),
        st.tuples(st.just("ShipmentCancelled"), on_shipment),
        st.tuples(
            st.just("ShipmentDelivered"),
            st.fixed_dictionaries({"shipment_id": shipments, "late_by_s": st.integers(0, 1)}),
        ),
        st.tuples(
            st.just("AccrualPosted"),
            st.fixed_dictionaries(
                {
                    "accrual_id": st.uuids().map(str),
                    "currency": currencies,
                    "components": st.lists(st.tuples(components, amounts).map(list), max_size=4),
                }
            ),
        ),
        st.tuples(st.sampled_from(["StatementLineMatched", "DifferenceAttributed"]), standing),
        st.tuples(
            st.just("WriteOffPosted"),
            st.fixed_dictionaries(
                {
                    "write_off_id": st.uuids().map(str),
                    "currency": currencies,
                    "component": components,
                    "amount_minor": amounts,
                }
            ),
        ),
        st.tuples(st.just("StockReservationRejected"), st.just({})),
    )
    events = [("OrderPlaced", placed), *draw(st.lists(told, max_size=12))]
    return [
        Fact(str(uuid5(ROOT, str(number))), kind, MARCH + timedelta(minutes=number // 2), document)
        for number, (kind, document) in enumerate(events)
    ]


def known(facts: list[Fact]) -> Order:
    order = order_of(facts)
    assert order is not None
    return order


@given(stories(), st.randoms(use_true_random=False))
def test_any_order_of_hearing_with_repetitions_gives_the_same_profit(facts: list[Fact], dice: random.Random) -> None:
    again = [*facts, *dice.choices(facts, k=3)]
    dice.shuffle(again)
    one, other = work_out(known(facts), PRICES), work_out(known(again), PRICES)
    assert one == other
    assert to_document(one.shares) == to_document(other.shares)


@given(stories())
def test_lines_skus_and_shops_add_up_to_the_order(facts: list[Fact]) -> None:
    order = known(facts)
    worked_out = work_out(order, PRICES)
    for version, account in accounts(order, PRICES).items():
        for currency, sheet in account.sheets.items():
            whole = total(sheet.rows)
            skus = [
                numbers
                for key, numbers in worked_out.shares.sku_days.items()
                if (key.version, key.currency) == (version, currency)
            ]
            assert total(numbers[3:] for numbers in skus) == whole
            shop = next(
                (
                    numbers
                    for key, numbers in worked_out.shares.shop_days.items()
                    if (key.version, key.currency) == (version, currency)
                ),
                (0,) * 16,
            )
            assert list(shop[3:-2]) == whole
            if currency == order.currency:
                assert worked_out.profits[version] == sum(whole)


@given(stories())
def test_each_version_is_the_sum_of_what_was_said(facts: list[Fact]) -> None:
    """Nothing is lost or made up on the way to the lines: summed up by other means, every version is the same."""
    order = known(facts)
    found = accounts(order, PRICES)
    said: dict[str, int] = {}
    for money in order.accruals:
        if money.component not in {"subscription", "payout"}:
            said[money.currency] = said.get(money.currency, 0) + money.amount_minor
    freight: dict[str, int] = {}
    for money in order.owed_freight:
        freight[money.currency] = freight.get(money.currency, 0) + money.amount_minor
    cost = COMPONENTS.index("cost_of_goods")
    for currency in ("GBP", "EUR"):
        sheet = found["accrued"].sheets.get(currency)
        rows = [] if sheet is None else sheet.rows
        without_cost = sum(map(sum, rows)) - sum(row[cost] for row in rows)
        assert without_cost == said.get(currency, 0) + freight.get(currency, 0)


@given(stories())
def test_without_statements_settled_is_accrued(facts: list[Fact]) -> None:
    unsettled = [fact for fact in facts if fact.kind not in _OF_STATEMENTS]
    found = accounts(known(unsettled), PRICES)
    assert found["settled"].sheets == found["accrued"].sheets
    assert found["settled"].answered_sum_minor == 0


_OF_STATEMENTS = {"StatementLineMatched", "DifferenceAttributed", "WriteOffPosted"}


@given(stories(), stories())
def test_taking_away_what_was_added_leaves_nothing(facts: list[Fact], others: list[Fact]) -> None:
    one, other = work_out(known(facts), PRICES).shares, work_out(known(others), PRICES).shares
    kept = Shares.none()
    for shares, sign in ((one, 1), (other, 1), (one, -1)):
        kept.add(shares, sign)
    assert kept.without_zeros() == other
    kept.add(other, -1)
    assert kept.without_zeros() == Shares.none()


@given(stories())
def test_shares_survive_being_stored(facts: list[Fact]) -> None:
    order = known(facts)
    shares = work_out(order, PRICES).shares
    assert from_document(to_document(shares), order.channel, order.shop, order.placed_at) == shares


@pytest.mark.parametrize(("base", "charged"), [(0, 0), (10, 50), (370, 86), (10**6, 100)])
def test_a_rate_charges_its_share_and_its_fixed_part_within_its_bounds(base: int, charged: int) -> None:
    assert Rate("uci", "*", "commission", "GBP", "1", JANUARY, 150_000, 30, 50, 100).of(base) == charged


def test_the_shops_own_rate_counts_and_of_several_the_newest_in_force() -> None:
    def rate(shop: str, version: str, days: int) -> Rate:
        return Rate("uci", shop, "commission", "GBP", version, JANUARY + timedelta(days=days), 1, 0, None, None)

    prices = Prices([], [rate("*", "9", 30), rate("uk", "1", 0), rate("uk", "2", 0), rate("uk", "3", 90)])
    found = prices.rate("uci", "uk", "commission", "GBP", MARCH)
    assert found is not None
    assert (found.shop, found.version) == ("uk", "2")
    assert prices.rate("uci", "de", "commission", "GBP", MARCH) == rate("*", "9", 30)
    assert prices.rate("uci", "de", "commission", "EUR", MARCH) is None


def test_a_cost_in_another_currency_is_better_than_none() -> None:
    prices = Prices([Cost("MUG", "EUR", JANUARY, 5), Cost("MUG", "GBP", MARCH + timedelta(days=1), 7)], [])
    found = prices.cost("MUG", "GBP", MARCH)
    assert found is not None
    assert (found.currency, found.amount_minor) == ("EUR", 5)
    assert prices.cost("MUG", "GBP", JANUARY - timedelta(days=1)) is None
