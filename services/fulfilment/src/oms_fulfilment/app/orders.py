"""What orders tell: released lines want a plan, cancelled ones want to be stopped."""

from collections.abc import Sequence
from uuid import UUID

from oms_events.contracts.orders import CancellationRequested, OrderReleased
from oms_events.envelope import Batch, EventMeta
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.together import together
from oms_events.runtime.work import Work
from oms_fulfilment.adapters import demands as store
from oms_fulfilment.app.changes import Changes
from oms_fulfilment.app.publishing import publish
from oms_fulfilment.app.sourcing import Sourcing
from oms_fulfilment.domain.demand import Demand, DemandLine, ShipToPlace
from oms_fulfilment.domain.routing import Units
from oms_fulfilment.domain.shipping import cancel
from oms_fulfilment.domain.waiting import tried_again


async def on_order_released(released: Batch[OrderReleased], work: Work) -> None:
    """Decide which nodes ship the order; an order released twice is planned once."""
    known = await store.known(work.connection, [item.event.order_id for item in released])
    fresh: dict[UUID, tuple[Demand, EventMeta]] = {}
    for item in released:
        if item.event.order_id not in known:
            fresh.setdefault(item.event.order_id, (_demand(item.event), item.meta))
    sourcing = await Sourcing.open(work, [demand for demand, _ in fresh.values()])
    routed = [sourcing.route(demand, cause) for demand, cause in fresh.values()]
    async with together(work.connection) as writing:
        await store.insert(writing, routed, now=work.now)
        await sourcing.save(writing)


async def on_cancellation_requested(requested: Batch[CancellationRequested], work: Work) -> None:
    """Stop what can be stopped, and answer once for each cancellation."""
    changes = await Changes.of_orders(work, [item.event.order_id for item in requested])
    asked = {item.event.cancellation_id: item.event.order_id for item in requested}
    fresh = await store.new_cancellations(work.connection, asked, now=work.now)
    for item in requested:
        cancellation = item.event
        demand = changes.demand(cancellation.order_id)
        if cancellation.cancellation_id in fresh:
            fresh.discard(cancellation.cancellation_id)
            wanted = [Units(line.line_id, line.sku, line.quantity) for line in cancellation.lines]
            demand, facts = cancel(demand, cancellation.cancellation_id, wanted)
            changes.put(demand)
            publish(work, demand, facts, item.meta)
    await changes.save()


async def reroute(due: Sequence[Deadline], work: Work) -> None:
    """Try orders again that could not be routed."""
    causes = {UUID(deadline.key): deadline.cause("/oms/fulfilment") for deadline in due}
    changes = await Changes.of_orders(work, causes)
    for order_id, cause in causes.items():
        changes.put(tried_again(changes.demand(order_id)))
        changes.route_later(order_id, cause)
    await changes.save()


def _demand(released: OrderReleased) -> Demand:
    place = released.ship_to
    return Demand(
        order_id=released.order_id,
        channel=released.channel,
        shop=released.shop,
        ship_to=ShipToPlace(place.country, place.region, place.city, place.postcode, place.receiver_token),
        tier=released.delivery_tier,
        ship_by=released.ship_by,
        lines=tuple(DemandLine(line.line_id, line.sku, line.quantity) for line in released.lines),
        shipments={},
    )
