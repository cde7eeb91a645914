"""What is made up: repeatable, bounded by the contracts, and enough stock where it should be."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_events.contracts.intake import ChannelOrder
from oms_sample.book import Book, BookError, Sale, SaleLine, Survey
from oms_sample.cli import SLICE
from oms_sample.places import country_code, shop_of, towns
from oms_sample.synth import MAIN_NODE, Dice, Shares, World


@pytest.fixture(scope="module")
def book() -> Book:
    return Book(SLICE, limit=300)


@pytest.fixture(scope="module")
def survey(book) -> Survey:
    return book.survey()


def sales(book, survey):
    return (entry for entry in book.entries(survey) if isinstance(entry, Sale))


def sale(**changes) -> Sale:
    line = SaleLine("1", "71053", "LANTERN", 2, 339)
    values = {
        "invoice_no": "1",
        "placed_at": datetime(2010, 12, 1, tzinfo=UTC),
        "customer": "17850",
        "country": "United Kingdom",
        "lines": (line,),
        "shipping_minor": 0,
    }
    return Sale(**{**values, **changes})


@given(st.integers(-(2**63), 2**63 - 1), st.text(), st.integers(-50, 50), st.integers(0, 50))
def test_dice_are_repeatable_and_within_bounds(seed, what, low, span):
    dice = Dice(seed)
    assert 0 <= dice.roll(what) < 1
    assert dice.roll(what) == Dice(seed).roll(what)
    assert low <= dice.between(low, low + span, what) <= low + span


def test_shares_are_met_and_another_seed_is_another_world():
    happened = [Dice(1).happens(0.1, "x", str(n)) for n in range(10_000)]
    assert 900 < sum(happened) < 1100
    assert happened != [Dice(2).happens(0.1, "x", str(n)) for n in range(10_000)]


def test_orders_of_the_slice_fit_the_contract_and_repeat(book, survey):
    world, again = (World(survey, 7, Shares()) for _ in range(2))
    for one in sales(book, survey):
        order = world.order(one)
        assert order == again.order(one)
        assert ChannelOrder.model_validate_json(order.model_dump_json(), strict=True) == order


def test_totals_add_up_unless_they_are_meant_not_to(book, survey):
    honest, wrong = (World(survey, 7, Shares(mismatch=share)) for share in (0.0, 1.0))
    for one in islice(sales(book, survey), 50):
        assert honest.order(one).total_minor == one.total_minor
        assert wrong.order(one).total_minor == one.total_minor + 1


def test_the_older_version_differs_and_is_older(survey):
    world = World(survey, 7, Shares(outdated=1.0))
    order = world.order(sale())
    older = world.outdated(order)
    assert (older.version, order.version) == (1, 2)
    assert older.order_id == order.order_id
    assert older.total_minor == order.total_minor + 339


def test_a_payment_is_the_whole_total_or_nothing(survey):
    world = World(survey, 7, Shares(unpaid=0.0))
    order = world.order(sale())
    assert world.payment(sale(), order).amount_minor == order.total_minor == 678
    assert World(survey, 7, Shares(unpaid=1.0)).payment(sale(), order) is None
    free = sale(lines=(SaleLine("1", "71053", "LANTERN", 2, 0),))
    assert world.payment(free, world.order(free)) is None


def test_one_buyer_has_one_address(survey):
    world = World(survey, 7, Shares())
    assert world.destination(sale()) == world.destination(sale(invoice_no="2"))
    assert world.destination(sale(customer="")) != world.destination(sale(customer="", invoice_no="2"))


def test_one_node_can_ship_the_largest_sale_of_every_sku_that_is_not_short(survey):
    world = World(survey, 7, Shares(short_stock=0.1))
    short = {sku for sku in survey.demand if world.is_short(sku)}
    assert 0.05 < len(short) / len(survey.demand) < 0.15
    for sku, demand in survey.demand.items():
        stock = world.opening_stock(sku)
        if sku in short:
            assert sum(stock.values()) < demand
        else:
            assert sum(stock.values()) >= demand
            assert stock[MAIN_NODE.code] >= survey.largest[sku]
            assert world.restock(sku) == 0


def test_countries_of_the_slice_are_known(survey):
    for country, _ in survey.listings:
        assert len(country_code(country)) == 2
        assert towns(country_code(country))


@pytest.mark.parametrize(("name", "shop"), [("United Kingdom", "united-kingdom"), ("EIRE", "eire"), ("DE", "de")])
def test_shops(name, shop):
    assert shop_of(name) == shop


def test_an_unknown_country_is_refused_by_name():
    assert country_code("NZ") == "NZ"
    with pytest.raises(BookError, match="column Country: 'Atlantis' is not known"):
        country_code("Atlantis")
