"""Orders in the database: loaded under lock, saved with one statement, with the totals of their accounts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import add, sub
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.documents import to_document
from oms_events.runtime.retry import Transient
from oms_events.runtime.together import Writing
from oms_settlement.domain.position import Dated, Facts, Line
from oms_settlement.domain.reconciliation import NOTHING, Standing, Sums, sums

_ORDER = (
    "order_id, account, channel_order_no, currency, cast(facts as text) as facts,"
    " cast(components as text) as components, due_at, version"
)
_LOAD = text(f"select {_ORDER} from orders where order_id = any(cast(:ids as uuid[])) order by order_id for update")
_SAVE = text(
    """
    insert into orders as known (order_id, account, channel_order_no, currency, facts, components, due_at, version)
    select order_id, account, channel_order_no, currency, cast(facts as json), cast(components as json), due_at, version
      from unnest(cast(:order_id as uuid[]), cast(:account as text[]), cast(:channel_order_no as text[]),
                  cast(:currency as text[]), cast(:facts as text[]), cast(:components as text[]),
                  cast(:due_at as timestamptz[]), cast(:version as int[]))
           as n(order_id, account, channel_order_no, currency, facts, components, due_at, version)
     order by order_id
    on conflict (order_id) do update
       set account = excluded.account, channel_order_no = excluded.channel_order_no, currency = excluded.currency,
           facts = excluded.facts, components = excluded.components, due_at = excluded.due_at,
           version = excluded.version
     where known.version = excluded.version - 1
    """
)
_UPDATE = text(
    """
    update orders set components = cast(n.components as json), due_at = n.due_at, version = n.version
      from unnest(cast(:order_id as uuid[]), cast(:components as text[]), cast(:due_at as timestamptz[]),
                  cast(:version as int[])) as n(order_id, components, due_at, version)
     where orders.order_id = n.order_id
    """
)
_DUE = text(
    f"""
    select {_ORDER} from orders where order_id in (
        select order_id from orders where due_at <= :now order by due_at, order_id limit :page)
       and due_at <= :now  -- asked again of a row that somebody else changed while we waited for it
     order by order_id for update
    """
)
_ADD_TOTALS = text(
    """
    insert into component_totals as known (account, currency, component, expected_minor, settled_minor, matched_minor,
                                           written_off_minor, lines, lines_cleared, value_minor, value_cleared_minor)
    select * from unnest(cast(:account as text[]), cast(:currency as text[]), cast(:component as text[]),
                         cast(:expected_minor as bigint[]), cast(:settled_minor as bigint[]),
                         cast(:matched_minor as bigint[]), cast(:written_off_minor as bigint[]),
                         cast(:lines as bigint[]), cast(:lines_cleared as bigint[]), cast(:value_minor as bigint[]),
                         cast(:value_cleared_minor as bigint[]))
    on conflict (account, currency, component) do update
       set expected_minor = known.expected_minor + excluded.expected_minor,
           settled_minor = known.settled_minor + excluded.settled_minor,
           matched_minor = known.matched_minor + excluded.matched_minor,
           written_off_minor = known.written_off_minor + excluded.written_off_minor,
           lines = known.lines + excluded.lines, lines_cleared = known.lines_cleared + excluded.lines_cleared,
           value_minor = known.value_minor + excluded.value_minor,
           value_cleared_minor = known.value_cleared_minor + excluded.value_cleared_minor
    """
)
_NO_SUMS = Sums(0, 0, 0, 0, 0, 0, 0, 0)


class Name(NamedTuple):
    """Whose order it is, and what its channel calls it."""

    account: str
    order_no: str
    currency: str

    @property
    def channel(self) -> str:
        return self.account.partition("/")[0]

    @property
    def shop(self) -> str:
        return self.account.partition("/")[2]


@dataclass(slots=True)
class Order:
    """An order as settlement knows it. Without a name it was not heard of itself yet."""

    order_id: UUID
    name: Name | None = None
    components: dict[str, Standing] = field(default_factory=dict)
    due_at: datetime | None = None
    version: int = 0
    facts_document: str | None = None
    _facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        """All that was heard of it. Read from its document when it is asked for: matching seldom asks."""
        if self._facts is None:
            self._facts = Facts() if self.facts_document is None else _facts(from_json(self.facts_document))
        return self._facts

    @facts.setter
    def facts(self, facts: Facts) -> None:
        self._facts = facts

    def standing(self, component: str) -> Standing:
        return self.components.get(component, NOTHING)

    @property
    def open(self) -> bool:
        """That something expected is not cleared."""
        return any(one.gap_minor for one in self.components.values())


class Totals:
    """What a transaction changed in the sums of the accounts."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], tuple[int, ...]] = {}

    def change(self, account: str, currency: str, component: str, before: Standing, after: Standing) -> None:
        """Take note that a component went from one standing to another."""
        key = (account, currency, component)
        kept = self._sums.get(key, _NO_SUMS)
        # Element by element in C: it happens for every component of every order.
        self._sums[key] = tuple(map(add, kept, map(sub, sums(after), sums(before))))

    def add(self, account: str, currency: str, component: str, more: Sums) -> None:
        """Take note of what is about no known order."""
        key = (account, currency, component)
        self._sums[key] = tuple(map(add, self._sums.get(key, _NO_SUMS), more))

    async def save(self, writing: Writing) -> None:
        """Add it. Rows are locked in the order of their keys."""
        rows = [(*key, *added) for key, added in sorted(self._sums.items()) if any(added)]
        if rows:
            names = ("account", "currency", "component", *Sums._fields)
            columns = zip(names, map(list, zip(*rows, strict=True)), strict=True)
            await writing.execute(_ADD_TOTALS, dict(columns))


