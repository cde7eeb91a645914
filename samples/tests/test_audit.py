"""The audit finds what it is there for, and says nothing when all is well."""

from dataclasses import replace

import pytest

from oms_sample.audit import Findings, OrderSeen, judge
from oms_sample.journal import Journal

SOUND = Findings(
    orders=[OrderSeen("a", "completed", ()), OrderSeen("b", "awaiting_payment", ())],
    differences=[],
    oversold=0,
    dead_letters=[],
)


@pytest.fixture
def journal() -> Journal:
    journal = Journal(
        ordered={"a": {"1": 2}, "b": {"1": 1}}, order_numbers={"a": "shop 1", "b": "shop 2"}, unpaid={"b"}
    )
    journal.put_on_shelf("LON", "X", 5)
    journal.ship("a", "1", "LON", "X", 2)
    return journal


def test_a_sound_run(journal):
    verdict = judge(journal, SOUND)
    assert verdict.sound
    assert verdict.accepted == 2
    assert verdict.states == {"awaiting_payment": {"awaiting_payment": 1}, "completed": {"": 1}}


def test_an_order_nobody_knows_is_lost(journal):
    verdict = judge(journal, replace(SOUND, orders=SOUND.orders[1:]))
    assert verdict.lost == ["shop 1 (a)"]
    assert not verdict.sound


def test_shipping_a_line_twice_is_doubled(journal):
    journal.ship("a", "1", "LON", "X", 2)
    verdict = judge(journal, SOUND)
    assert verdict.doubled == ["shop 1 (a) line 1: 4 shipped, 2 ordered"]
    assert not verdict.sound


def test_shipping_what_nobody_ordered_is_doubled(journal):
    journal.ship("c", "1", "LON", "X", 1)
    assert judge(journal, SOUND).doubled == ["? (c) line 1: 1 shipped, 0 ordered"]


def test_an_empty_shelf_is_oversold(journal):
    journal.ordered["a"]["1"] = 9
    journal.ship("a", "1", "LON", "X", 4)
    verdict = judge(journal, SOUND)
    assert verdict.oversold == ["LON X: 1 more shipped than there was"]
    assert not verdict.sound


def test_a_shelf_that_was_filled_up_too_late_is_still_oversold(journal):
    journal.ordered["a"]["1"] = 9
    journal.ship("a", "1", "LON", "X", 4)
    journal.put_on_shelf("LON", "X", 10)
    assert not judge(journal, SOUND).sound


@pytest.mark.parametrize(
    ("state", "holds", "explained"),
    [
        ("released", (), False),
        ("in_fulfilment", (), False),
        ("shipped", (), False),
        ("awaiting_payment", (), False),
        ("awaiting_stock", (), False),
        ("in_fulfilment", ("NO_ROUTE",), True),
        ("on_hold", ("BUYER_NOTE",), True),
        ("awaiting_stock", ("STOCK_SHORT",), True),
        ("cancelled", (), True),
    ],
)
def test_an_order_on_its_way_for_ever_is_unexplained(journal, state, holds, explained):
    verdict = judge(journal, replace(SOUND, orders=[OrderSeen("a", state, holds), SOUND.orders[1]]))
    assert (verdict.unexplained == []) is explained
    assert verdict.sound is explained


@pytest.mark.parametrize("change", [{"differences": ["X"]}, {"dead_letters": ["X"]}, {"oversold": 1}])
def test_what_the_system_admits_is_not_sound(journal, change):
    assert not judge(journal, replace(SOUND, **change)).sound
