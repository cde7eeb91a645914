"""What the OMS consists of: the one list of its services. Everything else here is derived from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from oms_events.runtime.settings import ROLES
from oms_local.ports import LOCALHOST, Ports


@dataclass(frozen=True, slots=True)
class Service:
    """One service and how it is started: `oms-<name> serve`, all roles in one process unless workers are asked for."""

    name: str
    preferred_port: int
    has_database: bool = True
    consumes: bool = True
    """Whether it handles events: what workers share."""
    needs: tuple[str, ...] = ()
    """Services that must be ready before this one starts, and whose URLs it is given."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What is different in its environment."""
    nice: int = 0
    """How far it steps back from the others on this machine. In containers it has a smaller share of the processors."""

    @property
    def script(self) -> str:
        return f"oms-{self.name}"

    @property
    def database(self) -> str:
        """Name of its database and of the role that owns it."""
        return f"oms_{self.name}"


GATEWAY = "gateway"
CONSOLE = "console"
_WORKER = "-worker-"


def workers_of(service: Service, count: int) -> list[str]:
    """Names of the processes that consume for a service; none where its one process does everything."""
    return [f"{service.name}{_WORKER}{number}" for number in range(1, count + 1)] if _shares(service, count) else []


def roles_of(service: Service, count: int) -> str:
    """What a service's own process does, of so many that consume for it."""
    return ",".join(role for role in ROLES if role != "consumer" or not _shares(service, count))


def service_of(process: str) -> str:
    """The service that a process of this topology belongs to."""
    return process.partition(_WORKER)[0]


def _shares(service: Service, count: int) -> bool:
    return count > 1 and service.consumes


# The back office reads what others have done, and nobody waits for it: it takes large batches, and steps back where
# orders want the processors.
BACK_OFFICE = {"OMS_BATCH_WINDOW_MS": "1000", "OMS_BATCH_MAX_RECORDS": "5000"}
STEPS_BACK = 19

_BEHIND_THE_GATEWAY = (
    Service("catalog", 8081, consumes=False),
    Service("inventory", 8082),
    Service("orders", 8083),
    Service("fulfilment", 8084),
    Service("logistics", 8085),
    Service("settlement", 8086, settings=BACK_OFFICE, nice=STEPS_BACK),
    Service("analytics", 8087, settings=BACK_OFFICE, nice=STEPS_BACK),
)
SERVICES = (
    *_BEHIND_THE_GATEWAY,
    Service(
        GATEWAY,
        8080,
        has_database=False,
        consumes=False,
        needs=tuple(service.name for service in _BEHIND_THE_GATEWAY),
    ),
    Service(CONSOLE, 8088, has_database=False, consumes=False, needs=(GATEWAY,)),
)
WITHOUT_PAGES = tuple(service for service in SERVICES if service.name != CONSOLE)
"""Everything that handles orders: what is measured, and what faults are played on."""


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
