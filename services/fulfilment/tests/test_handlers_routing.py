"""Orders are routed: where to, what if nowhere, and how the projection keeps up."""

from datetime import timedelta
from itertools import pairwise

from sqlalchemy import text

from oms_events.contracts.fulfilment import OrderRouted, RoutingFailed, ShipmentRequested
from oms_events.testing.scenario import Scenario, only
from oms_fulfilment.adapters.sourcing import case_from_json, current
from oms_fulfilment.domain.routing import Router

from .stories import (
    HAM,
    LON,
    MAN,
    allocated,
    cancelled,
    not_allocated,
    open_nodes,
    plan,
    quantities,
    released,
    stock,
    uid,
    weighed,
)


async def demand_state(scenario: Scenario, order: object = "order") -> str:
    async with scenario.transaction() as work:
        row = await work.connection.execute(text("select state from demands where order_id = :id"), {"id": uid(order)})
        return row.scalar_one()


async def projected(scenario: Scenario, sku: str) -> dict[str, int]:
    async with scenario.transaction() as work:
        rows = await work.connection.execute(text("select node, available from node_stock where sku = :s"), {"s": sku})
        return {row.node: row.available for row in rows}


async def test_the_cheapest_single_node_ships_and_the_others_say_why_not(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5, GB_MAN=5, DE_HAM=5), stock("B", GB_LON=5, GB_MAN=5, DE_HAM=0))
    (routed,) = await scenario.when(released(A=1, B=2))
    assert [(s.node, quantities(s.lines)) for s in routed.shipments] == [(MAN, {"A": 1, "B": 2})]
    assert [(a.nodes, a.chosen, a.reason) for a in routed.alternatives] == [
        ((MAN,), True, ""),
        ((LON,), False, "dearer by 20"),
        ((HAM,), False, "not enough of B"),
    ]
    assert routed.alternatives[0].total_minor == routed.alternatives[0].freight_minor + 40
    assert (routed.attempt, routed.rule_set, routed.currency) == (1, "default/1", "EUR")


async def test_an_order_that_no_node_has_whole_is_split(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5), stock("B", GB_MAN=5))
    shipments = await plan(scenario, A=1, B=2)
    assert {s.node: quantities(s.lines) for s in shipments} == {LON: {"A": 1}, MAN: {"B": 2}}


async def test_orders_of_one_batch_do_not_take_the_same_unit(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=1, GB_MAN=1))
    events = await scenario.when(released("one", A=1), released("two", A=1), released("three", A=1))
    assert [s.node for routed in only(events, OrderRouted) for s in routed.shipments] == [MAN, LON]
    assert [await demand_state(scenario, name) for name in ("one", "two", "three")] == ["routed", "routed", "waiting"]
    assert await projected(scenario, "A") == {LON: 0, MAN: 0}


async def test_an_order_released_twice_is_planned_once(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=9))
    assert len(await scenario.when(released(A=1), released(A=1))) == 1
    assert await scenario.when(released(A=1)) == []
    assert await projected(scenario, "A") == {LON: 8}


async def test_stock_news_that_comes_after_the_order_cause_no_failure(scenario):
    await open_nodes(scenario)
    assert await scenario.when(released(A=1)) == []
    await scenario.given(stock("A", GB_LON=5))
    (routed,) = await scenario.advance(timedelta(0))
    assert routed.shipments[0].node == LON


async def test_failure_is_told_from_the_second_try_on_and_once_for_each_reason(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=1), stock("B", GB_LON=5))
    assert await scenario.when(released(A=3, B=1)) == []
    assert await scenario.advance(timedelta(seconds=0.9)) == []
    (failed,) = await scenario.advance(timedelta(seconds=0.2))
    assert (failed.reason, quantities(failed.lines)) == ("3 of A wanted, 1 in reach", {"A": 3})
    assert await scenario.advance(timedelta(seconds=6)) == []
    assert await scenario.advance(timedelta(seconds=11)) == []
    await scenario.given(stock("A", 2, GB_LON=2))
    (failed,) = await scenario.advance(timedelta(seconds=0))
    assert failed.reason == "3 of A wanted, 2 in reach"
    await scenario.given(stock("A", 3, GB_LON=2, GB_MAN=1))
    (routed,) = await scenario.advance(timedelta(seconds=0))
    assert isinstance(routed, OrderRouted)
    assert routed.attempt == 3
    assert await scenario.advance(timedelta(hours=1)) == []


async def test_waits_grow_to_five_minutes(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=0))
    await scenario.when(released(A=1))
    due_ats = []
    for _ in range(11):
        async with scenario.transaction() as work:
            due_ats.append((await work.connection.execute(text("select due_at from deadlines"))).scalar_one())
        await scenario.advance(due_ats[-1] - scenario.now)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(due_ats)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]


async def test_stale_stock_news_is_ignored_and_a_node_left_out_has_none(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", 5, GB_LON=3, GB_MAN=4), stock("A", 4, GB_LON=9))
    assert await projected(scenario, "A") == {LON: 3, MAN: 4}
    await scenario.given(stock("A", 6, GB_LON=2))
    assert await projected(scenario, "A") == {LON: 2, MAN: 0}


async def test_refused_by_inventory_the_order_goes_elsewhere(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5, GB_MAN=5))
    (planned,) = await plan(scenario, A=2)
    assert planned.node == MAN
    (routed,) = await scenario.when(not_allocated(planned, available=1))
    assert ([s.node for s in routed.shipments], routed.attempt) == ([LON], 2)
    assert await projected(scenario, "A") == {LON: 3, MAN: 1}
    assert await scenario.when(not_allocated(planned, available=1)) == []


