"""What platforms pay, the differences planted in it, and the files they write."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from oms_events.contracts.intake import ChannelOrder, ChannelOrderLine
from oms_events.contracts.shared import Destination
from oms_sample.planted import KINDS, WRITTEN_OFF, Planted, plant
from oms_sample.platforms import AMAZON, MARKETPLACE, STRIPE, Payment, Sold, Terms, of_the_month, payments, rated
from oms_sample.statement_files import Frame, write
from oms_sample.synth import Dice
from oms_settlement.domain.statements import ExpectedAccount, StatementLine, read

OPENS, CLOSES = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, 12, 30, 5, tzinfo=UTC)
ALL_TERMS = (MARKETPLACE, AMAZON, STRIPE)

Sums = Counter[tuple[str, str]]


def sold(no: str = "1", *, quantity: int = 10, shipped: int = 10, price: int = 333, shipping: int = 500) -> Sold:
    order = ChannelOrder(
        channel="uci",
        shop="main",
        channel_order_no=no,
        placed_at=OPENS,
        currency="GBP",
        lines=(ChannelOrderLine(line_no="1", listing="A", quantity=quantity, unit_price_minor=price),),
        shipping_minor=shipping,
        total_minor=quantity * price + shipping,
        ship_to=Destination(country="GB"),
    )
    return Sold(order, {"1": shipped})


def amounts(lines: Sequence[Payment]) -> dict[str, int]:
    return {line.component: line.amount_minor for line in lines}


def books_of(count: int, terms: Terms) -> dict[str, list[Payment]]:
    """Orders of all sizes, some partly shipped, one in twenty of none."""
    return {
        str(no): payments(
            sold(str(no), shipped=0 if no % 20 == 7 else 10 - no % 3 % 2, price=100 + 37 * no % 5000), terms
        )
        for no in range(count)
    }


def sums_of(lines: Mapping[str, Sequence[Payment]] | Sequence[StatementLine]) -> Sums:
    sums: Sums = Counter()
    flat = [line for group in lines.values() for line in group] if isinstance(lines, Mapping) else lines
    for line in flat:
        sums[line.order_no, line.component] += line.amount_minor
    return sums


def test_a_shipped_order_is_paid_less_fees() -> None:
    assert amounts(payments(sold(), MARKETPLACE)) == {
        "goods": 3330,
        "shipping": 500,
        "commission": -266,  # 8 % of 33.30 is 2.664
        "payment_fee": -54,  # 1.4 % of 38.30 is 0.5362
    }
    assert amounts(payments(sold(), STRIPE))["payment_fee"] == -(57 + 20)
    assert "payment_fee" not in amounts(payments(sold(), AMAZON))


def test_what_was_not_shipped_is_refunded_and_costs_no_fee() -> None:
    assert amounts(payments(sold(shipped=4), AMAZON)) == {
        "goods": 3330,
        "shipping": 500,
        "refund": -6 * 333,
        "commission": -rated(4 * 333, 150_000),
    }


def test_of_an_order_that_was_never_shipped_all_is_refunded() -> None:
    for terms in ALL_TERMS:
        lines = payments(sold(shipped=0), terms)
        assert sum(line.amount_minor for line in lines) == 0
        assert amounts(lines)["refund"] == -3830


@pytest.mark.parametrize(("base", "fee"), [(0, 0), (3, 0), (4, 1), (10, 2), (100, 15), (103, 15), (104, 16)])
def test_a_rate_is_taken_half_up(base: int, fee: int) -> None:
    assert rated(base, 150_000) == fee


# --- planted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", ALL_TERMS, ids=lambda terms: terms.format)
def test_differences_are_where_they_are_said_to_be_and_nowhere_else(terms: Terms) -> None:
    before = books_of(600, terms)
    after, planted = plant(before, terms, Dice(1))
    assert {one.kind for one in planted} == set(KINDS)
    assert before == books_of(600, terms), "the books themselves stay"
    was, now = sums_of(before), sums_of(after)
    changed = {place for place in was.keys() | now.keys() if was[place] != now[place]}
    said = {place for one in planted for place in one.places}
    assert said <= changed
    assert {order_no for order_no, _ in changed} == {order_no for order_no, _ in said}


def by_kind(planted: Sequence[Planted]) -> dict[str, list[Planted]]:
    found = defaultdict(list)
    for one in planted:
        found[one.kind].append(one)
    return found


def test_each_kind_is_what_its_name_says() -> None:
    before = books_of(600, MARKETPLACE)
    after, planted = plant(before, MARKETPLACE, Dice(1))
    was, now = sums_of(before), sums_of(after)
    kinds = by_kind(planted)

    def changes(kind: str) -> list[int]:
        return [now[place] - was[place] for one in kinds[kind] for place in one.places]

    assert all(change < -1 for change in changes("wrong rate of a fee"))
    assert all(change < 0 for change in changes("short paid"))
    assert all(now[place] == 0 < was[place] for one in kinds["line missing"] for place in one.places)
    assert all(now[place] == 2 * was[place] for one in kinds["fee taken twice"] for place in one.places)
    assert all(place[0] not in before for one in kinds["order nobody knows"] for place in one.places)
    assert {abs(change) for change in changes(WRITTEN_OFF)} == {1}
    assert all(now[place] == 0 > was[place] for one in kinds["refund missing"] for place in one.places)
    for one in kinds["two errors that cancel"]:
        assert sum(now[place] - was[place] for place in one.places) == 0
    for one in kinds["two orders swapped"]:
        assert sum(now[place] - was[place] for place in one.places) == 0
        (first, _), (second, _) = one.places
        assert sum_of(now, first) == sum_of(was, second)


def sum_of(sums: Sums, order_no: str) -> int:
    return sum(amount for (no, _), amount in sums.items() if no == order_no)


def test_two_orders_of_one_total_are_the_first_choice_for_a_swap() -> None:
    books = books_of(200, MARKETPLACE) | {
        "twin-1": [Payment("twin-1", "goods", 1000), Payment("twin-1", "shipping", 200)],
        "twin-2": [Payment("twin-2", "goods", 1100), Payment("twin-2", "shipping", 100)],
    }
    found = set()
    for seed in range(20):
        planted = plant(books, MARKETPLACE, Dice(seed))[1]
        swaps = by_kind(planted).get("two orders swapped", [])
        found |= {order_no for one in swaps for order_no, _ in one.places}
    assert {"twin-1", "twin-2"} <= found


def test_the_same_seed_plants_the_same_and_another_one_something_else() -> None:
    books = books_of(300, MARKETPLACE)
    assert plant(books, MARKETPLACE, Dice(1)) == plant(books, MARKETPLACE, Dice(1))
    assert plant(books, MARKETPLACE, Dice(1))[1] != plant(books, MARKETPLACE, Dice(2))[1]


@pytest.mark.parametrize("count", [0, 1, 3, 10, 40])
def test_most_of_a_small_shop_stays_as_it_is(count: int) -> None:
    _, planted = plant(books_of(count, MARKETPLACE), MARKETPLACE, Dice(1))
    assert sum(len(one.places) for one in planted) <= count / 4 + 1


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", ALL_TERMS, ids=lambda terms: terms.format)
def test_the_file_says_what_the_platform_booked(terms: Terms) -> None:
    books, _ = plant(books_of(120, terms), terms, Dice(3))
    lines = [line for order_no in sorted(books) for line in books[order_no]]
    lines += of_the_month(lines, terms)
    frame = Frame("uci", "main", "GBP", OPENS, CLOSES, "20260301", marketplace="Sample.example")
    account = ExpectedAccount("uci", "main", "GBP", marketplace="sample.example")
    reader = read(terms.format, [write(terms.format, frame, lines)], account=account)
    found = [line for batch in reader for line in batch]
    meant: Sums = Counter()
    for line in lines:
        # A charge is one amount for all that the buyer paid.
        of_charge = terms.format == "stripe_balance" and line.component == "shipping"
        meant[line.order_no, "goods" if of_charge else line.component] += line.amount_minor
    assert sums_of(found) == meant
    assert reader.totals.total_minor == sum(line.amount_minor for line in lines) == 0, "all was paid out"
    assert {line.posted_at for line in found} == {CLOSES}


def test_texts_that_look_like_formulas_come_through() -> None:
    frame = Frame("uci", "main", "GBP", OPENS, CLOSES, "1")
    lines = [Payment("=1+1", "goods", 5, "-5 % off"), Payment("'7", "goods", 6, 'said "no", then yes')]
    account = ExpectedAccount("uci", "main", "GBP")
    found = [line for batch in read("canonical", [write("canonical", frame, lines)], account=account) for line in batch]
    assert [(line.order_no, line.label) for line in found] == [(line.order_no, line.label) for line in lines]
