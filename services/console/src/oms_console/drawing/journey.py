"""An order's timeline drawn as the way it went: the order's own lane, and one for each shipment that branches off."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LANE_WIDTH = 22
MAX_LANES = 8
DOT_Y = 20
"""Height of a row's dot below its upper edge; the row itself grows with its text."""
_ORDER = 0
_CLOSING = frozenset({"OrderCompleted", "OrderCancelled"})
_PLANNING = frozenset({"OrderRouted", "RoutingFailed"})
_ENDING = frozenset({"ShipmentDelivered", "ShipmentCancelled", "ShipmentRejected"})
_BESIDE = frozenset({"shipment_id", "rule_set", "currency", "cancellation_id"})
_PAUSES_S = (1, 60, 3_600, 86_400)
"""A pause of so many seconds or more gets a larger distance."""
_DISTANCES = (0, 22, 30, 42, 56)
"""Pixels above a row by its pause; the style sheet knows them as `far-0` to `far-4`."""


@dataclass(frozen=True, slots=True)
class Rail:
    """A lane as it passes a row: above the dot, below it, or turning there from or into another lane."""

    lane: int
    above: bool = False
    below: bool = False
    leaves: int | None = None
    """The lane it branches off from here."""
    joins: int | None = None
    """The lane it runs into here."""

    @property
    def x(self) -> int:
        return lane_x(self.lane)


@dataclass(frozen=True, slots=True)
class Step:
    """One row: an event, the lane it happened on, and the lanes beside it."""

    at: datetime
    gap_s: float | None
    """Since the row before."""
    kind: str
    lane: int
    tone: str
    detail: Mapping[str, Any]
    led_to: Sequence[str]
    rails: tuple[Rail, ...]

    @property
    def x(self) -> int:
        return lane_x(self.lane)

    @property
    def told(self) -> list[tuple[str, Any]]:
        """What of its detail is worth a word, in a fixed order."""
        return [
            (name, value)
            for name, value in sorted(self.detail.items())
            if name not in _BESIDE and (value or name == "late_by_s") and (name, value) != ("version", 1)
        ]

    @property
    def distance(self) -> int:
        """How far the row is set off from the one before, from 0 to 4: longer pauses are larger, not to scale."""
        return sum(1 for limit in _PAUSES_S if self.gap_s is not None and self.gap_s >= limit)

    @property
    def y(self) -> int:
        """Where the dot is."""
        return DOT_Y + _DISTANCES[self.distance]

    def leaving(self, rail: Rail) -> str:
        """The curve by which a lane leaves another, from the dot downwards."""
        from_x = lane_x(rail.leaves or _ORDER)
        return f"M{from_x},{self.y} C{from_x},{self.y + 15} {rail.x},{self.y + 7} {rail.x},{self.y + 22}"

    def joining(self, rail: Rail) -> str:
        """The curve by which a lane runs into another, at the dot."""
        to_x = lane_x(rail.joins or _ORDER)
        return f"M{rail.x},0 L{rail.x},{self.y - 20} C{rail.x},{self.y - 6} {to_x},{self.y - 14} {to_x},{self.y}"


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole way."""

    steps: tuple[Step, ...]
    lanes: int
    shipments: tuple[str, ...]
    """Shipments by lane, from lane 1."""

    @property
    def width(self) -> int:
        return self.lanes * LANE_WIDTH + 4


def lane_x(lane: int) -> int:
    """Where a lane runs."""
    return 13 + lane * LANE_WIDTH


@dataclass(frozen=True, slots=True)
class _Span:
    """The rows that a shipment's lane runs through. `ended`: it stops there; else it runs on below."""

    lane: int
    first: int
    last: int
    joins: int | None
    ended: bool

    def rail(self, place: int) -> Rail | None:
        """The lane as it passes a row, if it does."""
        if place < self.first or (place > self.last and self.ended):
            return None
        goes_on = place < self.last or not self.ended
        if place == self.first:
            return Rail(self.lane, below=goes_on, leaves=_ORDER)
        if place == self.last and self.joins is not None:
            return Rail(self.lane, above=True, joins=self.joins)
        return Rail(self.lane, above=True, below=goes_on)


