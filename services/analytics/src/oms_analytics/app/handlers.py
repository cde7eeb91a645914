"""What happens when something is said of an order: it is kept. What it comes to is worked out afterwards, once for
however much was said meanwhile."""

from datetime import datetime

from oms_analytics.adapters import facts
from oms_analytics.adapters.facts import Hold, Row
from oms_analytics.app.facts import document_of
from oms_events.contracts.orders import HoldOpened, HoldResolved
from oms_events.envelope import Batch
from oms_events.registry import Event
from oms_events.runtime.work import Work


async def note(told: Batch[Event], work: Work) -> None:
    """Keep what was said of orders. One handler for all that is said, so that a batch is one statement."""
    rows: list[Row] = []
    notes: dict[str, Hold] = {}
    for received in told:
        order_id = getattr(received.event, "order_id", None)
        document = document_of(received) if order_id is not None else None
        if document is None:
            continue
        meta = received.meta
        rows.append(Row(str(order_id), meta.id, type(received.event).__name__, meta.time, document))
        if isinstance(received.event, HoldOpened | HoldResolved):
            hold = _hold(received.event, meta.time)
            known = notes.get(hold.hold_id)
            notes[hold.hold_id] = hold if known is None else known.with_(hold)
    await facts.keep(work.connection, rows, list(notes.values()))


def _hold(event: HoldOpened | HoldResolved, at: datetime) -> Hold:
    hold_id, order_id = str(event.hold_id), str(event.order_id)
    if isinstance(event, HoldOpened):
        return Hold(hold_id, order_id, event.code, opened_at=at)
    return Hold(hold_id, order_id, event.code, resolved_at=at, outcome=event.outcome)