async def test_what_a_refused_plan_held_is_free_for_the_next(scenario):
    await open_nodes(scenario, daily_capacity=1)
    await scenario.given(stock("A", GB_LON=2, GB_MAN=2), stock("B", GB_MAN=3))
    (planned,) = await plan(scenario, A=2, B=3)
    assert planned.node == MAN
    (routed,) = await scenario.when(not_allocated(planned, of="A", available=0))
    assert {s.node: quantities(s.lines) for s in routed.shipments} == {LON: {"A": 2}, MAN: {"B": 3}}
    assert (await projected(scenario, "A"), await projected(scenario, "B")) == ({LON: 0, MAN: 0}, {MAN: 0})


async def test_refused_too_often_the_order_waits_and_is_tried_again(scenario):
    await open_nodes(scenario)
    rules = (await scenario.client.get("/v1/rule-sets/default")).json()["document"] | {"max_attempts": 2}
    assert (await scenario.client.post("/v1/rule-sets/default/versions", json=rules)).status_code == 201
    await scenario.given(stock("A", GB_LON=5, GB_MAN=5, DE_HAM=5))
    (planned,) = await plan(scenario, A=2)
    (routed,) = await scenario.when(not_allocated(planned, available=2))
    (failed,) = await scenario.when(not_allocated(routed.shipments[0], available=2))
    assert isinstance(failed, RoutingFailed)
    assert failed.reason == "inventory refused 2 plans in a row"
    assert await demand_state(scenario) == "waiting"
    (again,) = await scenario.advance(timedelta(seconds=300))
    assert isinstance(again, OrderRouted)


async def test_part_of_a_plan_refused_leaves_the_rest_alone(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5), stock("B", GB_MAN=5, DE_HAM=5))
    first, second = sorted(await plan(scenario, A=1, B=1), key=lambda s: s.node)
    events = await scenario.when(allocated(first), not_allocated(second))
    assert [event.node for event in only(events, ShipmentRequested)] == [LON]
    (routed,) = only(events, OrderRouted)
    assert [(s.node, quantities(s.lines)) for s in routed.shipments] == [(HAM, {"B": 1})]


async def test_a_full_day_sends_orders_elsewhere(scenario):
    await open_nodes(scenario, daily_capacity=1)
    await scenario.given(stock("A", GB_LON=9, GB_MAN=9))
    first, second = await scenario.when(released("one", A=1), released("two", A=1))
    assert [first.shipments[0].node, second.shipments[0].node] == [MAN, LON]
    assert second.alternatives[-1].reason == "no capacity left today"
    assert await scenario.when(released("three", A=1)) == []
    await scenario.when(cancelled(order="one", A=1))
    (third,) = await scenario.advance(timedelta(seconds=2))
    assert third.shipments[0].node == MAN


async def test_a_cancelled_order_is_not_tried_again(scenario):
    await open_nodes(scenario)
    await scenario.when(released(A=1))
    (answered,) = await scenario.when(cancelled(A=1))
    assert quantities(answered.stopped) == {"A": 1}
    await scenario.given(stock("A", GB_LON=5))
    assert await scenario.advance(timedelta(hours=1)) == []
    assert await demand_state(scenario) == "done"


async def test_weights_and_flags_come_from_the_catalog(scenario):
    await open_nodes(scenario)
    response = await scenario.client.put(f"/v1/nodes/{MAN}", json={"country": "GB", "refuses": ["hazardous"]})
    assert response.status_code == 200
    await scenario.given(weighed("A", 1500, "hazardous"), stock("A", GB_LON=5, GB_MAN=5), stock("B", GB_LON=5))
    (routed,) = await scenario.when(released(A=2, B=1))
    assert routed.shipments[0].node == LON
    (requested,) = await scenario.when(allocated(routed.shipments[0]))
    assert requested.weight_g == 2 * 1500 + 500
    assert "may not ship hazardous A" in {alternative.reason for alternative in routed.alternatives}


async def test_every_decision_can_be_made_again_from_what_was_stored(scenario):
    await open_nodes(scenario, daily_capacity=50)
    await scenario.given(stock("A", GB_LON=5, GB_MAN=9), stock("B", GB_LON=9, DE_HAM=9), stock("C", GB_MAN=1))
    await scenario.when(released("one", A=1, B=2), released("two", A=9, B=9), released("three", C=2))
    await scenario.advance(timedelta(seconds=2))
    async with scenario.transaction() as work:
        rows = (
            await work.connection.execute(
                text("select cast(inputs as text) as inputs, alternatives, chosen, reason from decisions")
            )
        ).all()
        network, rules = await current(work.connection, rule_set="default")
    assert len(rows) == 3
    for row in rows:
        case = case_from_json(row.inputs)
        again = Router(network, rules, case.at).decide(case)
        assert [(list(a.nodes), a.reason) for a in again.alternatives] == [
            (a["nodes"], a["reason"]) for a in row.alternatives
        ]
        assert [(p.node, [(u.line_id, u.quantity) for u in p.lines]) for p in again.parcels] == [
            (p["node"], [(u["line_id"], u["quantity"]) for u in p["lines"]]) for p in row.chosen
        ]
        assert again.reason == row.reason