def journey(entries: Iterable[Mapping[str, Any]]) -> Journey:
    """The way of an order by its timeline, as the events happened."""
    known = sorted(_closing_apart(entries), key=lambda entry: (datetime.fromisoformat(entry["at"]), entry["seq"]))
    lanes = _lanes_of(known)
    spans = [_span(known, shipment, lane) for shipment, lane in lanes.items()]
    steps, before = [], None
    for place, entry in enumerate(known):
        at = datetime.fromisoformat(entry["at"])
        own = Rail(_ORDER, above=place > 0, below=place < len(known) - 1)
        rails = [rail for span in spans if (rail := span.rail(place)) is not None]
        steps.append(
            Step(
                at,
                (at - before).total_seconds() if before else None,
                entry["kind"],
                _lane_of(entry, lanes),
                tone_of(entry["kind"], entry["led_to"]),
                entry["detail"],
                entry["led_to"],
                (own, *rails),
            )
        )
        before = at
    return Journey(tuple(steps), 1 + len(lanes), tuple(lanes))


def _closing_apart(entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What closes the order gets a row of its own, where its shipments' lanes end: after all that was heard before."""
    latest = ""
    for entry in sorted(entries, key=lambda entry: entry["seq"]):
        latest = max(latest, entry["at"], key=lambda at: datetime.fromisoformat(at).timestamp() if at else 0.0)
        yield {**entry, "led_to": [kind for kind in entry["led_to"] if kind not in _CLOSING]}
        for kind in _CLOSING & set(entry["led_to"]):
            yield {**entry, "at": latest, "seq": entry["seq"] + 0.5, "kind": kind, "detail": {}, "led_to": []}


def tone_of(kind: str, led_to: Iterable[str] = ()) -> str:
    """The colour of an event: what stops an order, what ends it well, what undoes it, or none of these."""
    kinds = {kind, *(decision.partition(" ")[0] for decision in led_to)}
    if kinds & {"OrderCancelled", "ShipmentCancelled", "OrderLinesCancelled"}:
        return "bad"
    if kinds & {
        "HoldOpened",
        "StockReservationRejected",
        "RoutingFailed",
        "WaybillRefused",
        "ShipmentRejected",
        "DeliveryPromiseBroken",
    }:
        return "warn"
    if kinds & {"OrderCompleted", "ShipmentDelivered"}:
        return "good"
    return "plain"


def _lanes_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Shipments in the order they were first heard of. Beyond the last lane they share the order's own; those of a
    plan that another one took the place of before they came to be have none."""
    planned = next((entry for entry in reversed(entries) if entry["kind"] in _PLANNING), None)
    real = {str(entry["detail"]["shipment_id"]) for entry in entries if "shipment_id" in entry["detail"]}
    real |= set(_shipments_of(planned)) if planned else set()
    seen: dict[str, int] = {}
    for entry in entries:
        for shipment in _shipments_of(entry):
            if shipment in real and shipment not in seen and len(seen) < MAX_LANES - 1:
                seen[shipment] = len(seen) + 1
    return seen


def _shipments_of(entry: Mapping[str, Any]) -> list[str]:
    detail = entry["detail"]
    if "shipment_id" in detail:
        return [str(detail["shipment_id"])]
    return list(detail.get("nodes", {})) if entry["kind"] == "OrderRouted" else []


def _lane_of(entry: Mapping[str, Any], lanes: Mapping[str, int]) -> int:
    own = entry["detail"].get("shipment_id")
    return lanes.get(str(own), _ORDER) if own is not None else _ORDER


def _span(entries: Sequence[Mapping[str, Any]], shipment: str, lane: int) -> _Span:
    """A lane runs from the first row that names its shipment to the last; one that was delivered runs back into the
    order's own lane where the order closes."""
    places = [place for place, entry in enumerate(entries) if shipment in _shipments_of(entry)]
    first, last = places[0], places[-1]
    closing = next((place for place, entry in enumerate(entries) if place > last and _closes(entry)), None)
    kinds = {entries[place]["kind"] for place in places}
    if "ShipmentDelivered" in kinds and closing is not None:
        return _Span(lane, first, closing, _ORDER, ended=True)
    return _Span(lane, first, last, None, ended=bool(kinds & _ENDING))


def _closes(entry: Mapping[str, Any]) -> bool:
    return entry["kind"] in _CLOSING
