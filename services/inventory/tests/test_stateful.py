"""Any mixture of facts, one after the other: nothing is oversold and every quantity explains itself."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from oms_events.contracts.inventory import StockReserved
from oms_events.registry import Event
from oms_events.runtime.service import Service
from oms_events.testing.scenario import Scenario
from oms_inventory.service import service

from .conftest import MIGRATIONS
from .stories import (
    an_id,
    cancelled,
    counted,
    dispatched,
    order_cancelled,
    placed,
    routed,
    shipment_cancelled,
    shipment_rejected,
)

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

SKUS, NODES, SHOPS = st.sampled_from("AB"), st.sampled_from(["N1", "N2"]), st.sampled_from(["S1", "S2"])
FEW = st.integers(1, 8)
_examples = count()


class Inventory(RuleBasedStateMachine):
    """All examples share a database; each has SKUs of its own."""

    orders = Bundle("orders")
    shipments = Bundle("shipments")

    def __init__(self, scenario: Scenario, run: "Run[Any]") -> None:
        super().__init__()
        self.scenario, self.run = scenario, run
        self.prefix = f"X{next(_examples)}-"
        self.past: list[Event] = []
        self.reserved: set[UUID] = set()
        self.skus = [self.prefix + name for name in "AB"]

    def layers(self) -> dict[str, list[int]]:
        """Available at each node and in the pool, by SKU."""
        found = {}
        for sku in self.skus:
            answer = self.run(self.scenario.client.get(f"/v1/stock/{sku}"))
            if answer.status_code == 200:
                stock = answer.json()
                found[sku] = [stock["available"], *(node["available"] for node in stock["nodes"])]
        return found

    def happen(self, *events: Event) -> None:
        self.past.extend(events)
        for event in self.run(self.scenario.when(*events)):
            if isinstance(event, StockReserved):
                assert event.order_id not in self.reserved, "reserved twice"
                self.reserved.add(event.order_id)

    def promise(self, *events: Event) -> None:
        """Let something happen that binds stock: it may never take what is not there."""
        before = self.layers()
        self.happen(*events)
        for sku, values in self.layers().items():
            for now, then in zip(values, before.get(sku, values), strict=False):
                assert now >= min(0, then), f"{sku} oversold: {before} {values}"

    @rule(sku=SKUS, node=NODES, quantity=st.integers(0, 30))
    def count(self, sku: str, node: str, quantity: int) -> None:
        self.happen(counted(self.prefix + sku, quantity, node=node, at=self.scenario.now))

    @rule(sku=SKUS, node=NODES, quantity=st.integers(-5, 20))
    def move(self, sku: str, node: str, quantity: int) -> None:
        self.happen(counted(self.prefix + sku, quantity, node=node, at=self.scenario.now, movement=True))

    @rule(sku=SKUS, node=NODES, quantity=st.integers(0, 6))
    def protect(self, sku: str, node: str, quantity: int) -> None:
        url = f"/v1/safety-stock/{node}/{self.prefix}{sku}"
        assert self.run(self.scenario.client.put(url, json={"quantity": quantity})).status_code == 200

    @rule(shop=SHOPS, percent=st.sampled_from([0, 30, 100]), sku=SKUS)
    def share(self, shop: str, percent: int, sku: str) -> None:
        url, asked = f"/v1/channel-rules/web/{shop}", {"sku": self.prefix + sku}
        answer = self.run(self.scenario.client.put(url, params=asked, json={"percent": percent}))
        assert answer.status_code == 200

    @rule(target=orders, shop=SHOPS, first=FEW, second=st.integers(0, 8))
    def place(self, shop: str, first: int, second: int) -> UUID:
        wanted = [(self.skus[0], first)] + [(self.skus[1], second)] * bool(second)
        order = placed(*wanted, shop=shop)
        self.promise(order)
        return order.order_id

    @rule(target=orders, quantities=st.lists(FEW, min_size=2, max_size=4))
    def place_many(self, quantities: list[int]) -> Any:
        orders = [placed((self.skus[0], quantity)) for quantity in quantities]
        self.promise(*orders)
        return multiple(*(order.order_id for order in orders))

    @rule(target=shipments, order=orders, node=NODES, quantity=FEW)
    def route(self, order: UUID, node: str, quantity: int) -> tuple[UUID, UUID]:
        shipment_id = an_id()
        self.promise(routed(order, (self.skus[0], quantity), shipment_id=shipment_id, node=node))
        return order, shipment_id

    @rule(shipment=shipments, quantity=FEW)
    def dispatch(self, shipment: tuple[UUID, UUID], quantity: int) -> None:
        self.happen(dispatched(*shipment, (self.skus[0], quantity), at=self.scenario.now))

    @rule(shipment=shipments, quantity=FEW)
    def stop(self, shipment: tuple[UUID, UUID], quantity: int) -> None:
        self.happen(shipment_cancelled(*shipment, (self.skus[0], quantity)))

    @rule(shipment=shipments, quantity=FEW)
    def reject(self, shipment: tuple[UUID, UUID], quantity: int) -> None:
        self.happen(shipment_rejected(*shipment, (self.skus[0], quantity)))

    @rule(order=orders, quantity=FEW)
    def cancel(self, order: UUID, quantity: int) -> None:
        self.happen(cancelled(order, (self.skus[0], quantity)))

    @rule(order=orders)
    def cancel_all(self, order: UUID) -> None:
        self.happen(order_cancelled(order))

    @rule(data=st.data())
    def happen_again(self, data: st.DataObject) -> None:
        if self.past:
            self.happen(data.draw(st.sampled_from(self.past)))

    @rule()
    def run_jobs(self) -> None:
        self.run(self.scenario.run_jobs())

    @invariant()
    def books_agree(self) -> None:
        report = self.run(self.scenario.client.get("/v1/reconciliation")).json()
        wrong = [
            difference
            for difference in report["differences"]
            if difference["sku"] in self.skus and difference["kind"] != "dispatched_unallocated"
        ]
        assert wrong == []


@pytest.mark.timeout(600)
def test_books_agree_whatever_happens(migrated_database: Callable[[Service, Path], str]) -> None:
    with asyncio.Runner() as runner:
        scenario = Scenario(service, migrated_database(service, MIGRATIONS))
        running = scenario.running()
        runner.run(running.__aenter__())
        try:
            run_state_machine_as_test(
                lambda: Inventory(scenario, runner.run),
                settings=settings(
                    max_examples=12,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(running.__aexit__(None, None, None))
