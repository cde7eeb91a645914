"""The rules of profit: whatever is said of an order, in whatever order, its parts add up."""

import random
from collections import Counter
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
    advances = sum(advance(facts, component, accrued_of(order, component)) for component in ("goods", "shipping"))
    cost = COMPONENTS.index("cost_of_goods")
    for currency in ("GBP", "EUR"):
        sheet = found["accrued"].sheets.get(currency)
        rows = [] if sheet is None else sheet.rows
        without_cost = sum(map(sum, rows)) - sum(row[cost] for row in rows)
        early = advances if currency == order.currency else 0
        assert without_cost == said.get(currency, 0) - early + freight.get(currency, 0)


def accrued_of(order: Order, component: str) -> int:
    """What is expected of a component, in the order's currency."""
    own = [money for money in order.accruals if (money.component, money.currency) == (component, order.currency)]
    return sum(money.amount_minor for money in own)


def advance(facts: list[Fact], component: str, paid: int) -> int:
    """How much of what was paid is for what waits, counted piece by piece."""
    sent, off, shipments = Counter[str](), Counter[str](), dict[str, list[list[Any]]]()
    for fact in sorted(facts, key=lambda fact: fact.event_id):
        if fact.kind == "ShipmentDispatched":
            shipments[fact.document["shipment_id"]] = fact.document["lines"]
        elif fact.kind == "OrderLinesCancelled":
            off.update(quantities_of(fact.document["lines"]))
    for lines in shipments.values():
        sent.update(quantities_of(lines))
    [placed] = [fact.document for fact in facts if fact.kind == "OrderPlaced"]
    worth = pieces = 0
    for line_id, _, quantity, _, _, amount in placed["lines"]:
        first, last = sent[line_id], quantity - off[line_id]
        pieces += len(range(first, last))
        worth += sum(amount * (piece + 1) // quantity - amount * piece // quantity for piece in range(first, last))
    if component == "shipping":
        worth = placed["shipping_minor"] if pieces and not shipments else 0
    return max(0, min(paid, worth))


def quantities_of(lines: list[list[Any]]) -> Counter[str]:
    counted = Counter[str]()
    for line_id, quantity in lines:
        counted[line_id] += quantity
    return counted


@given(stories())
def test_without_statements_settled_is_accrued(facts: list[Fact]) -> None:
    unsettled = [fact for fact in facts if fact.kind not in _OF_STATEMENTS]
    found = accounts(known(unsettled), PRICES)
    assert found["settled"].sheets == found["accrued"].sheets
    assert found["settled"].answered_sum_minor == 0


_OF_STATEMENTS = {"StatementLineMatched", "DifferenceAttributed", "WriteOffPosted"}


@st.composite
def paid_lives(draw: st.DrawFn) -> tuple[Order, int]:
    """An order that was paid, what left of it and what was cancelled, with what settlement expects for that. And what
    its books call revenue by now, less returns."""
    lines, shipping = draw(order_lines()), draw(st.integers(0, 2000))
    sent = {line[0]: draw(st.integers(0, line[2])) for line in lines}
    off = {line[0]: draw(st.integers(0, line[2])) for line in lines}
    goods = sum(line[5] for line in lines)
    kept = {line[0]: line[2] - off[line[0]] for line in lines}
    refund = sum(line[5] - line[5] * kept[line[0]] // line[2] for line in lines)
    refund += 0 if any(kept.values()) else shipping
    revenue = sum(line[5] * min(sent[line[0]], kept[line[0]]) // line[2] for line in lines)
    revenue += shipping if any(sent.values()) and any(kept.values()) else 0
    placed = {"channel": "uci", "shop": "uk", "currency": "GBP", "placed_at": MARCH.isoformat()}
    accrued = {"currency": "GBP", "components": [["goods", goods], ["shipping", shipping], ["refund", -refund]]}
    told: list[tuple[str, dict[str, Any]]] = [
        ("OrderPlaced", placed | {"shipping_minor": shipping, "lines": lines}),
        ("AccrualPosted", accrued | {"accrual_id": "a"}),
        ("OrderLinesCancelled", {"lines": [list(part) for part in off.items()]}),
    ]
    if any(sent.values()):
        told.append(("ShipmentDispatched", {"shipment_id": "s1", "lines": [list(part) for part in sent.items()]}))
    return known([Fact(str(uuid5(ROOT, kind)), kind, MARCH, document) for kind, document in told]), revenue


@given(paid_lives())
def test_income_is_what_the_books_call_revenue_less_returns(life: tuple[Order, int]) -> None:
    order, revenue = life
    for version in ("accrued", "settled"):
        sheet = accounts(order, Prices([], []))[version].sheets.get("GBP")
        assert sum(total([] if sheet is None else sheet.rows)) == revenue


def shown(
    paid: dict[str, int],
    *,
    sent: dict[str, int] | None = None,
    off: dict[str, int] | None = None,
    settled: dict[str, int] | None = None,
    currency: str = "GBP",
) -> dict[str, list[int]]:
    """The settled version of three mugs and a tea, a column for each component that is not zero."""
    placed = {
        "channel": "uci",
        "shop": "uk",
        "currency": "GBP",
        "placed_at": MARCH.isoformat(),
        "shipping_minor": 300,
        "lines": [["1", "MUG", 3, 1000, 100, 2900], ["2", "TEA", 1, 500, 0, 500]],
    }
    told: list[tuple[str, dict[str, Any]]] = [
        ("OrderPlaced", placed),
        ("AccrualPosted", {"accrual_id": "a", "currency": currency, "components": [*paid.items()]}),
        ("OrderLinesCancelled", {"lines": [*(off or {}).items()]}),
    ]
    if sent:
        told.append(("ShipmentDispatched", {"shipment_id": "s1", "lines": [*sent.items()]}))
    if settled:
        parts = [(component, paid.get(component, 0), amount) for component, amount in settled.items()]
        answer = {"currency": currency, "components": parts, "answered": True, "sequence": 1}
        told.append(("StatementLineMatched", answer))
    facts = [Fact(str(uuid5(ROOT, kind)), kind, MARCH, document) for kind, document in told]
    sheet = accounts(known(facts), Prices([], []))["settled"].sheets.get(currency)
    columns = {} if sheet is None else dict(zip(COMPONENTS, map(list, zip(*sheet.rows, strict=True)), strict=True))
    return {component: amounts for component, amounts in columns.items() if any(amounts)}


PAID = {"goods": 3400, "shipping": 300}


def test_what_waits_shows_no_income_whatever_was_paid_of_it() -> None:
    assert shown(PAID) == {}
    assert shown(PAID, settled=PAID) == {}
    assert shown(PAID, settled={"goods": 3391, "shipping": 100}) == {}
    assert shown({}, settled=PAID) == {}  # paid before settlement knew of the order


def test_what_left_shows_its_share_and_the_first_parcel_all_of_the_shipping() -> None:
    income = {"goods": [2000, 0], "shipping": [256, 44], "merchant_discount": [-67, 0]}
    assert shown(PAID, sent={"1": 2}) == income
    assert shown(PAID, sent={"1": 2}, settled=PAID) == income


def test_what_was_paid_short_is_missing_at_once_from_what_left() -> None:
    assert shown(PAID, sent={"1": 2}, settled={"goods": 3391})["goods"] == [2000 - 9, 0]


def test_all_that_left_is_worth_what_was_paid() -> None:
    assert shown(PAID, sent={"1": 3, "2": 1}) == {
        "goods": [3000, 500],
        "shipping": [256, 44],
        "merchant_discount": [-100, 0],
    }


def test_what_was_cancelled_after_it_was_paid_for_comes_to_nothing_while_the_rest_waits() -> None:
    cancelled = shown(PAID | {"refund": -967}, off={"1": 1})
    assert cancelled == {"goods": [1000, 0], "merchant_discount": [-33, 0], "returns": [-967, 0]}
    everything = shown(PAID | {"refund": -3700}, off={"1": 3, "2": 1})
    assert sum(map(sum, everything.values())) == 0
    assert everything["shipping"] == [256, 44]


def test_what_was_cancelled_before_it_was_paid_for_never_shows() -> None:
    assert shown({"goods": 2433, "shipping": 300}, off={"1": 1}) == {}


def test_money_in_another_currency_cannot_be_cut_by_what_pieces_are_worth() -> None:
    assert sum(map(sum, shown(PAID, currency="EUR").values())) == 3700


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
