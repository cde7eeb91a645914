"""Sourcing as arithmetic: nothing is planned that is not there, and the best plan wins."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_fulfilment.domain.network import Network, Node, Rules, Zone
from oms_fulfilment.domain.routing import Case, Item, Router, Units

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ZONES = (
    Zone("domestic", base_minor=300, per_kg_minor=50, days=1, domestic=True),
    Zone("abroad", base_minor=900, per_kg_minor=200, days=4),
)
RULES = Rules("test", 1, "EUR", ZONES, 3, 5, 250, 100, {"standard": 5, "next_day": 1})


def network(*nodes: Node) -> Network:
    return Network(1, tuple(sorted(nodes, key=lambda node: node.node)))


def case(stock: dict[str, dict[str, int]], wanted: dict[str, int], **more: object) -> Case:
    return Case(
        **{
            "lines": tuple(Units(f"L{no}", sku, quantity) for no, (sku, quantity) in enumerate(wanted.items())),
            "country": "GB",
            "region": "",
            "tier": "standard",
            "ship_by": None,
            "at": AT,
            "items": {sku: Item(1000, (), at_node) for sku, at_node in stock.items()},
            "capacity": {},
            **more,
        }
    )


GB1, GB2, DE1 = Node("GB1", "GB", handling_parcel_minor=10), Node("GB2", "GB"), Node("DE1", "DE")


def test_golden_cost_of_a_plan():
    router = Router(network(GB1, DE1), RULES, AT)
    (best, other) = router.decide(case({"A": {"GB1": 3, "DE1": 3}}, {"A": 3})).alternatives
    assert (best.nodes, best.score) == (("GB1",), (300 + 150, 10, 0, 0))
    assert (other.nodes, other.score, other.reason) == (("DE1",), (900 + 600, 0, 0, 0), "dearer by 1040")


def test_a_late_plan_costs_its_days():
    router = Router(network(DE1), RULES, AT)
    (late,) = router.decide(case({"A": {"DE1": 1}}, {"A": 1}, tier="next_day")).alternatives
    assert late.score.lateness_minor == 3 * 100
    after_cut_off = Router(network(replace(DE1, cut_off=time(8, 0))), RULES, AT)
    (later,) = after_cut_off.decide(case({"A": {"DE1": 1}}, {"A": 1}, tier="next_day")).alternatives
    assert later.score.lateness_minor == 4 * 100
    overdue = case({"A": {"DE1": 1}}, {"A": 1}, ship_by=AT - timedelta(days=900))
    assert router.decide(overdue).alternatives[0].score.lateness_minor == 30 * 100


def test_a_cut_off_is_local_time():
    node = Node("JP1", "JP", timezone="Asia/Tokyo", cut_off=time(17, 0))
    assert node.leaves_at(datetime(2026, 3, 2, 7, 59, tzinfo=UTC)) == datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    assert node.leaves_at(datetime(2026, 3, 2, 8, 1, tzinfo=UTC)) == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    assert node.today(datetime(2026, 3, 2, 15, 1, tzinfo=UTC)).day == 3


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (replace(DE1, active=False), "not active"),
        (replace(DE1, ships_to=("DE",)), "does not ship to GB"),
        (replace(DE1, daily_capacity=5), "no capacity left today"),
        (replace(DE1, refuses=("large",)), "may not ship large A"),
        (DE1, "not enough of A"),
    ],
)
def test_why_a_node_is_out(node, reason):
    items = {"A": Item(1000, ("large",), {"GB1": 1})}
    decision = Router(network(GB1, node), RULES, AT).decide(case({}, {"A": 1}, items=items))
    assert [(a.nodes, a.reason) for a in decision.alternatives] == [(("GB1",), ""), (("DE1",), reason)]


def test_no_zone_means_no_way():
    rules = replace(RULES, zones=ZONES[:1])
    decision = Router(network(DE1), rules, AT).decide(case({"A": {"DE1": 1}}, {"A": 1}))
    assert decision.reason == "no node may ship this: DE1 no freight zone covers GB"


def test_fewest_shipments_beat_cheaper_ones():
    stock = {"A": {"GB1": 1, "DE1": 1}, "B": {"GB2": 1, "DE1": 1}}
    decision = Router(network(GB1, GB2, DE1), RULES, AT).decide(case(stock, {"A": 1, "B": 1}))
    assert [parcel.node for parcel in decision.parcels] == ["DE1"]


def test_more_nodes_than_allowed_is_no_plan():
    stock = {"A": {"GB1": 1, "GB2": 1}}
    router = Router(network(GB1, GB2), replace(RULES, max_splits=1), AT)
    assert router.decide(case(stock, {"A": 2})).reason == "would need more than 1 shipments"


def test_an_excluded_node_is_not_tried_for_that_sku_alone():
    stock = {"A": {"GB1": 5, "DE1": 5}, "B": {"GB1": 5}}
    decision = Router(network(GB1, DE1), RULES, AT).decide(case(stock, {"A": 1, "B": 1}, excluded=(("GB1", "A"),)))
    assert {p.node: [u.sku for u in p.lines] for p in decision.parcels} == {"GB1": ["B"], "DE1": ["A"]}


def test_stock_nobody_has_told_of_is_said_to_be_unknown():
    decision = Router(network(GB1), RULES, AT).decide(case({}, {"A": 1}, items={"A": Item(1, (), None)}))
    assert decision.reason == "stock of A is not known yet"


skus = st.sampled_from(["A", "B", "C"])
stocks = st.dictionaries(skus, st.dictionaries(st.sampled_from(["DE1", "GB1", "GB2"]), st.integers(0, 6)))
wanted_lines = st.lists(st.tuples(skus, st.integers(1, 5)), min_size=1, max_size=5)


@given(stocks, wanted_lines)
@settings(max_examples=300, deadline=None)
def test_a_plan_ships_exactly_what_is_wanted_from_what_is_there(stock, wanted):
    items = {sku: Item(100, (), stock.get(sku)) for sku in "ABC"}
    lines = tuple(Units(f"L{no}", sku, quantity) for no, (sku, quantity) in enumerate(wanted))
    asked = case({}, {}, items=items, lines=lines)
    router = Router(network(GB1, GB2, DE1), RULES, AT)
    decision = router.decide(asked)
    assert decision == Router(network(GB1, GB2, DE1), RULES, AT).decide(asked)
    totals = {sku: sum(line.quantity for line in lines if line.sku == sku) for sku in "ABC"}
    possible = all(sum((stock.get(sku) or {}).values()) >= total for sku, total in totals.items())
    assert bool(decision.parcels) == possible
    shipped = {line.line_id: 0 for line in lines}
    for parcel in decision.parcels:
        assert parcel.lines
        for sku in "ABC":
            taken = sum(units.quantity for units in parcel.lines if units.sku == sku)
            assert taken <= (stock.get(sku) or {}).get(parcel.node, 0)
        for units in parcel.lines:
            shipped[units.line_id] += units.quantity
    if possible:
        assert shipped == {line.line_id: line.quantity for line in lines}
        assert len({parcel.node for parcel in decision.parcels}) == len(decision.parcels)
        costs = [a.score.total_minor for a in decision.alternatives if a.score]
        assert costs == sorted(costs)
    else:
        assert decision.reason
        assert decision.lacking


def test_the_largest_order_known_is_decided_in_time():
    nodes = [Node(f"N{no}", "GB") for no in range(10)]
    stock = {f"S{no}": {f"N{(no + step) % 10}": 100 for step in range(6)} for no in range(1114)}
    asked = case(stock, dict.fromkeys(stock, 2))
    router = Router(network(*nodes), RULES, AT)
    started = process_time()
    assert len(router.decide(asked).parcels) == 2
    assert process_time() - started < 0.5
