"""Rating: golden numbers and what must hold for every tariff."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_logistics.domain.tariff import Lane, Rating, Surcharge, Tariff, WeightPrice, Zone, billable_weight, rate

HOME = Lane("GB", "GB", "LS1 4AP")
ZONES = (
    Zone("domestic", frozenset({"GB", "DE"}), domestic=True),
    Zone("europe", destinations=frozenset({"FR", "DE"})),
    Zone("world"),
)
FIRST_AND_CONTINUED = WeightPrice((1000,), (500,), step_g=500, step_minor=100)


def tariff(price: WeightPrice = FIRST_AND_CONTINUED, **more: Any) -> Tariff:
    terms: dict[str, Any] = {"zones": ZONES, "prices": dict.fromkeys(["domestic", "europe", "world"], price)}
    return Tariff(**(terms | {"rounding_g": 1} | more))


def rated(answer: Rating | str) -> Rating:
    assert isinstance(answer, Rating)
    return answer


@pytest.mark.parametrize(
    ("weight_g", "minor"),
    [(1, 500), (1000, 500), (1001, 600), (1500, 600), (1501, 700), (2000, 700), (10_000, 2300)],
)
def test_first_weight_and_each_begun_step(weight_g: int, minor: int) -> None:
    assert rated(rate(tariff(), HOME, weight_g)).total_minor == minor


def test_a_table_of_breaks_ends_where_no_step_follows() -> None:
    table = tariff(WeightPrice((500, 1000, 2000), (300, 400, 650)))
    assert [rated(rate(table, HOME, g)).total_minor for g in (500, 501, 1000, 2000)] == [300, 400, 400, 650]
    assert rate(table, HOME, 2001) == "2001 g is beyond the last weight break"


def test_weight_is_rounded_up_before_it_is_priced() -> None:
    answer = rated(rate(tariff(rounding_g=500), HOME, 1001))
    assert (answer.billable_g, answer.total_minor) == (1500, 600)


def test_nothing_weighs_less_than_one_step() -> None:
    assert billable_weight(tariff(rounding_g=100), 0, 0) == 100


def test_volume_counts_when_it_is_heavier() -> None:
    bulky = tariff(volumetric_divisor=5000)
    assert billable_weight(bulky, 800, 12_000) == 2400  # 30 x 20 x 20 cm / 5000 = 2.4 kg
    assert billable_weight(bulky, 3000, 12_000) == 3000
    assert billable_weight(bulky, 800, 12_001) == 2401
    assert billable_weight(tariff(), 800, 12_000) == 800


def test_minimum_holds_before_surcharges() -> None:
    answer = rated(rate(tariff(minimum_minor=750, surcharges=(Surcharge("fuel", basis_points=1250),)), HOME, 900))
    assert (answer.freight_minor, answer.surcharges, answer.total_minor) == (750, (("fuel", 94),), 844)


def test_surcharges_apply_where_their_conditions_hold() -> None:
    terms = tariff(
        surcharges=(
            Surcharge("remote", minor=450, destinations=frozenset({"IS"}), postcodes=("KW", "IV")),
            Surcharge("heavy", minor=600, over_g=25_000),
        )
    )
    assert rated(rate(terms, HOME, 25_000)).surcharges == ()
    assert rated(rate(terms, HOME, 25_001)).surcharges == (("heavy", 600),)
    assert rated(rate(terms, Lane("GB", "GB", "KW1 5AB"), 900)).surcharges == (("remote", 450),)
    assert rated(rate(terms, Lane("GB", "IS"), 900)).surcharges == (("remote", 450),)


def test_the_first_zone_that_covers_the_lane_counts() -> None:
    zones = [rated(rate(tariff(), Lane(*lane), 1)).zone for lane in (("DE", "DE"), ("GB", "DE"), ("FR", "FR"))]
    assert zones == ["domestic", "europe", "europe"]
    assert rated(rate(tariff(), Lane("GB", "US"), 1)).zone == "world"
    assert rate(tariff(zones=ZONES[:1]), Lane("GB", "US"), 1) == "no zone for GB-US"


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    breaks = draw(st.lists(st.integers(1, 50_000), min_size=1, max_size=6, unique=True).map(sorted))
    minors = draw(st.lists(st.integers(0, 10_000), min_size=len(breaks), max_size=len(breaks)).map(sorted))
    price = WeightPrice(tuple(breaks), tuple(minors), draw(st.integers(1, 5000)), draw(st.integers(0, 2000)))
    surcharges = tuple(
        Surcharge(name, draw(st.integers(0, 900)), draw(st.integers(0, 5000)), over_g=draw(st.integers(0, 40_000)))
        for name in ("fuel", "peak")
    )
    return Tariff(
        (Zone("all"),),
        {"all": price},
        draw(st.integers(1, 2000)),
        draw(st.integers(0, 5000)),
        draw(st.sampled_from([0, 4000, 5000, 6000])),
        surcharges,
    )


Weight = st.integers(0, 200_000)
Volume = st.integers(0, 500_000)


@given(tariffs(), Weight, Weight, Volume)
def test_more_weight_never_costs_less(terms: Tariff, one: int, other: int, volume: int) -> None:
    light, heavy = sorted((one, other))
    assert rated(rate(terms, HOME, light, volume)).total_minor <= rated(rate(terms, HOME, heavy, volume)).total_minor


@given(tariffs(), Weight, Volume, Volume)
def test_more_volume_never_costs_less(terms: Tariff, weight: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert rated(rate(terms, HOME, weight, small)).total_minor <= rated(rate(terms, HOME, weight, large)).total_minor


@given(tariffs(), Weight, Volume)
def test_billable_weight_covers_the_real_one_in_whole_steps(terms: Tariff, weight: int, volume: int) -> None:
    billable = billable_weight(terms, weight, volume)
    assert billable % terms.rounding_g == 0
    assert billable >= weight
    assert billable * terms.volumetric_divisor >= volume * 1000 * bool(terms.volumetric_divisor)


@given(tariffs(), Weight)
def test_the_parts_add_up(terms: Tariff, weight: int) -> None:
    answer = rated(rate(terms, HOME, weight))
    assert answer.total_minor == answer.freight_minor + sum(minor for _, minor in answer.surcharges)
    assert answer.freight_minor >= terms.minimum_minor
