"""What routing decides with (network, rules, stock, capacity) and the decisions it made."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from uuid import UUID

from msgspec.json import Decoder
from pydantic import TypeAdapter
from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import Writing
from oms_fulfilment.domain.network import Network, Node, Rules
from oms_fulfilment.domain.routing import Case, Item

DEFAULT_WEIGHT_G = 500
"""Weight of a unit whose SKU nobody has weighed."""

_nodes = TypeAdapter(tuple[Node, ...])
_rules = TypeAdapter(Rules)
_case = Decoder(Case)

_CURRENT = text(
    """
    select network.version as network_version, cast(network.nodes as text) as nodes,
           rules.version as rules_version, cast(rules.document as text) as document
      from (select version, nodes from networks order by version desc limit 1) as network,
           (select version, document from rule_sets where name = :name order by version desc limit 1) as rules
    """
)
_LOCK_NETWORK = text("select pg_advisory_xact_lock(hashtext('networks'))")
_ADD_NETWORK = text(
    """
    insert into networks (version, nodes, created_at)
    select max(version) + 1, cast(:nodes as jsonb), :now from networks
    """
)
_LOCK_RULES = text("select pg_advisory_xact_lock(hashtext('rule_sets/' || :name))")
_ADD_RULES = text(
    """
    insert into rule_sets (name, version, document, active_from)
    select :name, coalesce(max(version), 0) + 1, cast(:document as jsonb), :now from rule_sets where name = :name
    returning version
    """
)
# Two plain statements: one that joined and gathered the nodes of each SKU would sort and group, at twice the cost.
_FACTS = text("select sku, weight_g, flags from sku_facts where sku = any(cast(:skus as text[]))")
_STOCK = text("select sku, node, available from node_stock where sku = any(cast(:skus as text[])) order by sku, node")
# The write locks the rows: two processes that route at once then share a node's capacity without exceeding it.
_CAPACITY_USED = text(
    """
    insert into node_days (node, day, planned)
    select node, day, 0 from unnest(cast(:nodes as text[]), cast(:days as date[])) as d(node, day) order by node
    on conflict (node, day) do update set planned = node_days.planned
    returning node, planned
    """
)
_USE_CAPACITY = text(
    """
    insert into node_days (node, day, planned)
    select node, day, planned
      from unnest(cast(:nodes as text[]), cast(:days as date[]), cast(:planned as int[])) as d(node, day, planned)
     order by node, day
    on conflict (node, day) do update set planned = node_days.planned + excluded.planned
    """
)
_MOVE_STOCK = text(
    """
    update node_stock set available = greatest(0, node_stock.available + moved.units)
      from (select s.sku, s.node, m.units
              from unnest(cast(:skus as text[]), cast(:nodes as text[]), cast(:units as bigint[]))
                   as m(sku, node, units)
              join node_stock as s on s.sku = m.sku and s.node = m.node
             order by s.sku, s.node for update of s) as moved
     where node_stock.sku = moved.sku and node_stock.node = moved.node
    """
)
_LOWER_STOCK = text(
    """
    update node_stock set available = least(node_stock.available, greatest(0, told.available))
      from unnest(cast(:skus as text[]), cast(:nodes as text[]), cast(:available as bigint[]))
           as told(sku, node, available)
     where node_stock.sku = told.sku and node_stock.node = told.node
    """
)
_SET_STOCK = text(
    """
    insert into node_stock (sku, node, available, change_no)
    select sku, node, available, change_no
      from unnest(cast(:skus as text[]), cast(:nodes as text[]), cast(:available as bigint[]),
                  cast(:change_nos as bigint[])) as n(sku, node, available, change_no)
     order by sku, node
    on conflict (sku, node) do update set available = excluded.available, change_no = excluded.change_no
     where node_stock.change_no < excluded.change_no
    """
)
# A node that the newest word on a SKU does not name has none.
_CLEAR_STOCK = text(
    """
    update node_stock set available = 0, change_no = newest.change_no
      from unnest(cast(:skus as text[]), cast(:change_nos as bigint[])) as newest(sku, change_no)
     where node_stock.sku = newest.sku and node_stock.change_no < newest.change_no
    """
)
_SET_FACTS = text(
    """
    insert into sku_facts (sku, weight_g, flags)
    select sku, weight_g, cast(flags as text[])
      from unnest(cast(:skus as text[]), cast(:weights as int[]), cast(:flags as text[])) as f(sku, weight_g, flags)
     order by sku
    on conflict (sku) do update set weight_g = excluded.weight_g, flags = excluded.flags
     where (sku_facts.weight_g, sku_facts.flags) is distinct from (excluded.weight_g, excluded.flags)
    """
)
_ADD_DECISIONS = text(
    """
    insert into decisions (decision_id, order_id, attempt, rule_set, rule_set_version, network_version, inputs,
                           alternatives, chosen, reason, decided_at)
    select decision_id, order_id, attempt, :rule_set, :rule_set_version, :network_version, cast(inputs as json),
           cast(alternatives as json), cast(chosen as json), reason, :now
      from unnest(cast(:decision_ids as uuid[]), cast(:order_ids as uuid[]), cast(:attempts as int[]),
                  cast(:inputs as text[]), cast(:alternatives as text[]), cast(:chosen as text[]),
                  cast(:reasons as text[]))
           as d(decision_id, order_id, attempt, inputs, alternatives, chosen, reason)
    """
)


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as the database keeps it; the last three are JSON."""

    decision_id: UUID
    order_id: UUID
    attempt: int
    reason: str
    inputs: str
    alternatives: str
    chosen: str


