"""Geometry: what is drawn adds up."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oms_console.drawing.charts import bars, columns, segments
from oms_console.drawing.journey import journey
from oms_console.drawing.layers import layers

COUNTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


@given(st.lists(st.integers(-(10**12), 10**12), max_size=12))
def test_the_longest_bar_fills_the_width_and_none_more(values: list[int]) -> None:
    drawn = bars((str(place), value, "") for place, value in enumerate(values))
    assert all(0 <= bar.share <= 100 for bar in drawn)
    assert not any(values) or max(bar.share for bar in drawn) == 100


@given(COUNTS)
def test_segments_stand_side_by_side_and_fill_the_width(values: list[int]) -> None:
    drawn = segments([(str(place), value, "", "") for place, value in enumerate(values)])
    assert len(drawn) == sum(1 for value in values if value)
    for left, right in itertools.pairwise(drawn):
        assert abs(left.x + left.width - right.x) < 0.01
    assert not drawn or abs(drawn[-1].x + drawn[-1].width - 100) < 0.02


@given(COUNTS)
def test_columns_stand_on_the_line_and_under_the_top(values: list[int]) -> None:
    chart = columns([("", value, "", "") for value in values], axis=str)
    if not any(values):
        assert chart is None
        return
    assert chart is not None
    assert all(abs(column.y + column.height - chart.base) < 0.02 for column in chart.columns)
    assert all(column.y >= 0 for column in chart.columns)
    assert 2 <= len(chart.grid) <= 12


def entry(seq: int, kind: str, *led_to: str, at: int | None = None, **detail: Any) -> dict[str, Any]:
    second = seq if at is None else at
    moment = f"2026-03-02T09:{second // 60:02d}:{second % 60:02d}Z"
    return {"seq": seq, "at": moment, "kind": kind, "event_id": "", "detail": detail, "led_to": list(led_to)}


SPLIT = [
    entry(1, "ChannelOrderReceived", "OrderPlaced"),
    entry(2, "OrderRouted", nodes={"s1": "A", "s2": "B"}),
    entry(3, "ShipmentRequested", shipment_id="s1"),
    entry(4, "ShipmentRequested", shipment_id="s2"),
    entry(5, "ShipmentRejected", shipment_id="s2", closed=True),
    entry(6, "OrderRouted", nodes={"s3": "A"}),
    entry(7, "ShipmentDelivered", shipment_id="s1"),
    entry(90, "ShipmentDelivered", "OrderCompleted", shipment_id="s3"),
]


def test_each_shipment_has_a_lane_that_branches_off_where_it_was_routed() -> None:
    way = journey(SPLIT)
    assert (way.lanes, way.shipments) == (4, ("s1", "s2", "s3"))
    assert [step.lane for step in way.steps] == [0, 0, 1, 2, 2, 0, 1, 3, 0]
    routed, rerouted = way.steps[1], way.steps[5]
    assert [rail.lane for rail in routed.rails if rail.leaves == 0] == [1, 2]
    assert [rail.lane for rail in rerouted.rails if rail.leaves == 0] == [3]


def test_a_plan_that_was_replaced_before_it_came_to_be_has_no_lane() -> None:
    way = journey([*SPLIT[:1], entry(2, "OrderRouted", nodes={"s0": "A"}), *SPLIT[1:]])
    assert way.shipments == ("s1", "s2", "s3")
    planned = journey([*SPLIT[:2], entry(3, "OrderRouted", nodes={"s4": "A"})])
    assert planned.shipments == ("s4",)
    assert journey([*SPLIT[:2], entry(3, "RoutingFailed")]).shipments == ()


def test_a_delivery_that_was_told_before_the_dispatch_ends_its_lane_all_the_same() -> None:
    told = [
        *SPLIT[:3],
        entry(4, "ShipmentDelivered", shipment_id="s1"),
        entry(5, "ShipmentDispatched", shipment_id="s1"),
    ]
    way = journey([*told, entry(6, "RoutingFailed", "HoldOpened NO_ROUTE")])
    assert not [rail for rail in way.steps[-1].rails if rail.lane == 1]


def test_a_lane_ends_where_its_shipment_does_and_what_was_delivered_runs_back() -> None:
    way = journey(SPLIT)
    rejected, after = way.steps[4], way.steps[5]
    assert [(rail.above, rail.below) for rail in rejected.rails if rail.lane == 2] == [(True, False)]
    assert not [rail for rail in after.rails if rail.lane == 2]
    end = way.steps[-1]
    assert end.kind == "OrderCompleted"
    assert {rail.lane for rail in end.rails if rail.joins == 0} == {1, 3}


def test_what_closes_an_order_is_drawn_after_all_that_was_heard_before() -> None:
    way = journey(
        [
            entry(1, "ShipmentRequested", shipment_id="s"),
            entry(2, "ShipmentDelivered", at=30, shipment_id="s"),
            entry(3, "ShipmentDispatched", "OrderCompleted", at=20, shipment_id="s"),
        ]
    )
    assert [step.kind for step in way.steps] == [
        "ShipmentRequested",
        "ShipmentDispatched",
        "ShipmentDelivered",
        "OrderCompleted",
    ]


def test_a_longer_pause_is_set_off_further() -> None:
    way = journey([entry(seq, "StockReserved", at=at) for seq, at in enumerate((0, 0, 1, 61, 3599))])
    assert [step.distance for step in way.steps] == [0, 0, 1, 2, 2]
    assert [step.y for step in way.steps] == [20, 20, 42, 50, 50]


def test_a_shipment_without_its_routing_still_has_a_lane() -> None:
    way = journey([entry(1, "ShipmentRequested", shipment_id="s"), entry(2, "ShipmentDispatched", shipment_id="s")])
    assert [step.lane for step in way.steps] == [1, 1]
    assert way.steps[-1].rails[-1].below, "it is still under way"


def test_many_shipments_share_the_orders_lane_rather_than_none() -> None:
    way = journey([entry(n, "ShipmentRequested", shipment_id=f"s{n}") for n in range(20)])
    assert way.lanes == 8
    assert way.steps[-1].lane == 0


def test_an_order_without_a_timeline_has_no_way() -> None:
    assert journey([]).steps == ()


STOCK = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500)), max_size=6
)  # on hand, allocated of it, safety stock


def stock_of(cells: list[tuple[int, int, int]], reserved: int) -> dict[str, Any]:
    nodes = []
    for place, (on_hand, allocated, safety) in enumerate(cells):
        taken = min(allocated, on_hand)
        free = max(0, on_hand - taken - safety)
        nodes.append({"node": f"N{place}", "on_hand": on_hand, "allocated": taken, "contribution": free})
    base = sum(node["contribution"] for node in nodes)
    shop = {"channel": "web", "shop": "uk", "sellable": max(0, base - reserved), "told": None, "limit": None}
    return {"nodes": nodes, "pool_base": base, "reserved": reserved, "shops": [shop]}


@given(STOCK, st.integers(0, 2000))
def test_every_piece_of_every_layer_is_drawn_once(cells: list[tuple[int, int, int]], reserved: int) -> None:
    stock = stock_of(cells, reserved)
    drawn = layers(stock)
    on_hand = sum(node["on_hand"] for node in stock["nodes"])
    assert sum(part.value for part in drawn.physical) == on_hand
    assert sum(part.value for part in drawn.logical) == on_hand
    assert sum(part.value for part in drawn.pool) == stock["pool_base"]
    assert drawn.oversold == max(0, reserved - stock["pool_base"])
    assert abs(sum(ribbon.right - ribbon.left for ribbon in drawn.to_logical) - (100 if on_hand else 0)) < 0.01
    for ribbon in [*drawn.to_logical, *drawn.to_pool]:
        assert min(ribbon.left, ribbon.to_left) >= -0.01
        assert max(ribbon.right, ribbon.to_right) <= 100.01
