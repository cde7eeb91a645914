"""Promises, the choice of a carrier, waybill numbers."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_logistics.domain.calendar import Calendar
from oms_logistics.domain.choice import CarrierService, Choice, Consignment, TariffVersion, choose, on_offer
from oms_logistics.domain.tariff import Lane, Tariff, WeightPrice, Zone
from oms_logistics.domain.waybill import LAST_SERIAL, PoolExhausted, check_digit, waybill

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
CALENDAR = Calendar(ZoneInfo("Europe/London"), time(17), time(20), frozenset({1, 2, 3, 4, 5}))


@pytest.mark.parametrize(
    ("now", "days", "promised", "lead"),
    [
        (MONDAY, 1, datetime(2026, 3, 3, 20, tzinfo=UTC), 1),
        (MONDAY, 0, datetime(2026, 3, 2, 20, tzinfo=UTC), 0),
        (MONDAY.replace(hour=17), 1, datetime(2026, 3, 3, 20, tzinfo=UTC), 1),
        (MONDAY.replace(hour=17, second=1), 1, datetime(2026, 3, 4, 20, tzinfo=UTC), 2),
        (datetime(2026, 3, 6, 9, tzinfo=UTC), 1, datetime(2026, 3, 9, 20, tzinfo=UTC), 1),
        (datetime(2026, 3, 7, 9, tzinfo=UTC), 1, datetime(2026, 3, 10, 20, tzinfo=UTC), 1),
        # Summer time begins on 29 March: 20:00 in London is then 19:00 UTC.
        (datetime(2026, 3, 27, 9, tzinfo=UTC), 1, datetime(2026, 3, 30, 19, tzinfo=UTC), 1),
    ],
    ids=["next day", "same day", "at the cut-off", "after it", "over the weekend", "on a Saturday", "summer time"],
)
def test_promise(now: datetime, days: int, promised: datetime, lead: int) -> None:
    promise = CALENDAR.promise(now, days)
    assert (promise.promised_at, promise.lead_days) == (promised, lead)


def test_closed_days_do_not_count() -> None:
    closed = Calendar(ZoneInfo("UTC"), time(17), time(20), frozenset({1, 2, 3, 4, 5}), frozenset({date(2026, 3, 3)}))
    assert closed.promise(MONDAY, 1).promised_at == datetime(2026, 3, 4, 20, tzinfo=UTC)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.integers(0, 20),
    st.sets(st.integers(1, 7), min_size=1),
)
def test_promises_lie_ahead_on_working_days_and_grow_with_transit(now: datetime, days: int, weekdays: set[int]) -> None:
    calendar = Calendar(ZoneInfo("Asia/Tokyo"), time(15), time(21), frozenset(weekdays))
    one, more = calendar.promise(now, days), calendar.promise(now, days + 1)
    assert now < one.promised_at < more.promised_at
    assert one.promised_at.astimezone(calendar.timezone).isoweekday() in weekdays
    assert calendar.promise(now + timedelta(hours=1), days).promised_at >= one.promised_at


def service(
    carrier: str,
    minor: int,
    *,
    days: int = 2,
    tiers: str = "standard",
    countries: str = "",
    max_weight_g: int = 30_000,
    versions: tuple[TariffVersion, ...] | None = None,
) -> CarrierService:
    terms = Tariff((Zone("all"),), {"all": WeightPrice((1000,), (minor,), 1000, 100)}, 100)
    since = datetime(2020, 1, 1, tzinfo=UTC)
    return CarrierService(
        carrier,
        "parcel",
        frozenset(tiers.split()),
        frozenset(countries.split()),
        max_weight_g,
        CALENDAR,
        {"all": days},
        (TariffVersion(1, terms, since, None),) if versions is None else versions,
    )


def decide(*services: CarrierService, tier: str = "standard", max_days: int | None = 3, weight_g: int = 900) -> Choice:
    return choose(on_offer(services, MONDAY), Consignment(Lane("GB", "FR"), tier, max_days, weight_g))


def reasons(choice: Choice) -> dict[str, str]:
    return {option.carrier: option.reason for option in choice.options}


def winner(choice: Choice) -> str | None:
    return choice.winner.carrier if choice.winner else None


def test_the_cheapest_that_keeps_the_promise_wins() -> None:
    choice = decide(service("slow", 100, days=4), service("dear", 500), service("fair", 300, days=3))
    assert winner(choice) == "fair"
    assert reasons(choice) == {
        "dear": "dearer by 200",
        "fair": "cheapest that keeps the promise",
        "slow": "takes 4 days instead of 3",
    }


def test_a_tie_goes_to_the_earlier_code() -> None:
    choice = decide(service("beta", 300), service("alfa", 300))
    assert winner(choice) == "alfa"
    assert reasons(choice)["beta"] == "same price, later in the order of codes"


def test_when_nobody_keeps_the_promise_the_soonest_is_taken() -> None:
    choice = decide(service("slow", 100, days=4), service("quick", 500, days=2), max_days=1)
    assert winner(choice) == "quick"
    assert reasons(choice) == {
        "quick": "soonest, though 2 days instead of 1",
        "slow": "takes 4 days instead of 1",
    }


def test_every_obstacle_is_named() -> None:
    choice = decide(
        service("tier", 1, tiers="express"),
        service("land", 1, countries="DE NL"),
        service("load", 1, max_weight_g=800),
        service("none", 1, versions=()),
    )
    assert winner(choice) is None
    assert reasons(choice) == {
        "land": "does not deliver to FR",
        "load": "carries up to 800 g, not 900 g",
        "none": "has no tariff in force",
        "tier": "does not serve standard",
    }


def test_the_newest_tariff_in_force_counts() -> None:
    def version(number: int, minor: int, since: datetime, until: datetime | None = None) -> TariffVersion:
        terms = Tariff((Zone("all"),), {"all": WeightPrice((1000,), (minor,))}, 100)
        return TariffVersion(number, terms, since, until)

    versions = (
        version(1, 100, MONDAY - timedelta(days=9)),
        version(2, 200, MONDAY - timedelta(days=5), MONDAY + timedelta(seconds=1)),
        version(3, 300, MONDAY - timedelta(days=4), MONDAY),
        version(4, 400, MONDAY + timedelta(seconds=1)),
    )
    bid = decide(service("a", 0, versions=versions)).winner
    assert bid is not None
    assert (bid.tariff_version, bid.cost_minor) == (2, 200)


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 6)), min_size=1, max_size=8),
    st.one_of(st.none(), st.integers(0, 6)),
)
def test_no_other_bid_is_better(terms: list[tuple[int, int]], max_days: int | None) -> None:
    choice = decide(*(service(f"c{i}", minor, days=days) for i, (minor, days) in enumerate(terms)), max_days=max_days)
    best = choice.winner
    assert best is not None
    punctual = [o.bid for o in choice.options if o.bid and (max_days is None or o.bid.lead_days <= max_days)]
    if punctual:
        assert best in punctual
        assert best.cost_minor == min(bid.cost_minor for bid in punctual)
    else:
        assert best.promised_at == min(o.bid.promised_at for o in choice.options if o.bid)
    assert all(option.reason for option in choice.options)


def test_check_digit_of_the_standard() -> None:
    assert check_digit(47312482) == 9  # UPU S10's own example: RR 47312482 9 US
    assert waybill("NP", 1).number == "NP000000014ZZ"


@given(st.integers(0, LAST_SERIAL), st.integers(0, 7), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(serial: int, place: int, by: int) -> None:
    digits = [int(digit) for digit in f"{serial:08}"]
    digits[place] = (digits[place] + by) % 10
    wrong = int("".join(map(str, digits)))
    # S10 gives 5 to two of the eleven remainders: only there can a slip hide.
    assert check_digit(wrong) != check_digit(serial) or check_digit(serial) == 5


def test_a_pool_ends() -> None:
    with pytest.raises(PoolExhausted, match="NP"):
        waybill("NP", LAST_SERIAL + 1)
