"""The marks of an order's way."""

from typing import Any

from oms_console.pages.order import stations

AT = "2026-03-02T09:00:00Z"
ORDER: dict[str, Any] = {
    "placed_at": AT,
    "received_at": AT,
    "paid_at": AT,
    "released_at": AT,
    "completed_at": None,
    "cancelled_at": None,
    "lines": [{"quantity": 100, "cancelled": 4, "shipped": 96, "delivered": 96}],
}
PARCEL = {"dispatched_at": AT, "delivered_at": AT, "cancelled_at": None}


def reached(order: dict[str, Any], *parcels: dict[str, Any]) -> set[str]:
    return {station.key for station in stations(order, parcels) if station.at} - {
        "placed",
        "received",
        "paid",
        "released",
    }


def test_a_mark_is_reached_when_all_pieces_reached_it() -> None:
    assert reached(ORDER, PARCEL) == {"shipped", "delivered"}
    assert reached(ORDER, PARCEL, PARCEL | {"delivered_at": None}) == {"shipped"}
    assert reached(ORDER, PARCEL, {"dispatched_at": None, "delivered_at": None, "cancelled_at": AT}) == {
        "shipped",
        "delivered",
    }


def test_pieces_in_no_parcel_yet_keep_it_open() -> None:
    part = ORDER | {"lines": [{"quantity": 100, "cancelled": 0, "shipped": 76, "delivered": 76}]}
    assert reached(part, PARCEL) == set()