@lru_cache(maxsize=4)
def _parse_network(version: int, nodes: str) -> Network:
    return Network(version, _nodes.validate_json(nodes))


@lru_cache(maxsize=8)
def _parse_rules(name: str, version: int, document: str) -> Rules:
    return rules_from(name, version, document)


def rules_from(name: str, version: int, document: str) -> Rules:
    """A stored rule set as the router takes it."""
    return _rules.validate_python({**from_json(document), "name": name, "version": version})


def case_from_json(inputs: str) -> Case:
    """The case that a decision was made of."""
    return _case.decode(inputs)


async def current(connection: AsyncConnection, *, rule_set: str) -> tuple[Network, Rules]:
    """The newest network and the active version of a rule set. Raises LookupError for a rule set nobody wrote."""
    row = (await connection.execute(_CURRENT, {"name": rule_set})).one_or_none()
    if row is None:
        raise LookupError(f"rule set {rule_set}")
    network = _parse_network(row.network_version, row.nodes)
    return network, _parse_rules(rule_set, row.rules_version, row.document)


async def put_node(connection: AsyncConnection, node: Node, *, now: datetime) -> None:
    """Add a node or change it: a new version of the network, unless nothing differs."""
    await connection.execute(_LOCK_NETWORK)
    network, _ = await current(connection, rule_set="default")
    nodes = {known.node: known for known in network.nodes}
    if nodes.get(node.node) != node:
        nodes[node.node] = node
        document = _nodes.dump_json(tuple(nodes[code] for code in sorted(nodes))).decode()
        await connection.execute(_ADD_NETWORK, {"nodes": document, "now": now})


async def add_rules(connection: AsyncConnection, name: str, document: str, *, now: datetime) -> int:
    """A new version of a rule set, active from now on; answers its number."""
    await connection.execute(_LOCK_RULES, {"name": name})
    row = await connection.execute(_ADD_RULES, {"name": name, "document": document, "now": now})
    return int(row.scalar_one())


