"""Fixtures of the logistics tests."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from oms_events.contracts.fulfilment import (
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentRequested,
)
from oms_events.contracts.intake import TrackingScan, TrackingScanReceived
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_logistics.service import service

ROOT = Path(__file__).parents[1]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
async def empty(scenario_of: ScenarioOf) -> Scenario:
    """The service without any carrier."""
    return await scenario_of(service, ROOT / "migrations")


@pytest.fixture(scope="session")
def seeds() -> dict:
    return json.loads((ROOT / "seeds" / "carriers.json").read_text())


@pytest.fixture
async def scenario(empty: Scenario, seeds: dict) -> Scenario:
    """The service with the seeded carriers."""
    answer = await empty.client.post("/v1/carriers:import", json=seeds)
    assert answer.status_code == 200, answer.text
    return empty


@dataclass(frozen=True)
class Shipment:
    """A shipment to tell stories about."""

    shipment_id: UUID = field(default_factory=uuid4)
    order_id: UUID = field(default_factory=uuid4)

    def requested(
        self, *, tier="standard", weight_g=900, to="GB", postcode="LS1 4AP", origin="GB"
    ) -> ShipmentRequested:
        return ShipmentRequested(
            **self._common(),
            channel="uci",
            shop="uk",
            origin_country=origin,
            weight_g=weight_g,
            ship_to=Destination(country=to, city="Leeds", postcode=postcode, receiver_token="tok-1"),
            delivery_tier=tier,
        )

    def dispatched(self, *, at=NOON, waybill_no="NP000000014ZZ") -> ShipmentDispatched:
        return ShipmentDispatched(
            **self._common(), carrier="norpost", waybill_no=waybill_no, weight_g=950, dispatched_at=at
        )

    def cancelled(self, *, closed=True) -> ShipmentCancelled:
        return ShipmentCancelled(**self._common(), cancellation_id=uuid4(), closed=closed)

    def rejected(self, *, closed=True) -> ShipmentRejected:
        return ShipmentRejected(**self._common(), reason="damaged in store", closed=closed)

    def _common(self) -> dict[str, object]:
        line = LineQuantity(line_id="1", sku="MUG", quantity=2)
        return {"order_id": self.order_id, "shipment_id": self.shipment_id, "node": "GB-LON", "lines": (line,)}


@pytest.fixture
def shipment() -> type[Shipment]:
    return Shipment


def _scan(waybill_no: str, status: str, at: datetime, *, carrier="norpost", place="Leeds") -> TrackingScanReceived:
    said = {"carrier": carrier, "waybill_no": waybill_no, "status": status, "occurred_at": at, "place": place}
    return TrackingScanReceived(waybill_no=waybill_no, scan=TrackingScan.model_validate(said))


@pytest.fixture
def scan():
    """Makes scans: of a waybill, with a status, at a time."""
    return _scan
