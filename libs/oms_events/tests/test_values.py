"""Money, splits and ids."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oms_events.values import CURRENCIES, Money, derived_id, fee_minor, largest_remainder, order_id, statement_id, utc

NOW = datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PARTS = st.lists(st.text("abc", max_size=3), min_size=1, max_size=4)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=30)
TOTALS = st.integers(-(10**14), 10**14)


# --- splits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (18_225, [98, 2], [17_861, 364]),  # 182.25 at 98 % and 2 %: 178.61 + 3.64, never 182.26
        (10, [1, 1, 1], [4, 3, 3]),
        (685, [1] * 6, [115, 114, 114, 114, 114, 114]),
        (333, [666, 133, 131, 525], [152, 31, 30, 120]),
        (4_200, [15_000, 6_000], [3_000, 1_200]),  # a return of the first line refunds 150 - 30 = 120
        (3_000, [10_000] * 3, [1_000] * 3),  # a return of two of three refunds 2 x (100 - 10) = 180
        (0, [3, 4], [0, 0]),
        (7, [0, 5], [0, 7]),
        (5, [0, 0, 0], [2, 2, 1]),
        (-10, [1, 1, 1], [-4, -3, -3]),
        (1, [1], [1]),
        (2, [1] * 5, [1, 1, 0, 0, 0]),
    ],
)
def test_golden_splits(total: int, weights: list[int], shares: list[int]) -> None:
    assert largest_remainder(total, weights) == shares


@given(TOTALS, WEIGHTS)
def test_shares_add_up_to_the_whole(total: int, weights: list[int]) -> None:
    assert sum(largest_remainder(total, weights)) == total


@given(TOTALS, WEIGHTS)
def test_no_share_is_a_whole_unit_from_its_exact_part(total: int, weights: list[int]) -> None:
    assume(sum(weights) > 0)
    for share, weight in zip(largest_remainder(total, weights), weights, strict=True):
        assert abs(share * sum(weights) - total * weight) < sum(weights)


@given(TOTALS, WEIGHTS)
def test_a_larger_weight_never_gets_a_smaller_share(total: int, weights: list[int]) -> None:
    shares = [abs(share) for share in largest_remainder(total, weights)]
    ranked = sorted(zip(weights, shares, strict=True))
    for (light, less), (heavy, more) in pairwise(ranked):
        assert light == heavy or less <= more


@given(TOTALS, WEIGHTS)
def test_a_negative_whole_splits_like_the_positive_one(total: int, weights: list[int]) -> None:
    assert largest_remainder(-total, weights) == [-share for share in largest_remainder(total, weights)]


@given(TOTALS, WEIGHTS)
def test_who_weighs_nothing_gets_nothing(total: int, weights: list[int]) -> None:
    assume(sum(weights) > 0)
    for share, weight in zip(largest_remainder(total, weights), weights, strict=True):
        assert weight > 0 or share == 0


@pytest.mark.parametrize("weights", [[], [-1], [2, -1]])
def test_a_split_without_sense_is_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weight"):
        largest_remainder(10, weights)


# --- fees ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ppm", "fixed", "taken"),
    [
        (3_001, 150_000, 0, 450),  # 450.15
        (3_400, 29_000, 30, 129),  # 98.6 and 30
        (3, 500_000, 0, 2),  # half a unit goes up
        (3, 499_999, 0, 1),
        (10**14, 1_000_000, 0, 10**14),
        (100, 0, 30, 30),
        (0, 150_000, 30, 0),
        (-100, 150_000, 30, 0),
    ],
)
def test_golden_fees(base: int, ppm: int, fixed: int, taken: int) -> None:
    assert fee_minor(base, rate_ppm=ppm, fixed_minor=fixed) == taken


@given(st.integers(1, 10**14), st.integers(0, 10**6), st.integers(0, 1_000))
def test_a_fee_is_the_exact_share_rounded_half_up_and_the_fixed_part(base: int, ppm: int, fixed: int) -> None:
    exact = Decimal(base) * ppm / 10**6
    assert fee_minor(base, rate_ppm=ppm, fixed_minor=fixed) == int(exact.quantize(Decimal(1), ROUND_HALF_UP)) + fixed


@given(TOTALS, st.integers(0, 10**6), st.integers(0, 1_000))
def test_a_fee_keeps_its_bounds_and_nothing_is_taken_of_nothing(base: int, ppm: int, fixed: int) -> None:
    bounded = fee_minor(base, rate_ppm=ppm, fixed_minor=fixed, min_minor=100, max_minor=200)
    free = fee_minor(base, rate_ppm=ppm, fixed_minor=fixed)
    assert bounded == (min(max(free, 100), 200) if base > 0 else 0)


# --- money --------------------------------------------------------------------------------------------------------


def test_money_of_one_currency_adds_subtracts_and_multiplies() -> None:
    assert Money(255, "GBP") * 6 + Money(395, "GBP") - Money(100, "GBP") == Money(1_825, "GBP")


def test_money_of_two_currencies_does_not_mix() -> None:
    with pytest.raises(ValueError, match="EUR with GBP"):
        Money(1, "EUR") + Money(1, "GBP")
    with pytest.raises(ValueError, match="EUR"):
        Money(1, "GBP") - Money(1, "EUR")
    assert Money(1, "EUR") != Money(1, "GBP")


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (18_225, "GBP", "182.25 GBP"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (-105, "EUR", "-1.05 EUR"),
        (480, "JPY", "480 JPY"),
        (-480, "JPY", "-480 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (0, "USD", "0.00 USD"),
    ],
)
def test_money_shows_the_decimals_of_its_currency(minor: int, currency: str, shown: str) -> None:
    assert str(Money(minor, currency)) == shown


@given(TOTALS, WEIGHTS, st.sampled_from(sorted(CURRENCIES)))
def test_money_splits_without_losing_any(minor: int, weights: list[int], currency: str) -> None:
    assert sum(Money(minor, currency).split(weights), Money(0, currency)) == Money(minor, currency)


def test_currencies_are_iso_4217_with_their_decimals() -> None:
    assert {CURRENCIES[code] for code in ("GBP", "EUR", "USD", "CNY")} == {2}
    assert {CURRENCIES[code] for code in ("JPY", "KRW", "VND")} == {0}
    assert {CURRENCIES[code] for code in ("KWD", "BHD", "TND")} == {3}
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
    assert not {"DEM", "BGN1", "XXX", "XTS"} & CURRENCIES.keys()


# --- ids ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(), min_size=1), TIMES)
def test_a_derived_id_is_a_version_8_uuid_that_begins_with_its_time(parts: list[str], at: datetime) -> None:
    found = derived_id(*parts, at=at)
    assert (found.version, found.variant) == (8, RFC_4122)
    assert found.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.text("abc"), st.text("abc"), TIMES, TIMES)
def test_derived_ids_sort_by_time(one: str, other: str, at: datetime, later: datetime) -> None:
    assume(later - at >= timedelta(milliseconds=1))
    assert derived_id(one, at=at) < derived_id(other, at=later)
    assert str(derived_id(one, at=at)) < str(derived_id(other, at=later))


@given(PARTS, PARTS)
def test_derived_ids_are_the_same_for_the_same_parts_only(parts: list[str], others: list[str]) -> None:
    assert derived_id(*parts, at=NOW) == derived_id(*parts, at=NOW)
    assert (derived_id(*parts, at=NOW) == derived_id(*others, at=NOW)) == (parts == others)


def test_a_derived_id_is_fixed_for_ever() -> None:
    known = derived_id("cause", "oms.orders.OrderPlaced.v1", "0", at=NOW)
    assert known == UUID("019cadc6-9b7a-8700-ae5b-3d33407c5fc9")
    assert derived_id("cause", "oms.orders.OrderPlaced.v1", "1", at=NOW) != known


def test_a_derived_id_knows_the_instant_and_not_its_offset() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    assert derived_id("a", at=elsewhere) == derived_id("a", at=NOW)
    assert derived_id("a", at=NOW + timedelta(microseconds=1)) == derived_id("a", at=NOW)


def test_a_time_before_1970_still_gives_an_id() -> None:
    before = derived_id("a", at=datetime(1969, 7, 20, tzinfo=UTC))
    assert (before.version, before.int >> 80) == (8, 0)


def test_an_order_has_one_id_for_ever() -> None:
    assert order_id("uci", "united-kingdom", "536365") == UUID("7b6e5e08-d569-5df2-8bc9-771067e2af44")
    assert order_id("uci", "united-kingdom", "536365").version == 5


@given(st.lists(st.text("ab-", max_size=3), min_size=6, max_size=6))
def test_orders_of_other_names_have_other_ids(names: list[str]) -> None:
    one, other = names[:3], names[3:]
    assert (order_id(*one) == order_id(*other)) == (one == other)


# --- times --------------------------------------------------------------------------------------------------------


def test_utc_keeps_the_instant() -> None:
    moment = datetime(2010, 12, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    assert utc(moment) == moment
    assert utc(moment).isoformat() == "2010-12-01T00:00:00+00:00"


def test_a_time_without_zone_or_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        utc(datetime(2010, 12, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="years"):
        utc(datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))))


def test_a_statement_is_the_same_file_for_the_same_account() -> None:
    one, other = "a" * 64, "b" * 64
    assert str(statement_id("web", "main", one)) == "095fee46-a881-5bca-8281-81c2f0124a61"
    ids = {statement_id(*names) for names in (("web", "main", one), ("web", "other", one), ("web", "main", other))}
    assert len(ids) == 3
    assert statement_id("web", "main", one) != order_id("web", "main", one)