async def items(connection: AsyncConnection, skus: Collection[str]) -> dict[str, Item]:
    """Weight, flags and projected stock of SKUs. The stock may be changed: it is this caller's own view."""
    asked = {"skus": sorted(skus)}
    facts = {
        sku: (weight_g or DEFAULT_WEIGHT_G, tuple(flags))
        for sku, weight_g, flags in await connection.execute(_FACTS, asked)
    }
    stock: dict[str, dict[str, int]] = {}
    for sku, node, available in await connection.execute(_STOCK, asked):
        stock.setdefault(sku, {})[node] = available
    unknown: tuple[int, tuple[str, ...]] = (DEFAULT_WEIGHT_G, ())
    return {sku: Item(*facts.get(sku, unknown), stock.get(sku)) for sku in asked["skus"]}


async def capacity_used(connection: AsyncConnection, days: Mapping[str, date]) -> dict[str, int]:
    """Shipments planned at nodes on their day, the rows locked."""
    if not days:
        return {}
    rows = await connection.execute(_CAPACITY_USED, {"nodes": list(days), "days": list(days.values())})
    return {row.node: row.planned for row in rows}


async def use_capacity(writing: Writing, planned: Counter[tuple[str, date]]) -> None:
    """Count shipments more (or fewer) at nodes and days."""
    moved = sorted((node, day, count) for (node, day), count in planned.items() if count)
    if moved:
        nodes, days, counts = (list(column) for column in zip(*moved, strict=True))
        await writing.execute(_USE_CAPACITY, {"nodes": nodes, "days": days, "planned": counts})


async def move_stock(writing: Writing, moved: Counter[tuple[str, str]]) -> None:
    """Add units to (or take them from) the projection, by node and SKU."""
    units = sorted((sku, node, count) for (node, sku), count in moved.items() if count)
    if units:
        skus, nodes, counts = (list(column) for column in zip(*units, strict=True))
        await writing.execute(_MOVE_STOCK, {"skus": skus, "nodes": nodes, "units": counts})


async def lower_stock(connection: AsyncConnection, told: Mapping[tuple[str, str], int]) -> None:
    """Correct the projection, by node and SKU, where inventory has just said that there is less."""
    if told:
        parameters = {
            "nodes": [node for node, _ in told],
            "skus": [sku for _, sku in told],
            "available": list(told.values()),
        }
        await connection.execute(_LOWER_STOCK, parameters)


async def set_stock(
    connection: AsyncConnection, newest: Mapping[str, int], available: Mapping[tuple[str, str], int]
) -> None:
    """Take over inventory's word: the newest change number by SKU, and what each node has by SKU and node."""
    parameters = {
        "skus": [sku for sku, _ in available],
        "nodes": [node for _, node in available],
        "available": list(available.values()),
        "change_nos": [newest[sku] for sku, _ in available],
    }
    await connection.execute(_SET_STOCK, parameters)
    await connection.execute(_CLEAR_STOCK, {"skus": list(newest), "change_nos": list(newest.values())})


async def set_facts(connection: AsyncConnection, facts: Mapping[str, tuple[int, Sequence[str]]]) -> None:
    """Remember weight and flags of SKUs. Flags are plain words of the contract."""
    parameters = {
        "skus": list(facts),
        "weights": [weight_g for weight_g, _ in facts.values()],
        "flags": ["{" + ",".join(flags) + "}" for _, flags in facts.values()],
    }
    await connection.execute(_SET_FACTS, parameters)


async def add_decisions(
    writing: Writing, decided: Sequence[StoredDecision], *, network: Network, rules: Rules, now: datetime
) -> None:
    """Store decisions made with one network and one version of the rules."""
    if not decided:
        return
    parameters = {
        "decision_ids": [decision.decision_id for decision in decided],
        "order_ids": [decision.order_id for decision in decided],
        "attempts": [decision.attempt for decision in decided],
        "inputs": [decision.inputs for decision in decided],
        "alternatives": [decision.alternatives for decision in decided],
        "chosen": [decision.chosen for decision in decided],
        "reasons": [decision.reason for decision in decided],
        "rule_set": rules.name,
        "rule_set_version": rules.version,
        "network_version": network.version,
        "now": now,
    }
    await writing.execute(_ADD_DECISIONS, parameters)
