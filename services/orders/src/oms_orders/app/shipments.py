"""The shipments of an order, as its timeline tells of them: fulfilment owns them, this is what was heard."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import RowMapping

_STAGES = {
    "ShipmentRequested": "requested",
    "WaybillAssigned": "labelled",
    "ShipmentReleased": "released",
    "ShipmentAccepted": "accepted",
    "ShipmentRejected": "rejected",
    "ShipmentCancelled": "cancelled",
    "ShipmentDispatched": "dispatched",
    "ShipmentDelivered": "delivered",
}
_RANKS = {stage: rank for rank, stage in enumerate(_STAGES.values())}
_SHOWN = ("node", "carrier", "service", "waybill_no")


def shipments_of(entries: Iterable[RowMapping]) -> list[dict[str, Any]]:
    """Each shipment with the furthest stage heard of, in the order they were first heard of."""
    shipments: dict[str, dict[str, Any]] = {}
    for entry in entries:
        detail = entry["detail"]
        if "shipment_id" not in detail:
            continue
        first = {"shipment_id": detail["shipment_id"], "stage": "requested"}
        shipment = shipments.setdefault(detail["shipment_id"], first)
        shipment.update({name: detail[name] for name in _SHOWN if detail.get(name) is not None})
        # A part that was rejected or cancelled leaves the rest of the shipment on its way.
        stage = "requested" if detail.get("closed") is False else _STAGES.get(entry["kind"], "requested")
        shipment["stage"] = max(shipment["stage"], stage, key=_RANKS.__getitem__)
    return list(shipments.values())
