"""Where an order stands is a function of its facts; its books always balance, and nothing is lost between parts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_settlement.domain import chart
from oms_settlement.domain.position import Dated, Facts, Line, position, steps
from oms_settlement.domain.rates import RateCard, in_force

AT = datetime(2026, 3, 1, tzinfo=UTC)
CARDS = {
    "commission": RateCard(150_000, 0, 30, None, "c", AT),
    "payment_fee": RateCard(29_000, 30, None, 500, "p", AT),
}


def card(component: str, at: datetime) -> RateCard | None:
    return CARDS[component] if at >= AT else None


lines = st.dictionaries(st.sampled_from("abc"), st.builds(Line, st.integers(0, 10**6), st.integers(1, 9)), min_size=1)
quantities = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1)
moments = st.integers(1, 30).map(lambda days: AT + timedelta(days=days))
dated = st.builds(Dated, moments, quantities)
facts = st.builds(
    Facts,
    lines,
    st.integers(0, 5000),
    st.integers(0, 10**6),
    st.none() | st.just(AT),
    st.integers(0, 3 * 10**6),
    st.dictionaries(st.sampled_from("xyz"), dated, max_size=3),
    st.none() | st.just(AT),
    st.dictionaries(st.sampled_from("pqr"), dated, max_size=3),
)


@given(facts)
def test_the_books_of_an_order_balance(one):
    assert sum(position(one, card).postings.values()) == 0


@given(facts)
def test_what_is_expected_is_what_waits_in_the_books(one):
    found = position(one, card)
    waiting = {
        component: found.postings.get((chart.control_of(component), component), 0) for component in found.expected
    }
    assert waiting == found.expected


@given(facts)
def test_steps_add_up_to_the_position_whatever_was_heard_before(one):
    expected: dict[str, int] = {}
    for step in steps(Facts(), one, "paid", card):
        assert sum(step.postings.values()) == 0
        for component, minor in step.expected.items():
            expected[component] = expected.get(component, 0) + minor
    assert {name: minor for name, minor in expected.items() if minor} == position(one, card).expected
    assert list(steps(one, one, "paid", card)) == []


@given(lines, st.data())
def test_what_is_sent_and_what_is_cancelled_add_up_to_the_order(ordered, data):
    sent = {id_: data.draw(st.integers(0, line.quantity)) for id_, line in ordered.items()}
    gone = {id_: line.quantity - sent[id_] for id_, line in ordered.items()}
    total = sum(line.amount_minor for line in ordered.values())
    one = Facts(ordered, 0, 0, AT, total, {"x": Dated(AT, gone)}, None, {"p": Dated(AT + timedelta(days=1), sent)})
    found = position(one, card)
    assert found.postings.get((chart.ADVANCES, "goods"), 0) == 0
    sales = -found.postings.get((chart.SALES, "goods"), 0)
    assert sales - found.expected.get("refund", 0) == total


@pytest.mark.parametrize(("base", "taken"), [(0, 0), (10, 50), (370, 86), (10**6, 100)])
def test_a_card_takes_its_rate_and_its_fixed_part_within_its_bounds(base, taken):
    assert RateCard(150_000, 30, 50, 100, "v", AT).fee(base) == taken


def test_the_newest_card_in_force_counts():
    cards = [CARDS["commission"], RateCard(1, 0, None, None, "later", AT + timedelta(days=9))]
    assert in_force(cards, AT - timedelta(seconds=1)) is None
    assert in_force(cards, AT + timedelta(days=8)) is cards[0]
    assert in_force(cards, AT + timedelta(days=9)) is cards[1]
