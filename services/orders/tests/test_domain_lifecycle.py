"""The rules of an order by themselves: any order of facts ends the same, and the state moves only as documented."""

import random
import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_orders.domain import progress
from oms_orders.domain.cancellation import Wish, answer, cancel, reject_hold
from oms_orders.domain.holds import HOLD_KINDS, AuditRule, close_hold, open_hold
from oms_orders.domain.intake import map_listings, receive, receive_again
from oms_orders.domain.order import Cause, Completed, LinesCancelled, Order, Paid, Payment, Placed, Released, StopAsked
from oms_orders.domain.progress import settle
from oms_orders.domain.states import axes_of

from .examples import ident, told

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIFECYCLE = Path(__file__).parents[3] / "docs" / "order-lifecycle.md"
MAPPED = {"tea": "TEA-100", "cup": "CUP-1"}
PARCELS = [UUID(int=n) for n in range(1, 4)]

Fact = Callable[[Order, Cause], object]


def cause(number: int = 0) -> Cause:
    return Cause(str(number), NOW, NOW + timedelta(seconds=number))


def new_order(**changes: object) -> Order:
    return receive(ident(), told(**changes).order, MAPPED, cause())


def money(number: str, amount: int) -> Fact:
    return lambda order, why: progress.pay(order, Payment(number, "EUR", amount, NOW), why)


def dispatched(parcel: UUID, **quantities: int) -> Fact:
    contents = {name[1:]: quantity for name, quantity in quantities.items()}
    return lambda order, why: progress.dispatch(order, parcel, contents, NOW, why)


def delivered(parcel: UUID) -> Fact:
    return lambda order, _: progress.deliver(order, parcel, NOW)


def play(order: Order, facts: list[Fact]) -> list[object]:
    decisions: list[object] = []
    for number, fact in enumerate(facts):
        fact(order, cause(number))
        settle(order, cause(number))
        decisions += order.take_decisions()
    return decisions


FACTS: list[Fact] = [
    money("P-1", 1000),
    money("P-2", 1600),
    lambda order, why: progress.report_shortage(order, "tea", why),
    progress.reserve,
    lambda order, why: progress.report_obstacle(order, "NO_ROUTE", "nobody", why),
    lambda order, why: progress.report_obstacle(order, "NO_CARRIER", "nobody", why),
    dispatched(PARCELS[0], _1=2),
    dispatched(PARCELS[1], _2=1),
    delivered(PARCELS[0]),
    delivered(PARCELS[1]),
]


@settings(deadline=None)
@given(st.permutations(FACTS), st.lists(st.sampled_from(FACTS), max_size=8), st.randoms())
def test_any_order_of_facts_ends_the_same(facts: list[Fact], again: list[Fact], rng: random.Random) -> None:
    order = new_order()
    everything = [*facts, *again]
    rng.shuffle(everything)
    decisions = Counter(type(decision) for decision in play(order, everything))
    axes = axes_of(order)
    assert (axes.payment, axes.fulfilment, axes.after_sales, axes.state) == ("paid", "delivered", "none", "completed")
    assert [decisions[kind] for kind in (Placed, Paid, Released, Completed)] == [1, 1, 1, 1]
    assert order.open_holds() == []
    assert [(line.shipped, line.delivered) for line in order.lines.values()] == [(2, 2), (1, 1)]


@settings(deadline=None)
@given(
    st.permutations([money("P-1", 2600), progress.reserve]),
    st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from(["1", "2"]), st.integers(1, 3)), min_size=1, max_size=4),
)
def test_a_cancellation_ends_the_same_before_and_after_the_release(
    facts: list[Fact], place: int, wanted: list[tuple[str, int]]
) -> None:
    """Whether it is done at once or fulfilment stops all of it, the same quantities are left."""

    def wish(number: int) -> Wish:
        line_id, quantity = wanted[number]
        return Wish(f"C-{number}", "channel", "", NOW, {line_id: quantity})

    def run(position: int) -> Order:
        order = new_order()
        wishes: list[Fact] = [
            lambda order, why, number=number: cancel(order, wish(number), why) for number in range(len(wanted))
        ]
        decisions = play(order, [*facts[:position], *wishes, *facts[position:]])
        for asked in [decision for decision in decisions if isinstance(decision, StopAsked)]:
            answer(order, asked.cancellation.cancellation_no, asked.quantities, cause(99))
            settle(order, cause(99))
        return order

    early, late = run(0), run(place)
    assert {k: line.left for k, line in early.lines.items()} == {k: line.left for k, line in late.lines.items()}
    assert (early.cancelled_at is None) == (late.cancelled_at is None)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 4))
def test_a_cancellation_never_takes_more_than_is_left(first: int, second: int, stopped: int) -> None:
    order = new_order()
    play(order, [money("P-1", 2600), progress.reserve])
    one = cancel(order, Wish("C-1", "channel", "", NOW, {"1": first}), cause(1))
    other = cancel(order, Wish("C-2", "channel", "", NOW, {"1": second}), cause(2))
    for cancellation in (one, other):
        answer(order, cancellation.cancellation_no, {"1": stopped}, cause(3))
        assert all(line.stopped + line.refused == line.asked for line in cancellation.lines)
    assert 0 <= order.lines["1"].left <= 2
    cancelled = [d.quantities.get("1", 0) for d in order.take_decisions() if isinstance(d, LinesCancelled)]
    assert sum(cancelled) == order.lines["1"].cancelled


