"""What must hold after any fault, as pure functions of the evidence. Each names the cases that break it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from .auditor import Evidence, Published, Row

K = TypeVar("K", bound=Hashable)
Harm = Literal["lost", "doubled", "oversold", "stuck", "unsound"]
"""What a broken invariant means to the shop; `unsound` is anything else that must not be."""

ORDER_TOPIC = "oms.orders.order.v1"
ENDED = frozenset({"completed", "cancelled"})
_ONCE = ("OrderPlaced", "OrderReleased", "OrderCancelled", "OrderCompleted")
_LIFE = ("OrderPlaced", "OrderPaid", "OrderReleased", "OrderCompleted")
"""Steps of an order that come in this sequence, as far as they come."""
_ENDS = frozenset({"OrderCancelled", "OrderCompleted"})
_AFTER_THE_END = frozenset({"HoldResolved", "OrderLinesCancelled", "OrderPaid"})
"""What may be told after the event that ends an order: its holds expire with it, and its money may come late."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One case of a broken invariant."""

    harm: Harm
    invariant: str
    case: str

    def __str__(self) -> str:
        return f"{self.harm}: {self.invariant}: {self.case}"


def judge(evidence: Evidence) -> list[Violation]:
    """Every violation of every invariant."""
    return [
        Violation(harm, check.__doc__.splitlines()[0].rstrip(".") if check.__doc__ else check.__name__, case)
        for harm, check in CHECKS
        for case in check(evidence)
    ]


def _repeats(values: Iterable[object]) -> Iterator[str]:
    return (f"{value}, {count} times" for value, count in Counter(values).items() if count > 1)


def first_of_each(published: Sequence[Published]) -> list[Published]:
    """The first record of each id in each partition's order: a relay that died may send the same again."""
    seen: set[str] = set()
    firsts = []
    for record in sorted(published, key=lambda one: (one.topic, one.partition, one.offset)):
        if record.id not in seen:
            seen.add(record.id)
            firsts.append(record)
    return firsts


def _named(evidence: Evidence, *names: str) -> list[Published]:
    return [record for record in first_of_each(evidence.published) if record.type in names]


# --- orders and events --------------------------------------------------------------------------------------------


def accepted_orders_exist(evidence: Evidence) -> Iterator[str]:
    """Every accepted order is in orders."""
    known = {row["order_id"] for row in evidence.books.orders}
    return (order for order in evidence.accepted if order not in known)


def orders_exist_once(evidence: Evidence) -> Iterator[str]:
    """No order of a channel is there twice."""
    return _repeats((row["channel"], row["shop"], row["channel_order_no"]) for row in evidence.books.orders)


def orders_were_told(evidence: Evidence) -> Iterator[str]:
    """No order is there that no channel told of."""
    told = {record.key for record in evidence.published if record.type == "ChannelOrderReceived"}
    return (row["order_id"] for row in evidence.books.orders if row["order_id"] not in told)


def one_content_per_id(evidence: Evidence) -> Iterator[str]:
    """An event's id stands for one content."""
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for record in evidence.published:
        contents[record.id].add(record.content)
    return (f"{id_} has {len(different)} contents" for id_, different in contents.items() if len(different) > 1)


def everything_was_applied(evidence: Evidence) -> Iterator[str]:
    """Every consumer applied every event that its readme lists."""
    for service, promised in evidence.promised.items():
        applied = evidence.books.inbox[service]
        for record in first_of_each(evidence.published):
            if record.type in promised.get(record.topic, ()) and record.id not in applied:
                yield f"{service}: {record.type} {record.id} at {record.topic}/{record.partition}/{record.offset}"


def nothing_else_was_applied(evidence: Evidence) -> Iterator[str]:
    """No consumer applied what is not in its topics."""
    ids = {record.id for record in evidence.published}
    return (
        f"{service}: {id_}" for service, applied in evidence.books.inbox.items() for id_ in applied if id_ not in ids
    )


def no_dead_letters(evidence: Evidence) -> Iterator[str]:
    """No event became a dead letter."""
    return iter(evidence.books.dead_letters)


def lives_of_orders(evidence: Evidence) -> Iterator[str]:
    """Each order's events tell a possible life, in its sequence."""
    lives: defaultdict[str, list[Published]] = defaultdict(list)
    for record in first_of_each(evidence.published):
        if record.topic == ORDER_TOPIC:
            lives[record.key].append(record)
    for order, told in lives.items():
        # After partitions were added a key's later events are in another partition: there the order's own version
        # tells the sequence, and within a partition the offsets must agree with it.
        if len({record.partition for record in told}) > 1:
            told.sort(key=lambda record: (record.sequence or 0, record.time))
        problem = _impossible([record.type for record in told]) or _disordered(told)
        if problem:
            yield f"{order}: {problem}: {' '.join(record.type for record in told)}"


