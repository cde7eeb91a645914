"""Every service of the house, as the contract tests look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oms_analytics.service import service as analytics
from oms_catalog.service import service as catalog
from oms_events.registry import Event
from oms_fulfilment.service import service as fulfilment
from oms_gateway.doors import EVENTS
from oms_inventory.service import service as inventory
from oms_logistics.service import service as logistics
from oms_orders.service import service as orders
from oms_settlement.service import service as settlement

ROOT = Path(__file__).parents[2]
SERVICES = (catalog, inventory, orders, fulfilment, logistics, settlement, analytics)
"""Those with a database and a runtime: all but gateway and console."""


@dataclass(frozen=True)
class Declared:
    """What a service says that it reads and writes."""

    consumes: Sequence[type[Event]]
    produces: Sequence[type[Event]]


DECLARED: Mapping[str, Declared] = {
    **{
        service.name: Declared([subscription.event for subscription in service.consumes], service.produces)
        for service in SERVICES
    },
    "gateway": Declared([], EVENTS),
    "console": Declared([], []),
}
