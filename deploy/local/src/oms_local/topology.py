"""What the OMS consists of: the one list of its services. Everything else here is derived from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from oms_local.ports import LOCALHOST, Ports


@dataclass(frozen=True, slots=True)
class Service:
    """One service and how it is started: `oms-<name> serve`, all roles in one process."""

    name: str
    preferred_port: int
    has_database: bool = True
    needs: tuple[str, ...] = ()
    """Services that must be ready before this one starts, and whose URLs it is given."""

    @property
    def script(self) -> str:
        return f"oms-{self.name}"

    @property
    def database(self) -> str:
        """Name of its database and of the role that owns it."""
        return f"oms_{self.name}"


GATEWAY = "gateway"

SERVICES = (
    Service("catalog", 8081),
    Service("inventory", 8082),
    Service("orders", 8083),
    Service("fulfilment", 8084),
    Service("logistics", 8085),
    Service(
        GATEWAY,
        8080,
        has_database=False,
        needs=("catalog", "inventory", "orders", "fulfilment", "logistics"),
    ),
)


def start_order(services: Iterable[Service]) -> list[list[Service]]:
    """Ranks of services: those of one rank start together, once all before them are ready.

    A need outside `services` is taken as met. Raises graphlib.CycleError for services that need each other.
    """
    by_name = {service.name: service for service in services}
    graph = TopologicalSorter({name: set(by_name) & set(service.needs) for name, service in by_name.items()})
    graph.prepare()
    ranks = []
    while graph.is_active():
        names = graph.get_ready()
        ranks.append([by_name[name] for name in names])
        graph.done(*names)
    return ranks


def draw_urls(services: Iterable[Service], ports: Ports, *, prefer: bool) -> Mapping[str, str]:
    """A base URL for each service by name; its preferred port, or the next free one, where `prefer` is set."""
    return {
        service.name: f"http://{LOCALHOST}:{ports.draw(service.preferred_port if prefer else None)}"
        for service in services
    }