def _impossible(life: Sequence[str]) -> str | None:
    steps = Counter(life)
    known = [_LIFE.index(step) for step in life if step in _LIFE]
    end = next((place for place, step in enumerate(life) if step in _ENDS), len(life))
    problems = {
        "a step twice": any(steps[step] > 1 for step in _ONCE),
        "steps out of sequence": known != sorted(known),
        "released, never placed": steps["OrderReleased"] and not steps["OrderPlaced"],
        "completed, never released": steps["OrderCompleted"] and not steps["OrderReleased"],
        "more after the end": not _AFTER_THE_END.issuperset(life[end + 1 :]),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def _disordered(told: Sequence[Published]) -> str | None:
    by_partition: defaultdict[int, list[Published]] = defaultdict(list)
    for record in told:
        by_partition[record.partition].append(record)
    for records in by_partition.values():
        records.sort(key=lambda record: record.offset)
        versions = [record.sequence for record in records if record.sequence is not None]
        if versions != sorted(versions):
            return "versions fall"
    return None


# --- stock --------------------------------------------------------------------------------------------------------


def nothing_below_zero(evidence: Evidence) -> Iterator[str]:
    """No quantity of stock is below zero."""
    for row in evidence.books.stock:
        if row["on_hand"] < 0 or row["allocated"] < 0 or row["allocated"] > row["on_hand"]:
            yield f"{row['sku']} at {row['node']}: {row['on_hand']} on hand, {row['allocated']} allocated"
    for row in evidence.books.pools:
        if row["reserved"] < 0:
            yield f"{row['sku']}: {row['reserved']} reserved"


def no_more_promised_than_there_is(evidence: Evidence) -> Iterator[str]:
    """No more of a SKU is reserved and allocated than there is."""
    on_hand: Counter[str] = Counter()
    bound: Counter[str] = Counter()
    for row in evidence.books.stock:
        on_hand[row["sku"]] += row["on_hand"]
        bound[row["sku"]] += row["allocated"]
    for row in evidence.books.pools:
        bound[row["sku"]] += row["reserved"]
    return (f"{sku}: {bound[sku]} promised of {on_hand[sku]}" for sku in bound if bound[sku] > on_hand[sku])


def balances_are_sums(evidence: Evidence) -> Iterator[str]:
    """Every balance of stock is the sum of its movements and of what its documents hold."""
    books = evidence.books
    on_hand: Counter[tuple[str, str]] = Counter()
    allocated: Counter[tuple[str, str]] = Counter()
    reserved: Counter[str] = Counter()
    for move in books.movements:
        on_hand[move["sku"], move["node"]] += move["on_hand"]
        allocated[move["sku"], move["node"]] += move["allocated"]
        reserved[move["sku"]] += move["reserved"]
    cells = {(row["sku"], row["node"]): row for row in books.stock}
    pools = {row["sku"]: row["reserved"] for row in books.pools}
    yield from _differences("on hand", {cell: row["on_hand"] for cell, row in cells.items()}, on_hand)
    yield from _differences("allocated", {cell: row["allocated"] for cell, row in cells.items()}, allocated)
    yield from _differences("reserved", pools, reserved)
    held_at_nodes = {cell: row["allocated"] for cell, row in cells.items()}
    yield from _differences("allocated by shipments", held_at_nodes, books.allocated_by_lines)
    yield from _differences("reserved by orders", pools, books.reserved_by_lines)


def _differences(what: str, balances: Mapping[K, int], sums: Mapping[K, int]) -> Iterator[str]:
    for key in balances.keys() | sums.keys():
        if balances.get(key, 0) != sums.get(key, 0):
            yield f"{what} of {key}: balance {balances.get(key, 0)}, sum {sums.get(key, 0)}"


def movements_once(evidence: Evidence) -> Iterator[str]:
    """No fact moved stock twice."""
    names = ("event_id", "reason", "sku", "node", "order_id", "line_id", "shipment_id", "document")
    return _repeats(tuple(move[name] for name in names) for move in evidence.books.movements)


# --- shipping -----------------------------------------------------------------------------------------------------


def never_more_shipped_than_ordered(evidence: Evidence) -> Iterator[str]:
    """No line is shipped beyond what was ordered."""
    ordered = {(row["order_id"], row["line_id"]): row for row in evidence.books.order_lines}
    shipped: Counter[tuple[str, str]] = Counter()
    for dispatch in _named(evidence, "ShipmentDispatched"):
        for line in dispatch.data["lines"]:
            shipped[dispatch.key, line["line_id"]] += line["quantity"]
    for place, quantity in shipped.items():
        row = ordered.get(place)
        if row is None or quantity > row["quantity"] - row["cancelled"]:
            yield f"{place}: {quantity} dispatched of {dict(row) if row else 'nothing'}"
    for place, row in ordered.items():
        if row["shipped"] != shipped[place]:
            yield f"{place}: {row['shipped']} shipped in orders, {shipped[place]} dispatched"


def shipments_once(evidence: Evidence) -> Iterator[str]:
    """No shipment is requested, released or dispatched twice."""
    for name in ("ShipmentRequested", "ShipmentReleased", "ShipmentDispatched", "ShipmentDelivered"):
        yield from (f"{name} {case}" for case in _repeats(one.data["shipment_id"] for one in _named(evidence, name)))


def waybills_once(evidence: Evidence) -> Iterator[str]:
    """One waybill per shipment, one shipment per waybill."""
    assigned = {(one.data["shipment_id"], one.data["waybill_no"]) for one in _named(evidence, "WaybillAssigned")}
    yield from _repeats(shipment for shipment, _ in assigned)
    yield from _repeats(waybill for _, waybill in assigned)
    yield from _repeats(row["waybill_no"] for row in evidence.books.parcels if row["waybill_no"] is not None)


def parcels_belong_to_shipments(evidence: Evidence) -> Iterator[str]:
    """Every parcel is a shipment's, and every dispatched shipment has a parcel."""
    shipments = {row["shipment_id"]: row for row in evidence.books.shipments}
    parcels = {row["shipment_id"] for row in evidence.books.parcels}
    yield from (f"parcel {shipment} has no shipment" for shipment in parcels - shipments.keys())
    for shipment, row in shipments.items():
        if row["state"] == "dispatched" and shipment not in parcels:
            yield f"shipment {shipment} left without a parcel"


# --- what is left over --------------------------------------------------------------------------------------------


def orders_end_or_wait_for_a_reason(evidence: Evidence) -> Iterator[str]:
    """Every order has ended, is held for a reason with a name, or waits for money that nobody sent."""
    held = {row["order_id"] for row in evidence.books.open_holds}
    paid = {record.key for record in evidence.published if record.type == "ChannelPaymentReceived"}
    for row in evidence.books.orders:
        order, state = row["order_id"], row["state"]
        if state in ENDED or order in held or (state == "awaiting_payment" and order not in paid):
            continue
        yield f"{row['channel_order_no']} ({order}): {state}"


def outboxes_are_empty(evidence: Evidence) -> Iterator[str]:
    """Every outbox is empty."""
    return (f"{service}: {rows} rows" for service, rows in evidence.books.outbox.items() if rows)


def no_deadline_is_overdue(evidence: Evidence) -> Iterator[str]:
    """No deadline is overdue."""
    return (f"{service}: {rows}" for service, rows in evidence.books.overdue.items() if rows)


def _by_order(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["order_id"]].append(row)
    return found


def completed_orders_were_delivered(evidence: Evidence) -> Iterator[str]:
    """What orders calls completed has been delivered, line by line."""
    lines = _by_order(evidence.books.order_lines)
    for row in evidence.books.orders:
        if row["state"] == "completed":
            for line in lines[row["order_id"]]:
                left = line["quantity"] - line["cancelled"]
                if line["delivered"] != left:
                    yield f"{row['order_id']} line {line['line_id']}: {line['delivered']} delivered of {left}"


CHECKS: tuple[tuple[Harm, Callable[[Evidence], Iterator[str]]], ...] = (
    ("lost", accepted_orders_exist),
    ("doubled", orders_exist_once),
    ("unsound", orders_were_told),
    ("unsound", one_content_per_id),
    ("lost", everything_was_applied),
    ("unsound", nothing_else_was_applied),
    ("stuck", no_dead_letters),
    ("unsound", lives_of_orders),
    ("oversold", nothing_below_zero),
    ("oversold", no_more_promised_than_there_is),
    ("unsound", balances_are_sums),
    ("doubled", movements_once),
    ("doubled", never_more_shipped_than_ordered),
    ("doubled", shipments_once),
    ("doubled", waybills_once),
    ("lost", parcels_belong_to_shipments),
    ("stuck", orders_end_or_wait_for_a_reason),
    ("stuck", outboxes_are_empty),
    ("stuck", no_deadline_is_overdue),
    ("lost", completed_orders_were_delivered),
)
