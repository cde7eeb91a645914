"""Facts in the database, and the queue of orders of which some are new."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.domain.order import Document, Fact
from oms_events.runtime.documents import to_document
from oms_events.runtime.together import together

_SLICE = 500
"""Orders that one row of the queue carries at most: as many are worked out together."""

_KEEP = text(
    """
    insert into facts (order_id, event_id, kind, occurred_at, document)
    select * from unnest(cast(:order_ids as uuid[]), cast(:event_ids as uuid[]), cast(:kinds as text[]),
                         cast(:times as timestamptz[]), cast(:documents as json[]))
    on conflict do nothing
    """
)
_ENQUEUE = text(
    """
    insert into changed_orders (order_ids)
    select cast(string_to_array(slice, ',') as uuid[]) from unnest(cast(:slices as text[])) as slice
    """
)
# A hold may be heard to be resolved before it is heard to be opened.
_KEEP_HOLDS = text(
    """
    insert into holds as known (hold_id, order_id, code, opened_at, resolved_at, outcome)
    select * from unnest(cast(:hold_ids as uuid[]), cast(:hold_orders as uuid[]), cast(:codes as text[]),
                         cast(:opened as timestamptz[]), cast(:resolved as timestamptz[]), cast(:outcomes as text[]))
    on conflict (hold_id) do update
       set opened_at = coalesce(known.opened_at, excluded.opened_at),
           resolved_at = coalesce(known.resolved_at, excluded.resolved_at),
           outcome = coalesce(known.outcome, excluded.outcome)
    """
)
_ALONE = text("select pg_advisory_xact_lock(hashtext('analytics: working out'))")
# What a transaction puts into the queue becomes visible together with its facts, and the statements after this one
# see all that was visible to it: whatever is taken here has its facts there.
_TAKE = text(
    """
    with taken as (
        delete from changed_orders where id = any(array(select id from changed_orders order by id limit :rows))
        returning order_ids)
    select array(select distinct cast(order_id as text) from taken, unnest(order_ids) as order_id order by 1)
               as order_ids,
           (select count(*) from taken) < :rows as all_taken
    """
)
_OF = text(
    """
    select cast(order_id as text) as order_id, cast(event_id as text) as event_id, kind, occurred_at,
           cast(document as text) as document
      from facts where order_id = any(cast(:order_ids as uuid[]))
    """
)
_TAKE_PRICES = text("delete from changed_prices returning sku, channel, shop, valid_from")
# Orders that sold one of these SKUs, or were placed in one of these shops.
_ENQUEUE_PRICED = text(
    """
    insert into changed_orders (order_ids)
    select array_agg(order_id)
      from (select order_id, row_number() over (order by order_id) / :slice as slice
              from order_profits orders
             where placed_at >= :since
               and (skus && cast(:skus as text[])
                    or exists (select 1 from unnest(cast(:channels as text[]), cast(:shops as text[]))
                                             as p(channel, shop)
                                where p.channel = orders.channel and p.shop in ('*', orders.shop)))) as touched
     group by slice
    """
)


class Row(NamedTuple):
    """A fact and the order it is about."""

    order_id: str
    event_id: str
    kind: str
    occurred_at: datetime
    document: Document


@dataclass(frozen=True, slots=True)
class Hold:
    """What is known of a hold."""

    hold_id: str
    order_id: str
    code: str
    opened_at: datetime | None = None
    resolved_at: datetime | None = None
    outcome: str | None = None

    def with_(self, other: "Hold") -> "Hold":
        """Both together."""
        return Hold(
            self.hold_id,
            self.order_id,
            self.code,
            self.opened_at or other.opened_at,
            self.resolved_at or other.resolved_at,
            self.outcome or other.outcome,
        )


async def keep(connection: AsyncConnection, rows: Sequence[Row], holds: Sequence[Hold]) -> None:
    """Keep facts that are new, and put their orders into the queue."""
    if not rows:
        return
    async with together(connection) as writing:
        facts = {
            "order_ids": [row.order_id for row in rows],
            "event_ids": [row.event_id for row in rows],
            "kinds": [row.kind for row in rows],
            "times": [row.occurred_at for row in rows],
            "documents": [to_document(row.document) for row in rows],
        }
        await writing.execute(_KEEP, facts)
        await writing.execute(_ENQUEUE, {"slices": _slices({row.order_id for row in rows})})
        if holds:
            await writing.execute(_KEEP_HOLDS, _columns(holds))


async def alone(connection: AsyncConnection) -> None:
    """Be the only one that works out orders until this transaction ends: two who did one order at a time would both
    add what changed of it."""
    await connection.execute(_ALONE)


async def enqueue(connection: AsyncConnection, order_ids: Sequence[str]) -> None:
    """Leave these orders for the next time."""
    if order_ids:
        await connection.execute(_ENQUEUE, {"slices": _slices(order_ids)})


async def take_changed(connection: AsyncConnection, *, rows: int) -> tuple[list[str], bool]:
    """Orders of which something is new, out of so many rows of the queue, and whether these were all."""
    taken = (await connection.execute(_TAKE, {"rows": rows})).one()
    return list(taken.order_ids), taken.all_taken


async def take_changed_prices(connection: AsyncConnection) -> None:
    """Put orders into the queue whose costs or rates are other than they were."""
    taken = (await connection.execute(_TAKE_PRICES)).all()
    if not taken:
        return  # the other statement would read every order there is to find none
    touched = {
        "since": min(price.valid_from for price in taken),
        "skus": [price.sku for price in taken if price.sku is not None],
        "channels": [price.channel for price in taken if price.channel is not None],
        "shops": [price.shop for price in taken if price.channel is not None],
        "slice": _SLICE,
    }
    await connection.execute(_ENQUEUE_PRICED, touched)


async def facts_of(connection: AsyncConnection, order_ids: Collection[str]) -> Mapping[str, list[Fact]]:
    """All that was said of these orders."""
    found: dict[str, list[Fact]] = {}
    for row in await connection.execute(_OF, {"order_ids": list(order_ids)}):
        found.setdefault(row.order_id, []).append(
            Fact(row.event_id, row.kind, row.occurred_at, from_json(row.document))
        )
    return found


def _slices(order_ids: Collection[str]) -> list[str]:
    ordered = sorted(order_ids)
    return [",".join(ordered[start : start + _SLICE]) for start in range(0, len(ordered), _SLICE)]


def _columns(holds: Sequence[Hold]) -> dict[str, list[object]]:
    return {
        "hold_ids": [hold.hold_id for hold in holds],
        "hold_orders": [hold.order_id for hold in holds],
        "codes": [hold.code for hold in holds],
        "opened": [hold.opened_at for hold in holds],
        "resolved": [hold.resolved_at for hold in holds],
        "outcomes": [hold.outcome for hold in holds],
    }