async def load(connection: AsyncConnection, order_ids: Collection[UUID]) -> dict[UUID, Order]:
    """Orders that are known, locked until the transaction ends."""
    rows = await connection.execute(_LOAD, {"ids": list(order_ids)})
    return {row.order_id: _order(row) for row in rows}


async def load_due(connection: AsyncConnection, now: datetime, page: int) -> list[Order]:
    """Orders of which money should have come by now, locked."""
    return [_order(row) for row in await connection.execute(_DUE, {"now": now, "page": page})]


async def save(connection: AsyncConnection, changed: Sequence[Order]) -> None:
    """Write orders one version after the one that was read. Raises Transient when somebody else wrote one first."""
    if not changed:
        return
    saved = await connection.execute(
        _SAVE,
        {
            "order_id": [order.order_id for order in changed],
            "account": [order.name and order.name.account for order in changed],
            "channel_order_no": [order.name and order.name.order_no for order in changed],
            "currency": [order.name and order.name.currency for order in changed],
            "facts": [_facts_document(order.facts) for order in changed],
            "components": [_components_document(order.components) for order in changed],
            "due_at": [order.due_at for order in changed],
            "version": [order.version for order in changed],
        },
    )
    if saved.rowcount != len(changed):
        raise Transient("an order was changed by somebody else meanwhile")


async def save_standings(writing: Writing, changed: Sequence[Order]) -> None:
    """Write what became of orders that were locked; what was heard of them stays as it is."""
    if changed:
        await writing.execute(
            _UPDATE,
            {
                "order_id": [order.order_id for order in changed],
                "components": [_components_document(order.components) for order in changed],
                "due_at": [order.due_at for order in changed],
                "version": [order.version for order in changed],
            },
        )


def _order(row: Row[Any]) -> Order:
    name = Name(row.account, row.channel_order_no, row.currency) if row.account is not None else None
    components = {name: Standing(*values) for name, values in from_json(row.components).items()}
    return Order(row.order_id, name, components, row.due_at, row.version, row.facts)


def _components_document(components: Mapping[str, Standing]) -> str:
    return to_document(components)


def _facts_document(facts: Facts) -> str:
    document: dict[str, Any] = {}
    if facts.lines is not None:
        document["lines"] = {id_: (line.amount_minor, line.quantity) for id_, line in facts.lines.items()}
    if facts.shipping_minor:
        document["shipping"] = facts.shipping_minor
    if facts.unplaced_minor:
        document["unplaced"] = facts.unplaced_minor
    if facts.paid_at is not None:
        document["paid"] = (facts.paid_at, facts.paid_minor)
    if facts.cancelled:
        document["cancelled"] = {id_: (one.at, one.lines) for id_, one in facts.cancelled.items()}
    if facts.gone_at is not None:
        document["gone"] = facts.gone_at
    if facts.dispatched:
        document["dispatched"] = {id_: (one.at, one.lines) for id_, one in facts.dispatched.items()}
    return to_document(document)


def _facts(document: Mapping[str, Any]) -> Facts:
    lines = document.get("lines")
    paid_at, paid_minor = document.get("paid", (None, 0))
    return Facts(
        None if lines is None else {id_: Line(*values) for id_, values in lines.items()},
        document.get("shipping", 0),
        document.get("unplaced", 0),
        _moment(paid_at),
        paid_minor,
        _dated(document.get("cancelled", {})),
        _moment(document.get("gone")),
        _dated(document.get("dispatched", {})),
    )


def _dated(document: Mapping[str, Any]) -> dict[str, Dated]:
    return {id_: Dated(datetime.fromisoformat(at), lines) for id_, (at, lines) in document.items()}


def _moment(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)