def test_money_told_twice_counts_once_and_settling_twice_changes_nothing() -> None:
    order = new_order()
    play(order, [money("P-1", 2600), money("P-1", 2600), progress.reserve])
    before = deepcopy(order)
    settle(order, cause(9))
    assert order == before
    assert order.paid_minor == 2600


def test_a_hold_is_not_opened_twice_for_one_thing() -> None:
    order = new_order(buyer_note="hello")
    open_hold(order, "BUYER_NOTE", "again", cause(1))
    assert [hold.code for hold in order.holds] == ["BUYER_NOTE"]


def test_audit_rules() -> None:
    assert AuditRule().stops("x")
    assert not AuditRule().stops("  ")
    assert not AuditRule("never").stops("x")
    assert AuditRule("words", ("Gift",)).stops("a GIFT for her")
    assert not AuditRule("words", ("Gift",)).stops("for her")


# --- the document --------------------------------------------------------------------------------------------


@dataclass
class Walk:
    """One random life of an order in which everything happens only after what causes it."""

    rng: random.Random
    order: Order
    asked: list[StopAsked]
    parcels: int = 0

    def step(self, number: int) -> None:
        why = cause(number)
        actions = [
            self.pay,
            self.reserve,
            self.shortage,
            self.map,
            self.cancel,
            self.hold,
            self.judge,
            self.change,
            self.dispatch,
            self.dispatch,
            self.deliver,
            self.deliver,
            self.obstacle,
            self.clear,
            self.answer,
        ]
        self.rng.choice(actions)(why)
        settle(self.order, why)
        self.asked += [decision for decision in self.order.take_decisions() if isinstance(decision, StopAsked)]

    def pay(self, why: Cause) -> None:
        money(why.id, self.rng.choice([1300, 2600]))(self.order, why)

    def reserve(self, why: Cause) -> None:
        if self.order.entered_at:
            progress.reserve(self.order, why)

    def shortage(self, why: Cause) -> None:
        if self.order.entered_at:
            progress.report_shortage(self.order, "tea", why)

    def map(self, why: Cause) -> None:
        map_listings(self.order, MAPPED, why)

    def cancel(self, why: Cause) -> None:
        quantities = self.rng.choice([{}, {"1": 1}, {"1": 2}, {"2": 1}, {"2": 1}])
        cancel(self.order, Wish(why.id, "channel", "", NOW, quantities), why)

    def hold(self, why: Cause) -> None:
        if not self.order.closed:
            open_hold(self.order, "CUSTOM", "", why)

    def judge(self, why: Cause) -> None:
        if holds := self.order.open_holds():
            hold = self.rng.choice(holds)
            if self.rng.random() < 0.3:
                reject_hold(self.order, hold, "ann", "", why)
            elif not hold.auto:
                close_hold(self.order, hold, "RESOLVED", "ann", why)

    def change(self, why: Cause) -> None:
        telling = told(version=self.order.channel_version + 1, delivery_tier="express")
        receive_again(self.order, telling.order, {}, why)

    def dispatch(self, why: Cause) -> None:
        if self.order.released_at and not self.order.closed:
            left = {line.line_id: line.left - line.shipped for line in self.order.lines.values()}
            some = {line_id: self.rng.randint(0, quantity) for line_id, quantity in left.items() if quantity > 0}
            contents = {line_id: quantity for line_id, quantity in some.items() if quantity}
            if contents and not (contents.keys() & {line_id for one in self.asked for line_id in one.quantities}):
                self.parcels += 1
                progress.dispatch(self.order, UUID(int=self.parcels), contents, NOW, why)

    def deliver(self, _: Cause) -> None:
        if self.parcels:
            progress.deliver(self.order, UUID(int=self.rng.randint(1, self.parcels)), NOW)

    def obstacle(self, why: Cause) -> None:
        if self.order.released_at:
            progress.report_obstacle(self.order, "NO_ROUTE", "nobody", why)

    def clear(self, why: Cause) -> None:
        progress.clear_obstacle(self.order, "NO_ROUTE", "fulfilment", why)

    def answer(self, why: Cause) -> None:
        if self.asked:
            asked = self.asked.pop(0)
            stopped = {line_id: self.rng.randint(0, quantity) for line_id, quantity in asked.quantities.items()}
            answer(self.order, asked.cancellation.cancellation_no, stopped, why)


def observed_transitions(walks: int = 1000, steps: int = 40) -> set[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    for seed in range(walks):
        rng = random.Random(seed)
        skus = rng.choice([MAPPED, MAPPED, {}])
        order = receive(ident(), told(buyer_note=rng.choice(["", "", "hello"])).order, skus, cause())
        if seed % 2:
            play(order, [money("P", 2600), progress.reserve])
        settle(order, cause())
        walk = Walk(rng, order, [])
        state = axes_of(order).state
        for number in range(1, steps):
            walk.step(number)
            following = axes_of(order).state
            if following != state:
                seen.add((state, following))
            state = following
            if order.closed:
                break
    return seen


def documented_transitions() -> set[tuple[str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", LIFECYCLE.read_text(), re.MULTILINE)
    return {(state, following) for state, cell in rows for following in re.findall(r"`(\w+)`", cell)}


def test_the_state_moves_exactly_as_documented() -> None:
    assert observed_transitions() == documented_transitions()


def test_every_hold_is_documented_with_what_it_blocks() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([a-z, ]+) \| (event|person) \|", LIFECYCLE.read_text(), re.MULTILINE)
    documented = {code: (tuple(blocks.split(", ")), by == "event") for code, blocks, by in rows}
    assert documented == {code: (kind.blocks, kind.auto) for code, kind in HOLD_KINDS.items()}
