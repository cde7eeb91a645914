"""Every service of the house, as tests of the whole look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from oms_events.registry import Event
from oms_events.runtime.service import Service
from oms_gateway.doors import EVENTS
from oms_local import topology

ROOT = Path(__file__).parents[1]
SERVICES: Sequence[Service] = tuple(
    import_module(f"oms_{service.name}.service").service for service in topology.SERVICES if service.has_database
)
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
