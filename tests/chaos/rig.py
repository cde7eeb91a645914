"""The system under faults: every service as a process, and a line of ours to each of its servers."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import psutil

from oms_local import probes
from oms_local.detour import Detour
from oms_local.ports import Ports
from oms_local.profile import Profile
from oms_local.servers import Way
from oms_local.supervisor import Report
from oms_local.system import Options, System, running_system
from oms_local.topology import WITHOUT_PAGES

from . import small_disk
from .load import Portions
from .proxy import Line

SESSION_S = 6.0
"""The consumers' session: the shortest a broker allows, so that a fault can outlast it in seconds."""
AWAY_S = SESSION_S + 2.0
"""How long a fault lasts that outlasts the session."""
RETURN_TIMEOUT_S = 120.0
BROKER, DATABASE = "kafka", "postgres"
CONSUMERS = tuple(service.name for service in WITHOUT_PAGES if service.consumes)
WITH_DATABASE = tuple(service.name for service in WITHOUT_PAGES if service.has_database)
EVERY_SERVICE = tuple(service.name for service in WITHOUT_PAGES)

_ENVIRONMENT = {
    "OMS_SESSION_TIMEOUT_MS": str(int(SESSION_S * 1000)),
    "OMS_HEARTBEAT_INTERVAL_MS": "1000",
}


@dataclass(frozen=True, slots=True)
class Rig:
    """What a fault works with. Names of services are those of the topology."""

    system: System
    folder: Path
    load: Portions
    broker_lines: Mapping[str, Line]
    database_lines: Mapping[str, Line]

    @property
    def broker_data(self) -> Path:
        """The broker's folder."""
        return self.folder / BROKER

    def pid(self, name: str) -> int:
        """The present process of a service or server."""
        return self.system.pids()[name]

    def database_url(self, service: str) -> str:
        """The service's database as its administrator, past the line."""
        return self.system.platform.postgres.url(f"oms_{service}")

    def lines(self, service: str) -> list[Line]:
        """A service's lines to its servers."""
        return [lines[service] for lines in (self.broker_lines, self.database_lines) if service in lines]

    def kill_server(self, name: str) -> None:
        """kill -9 of the broker, or of PostgreSQL's postmaster alone: its children must notice by themselves."""
        os.kill(self.pid(name), signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP for a process and all it started, the parent first; SIGCONT at the end, to those still there."""
        parent = psutil.Process(self.pid(name))
        parent.suspend()
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in reversed(family):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    async def time_of_day(self, service: str) -> datetime:
        """What a service's own clock says: every answer of its server is dated."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.system.urls[service]}/livez", timeout=5)
        return parsedate_to_datetime(answer.headers["date"])

    async def until_servers_answer(self, timeout: float = RETURN_TIMEOUT_S) -> None:
        """Wait for broker and database. Raises TimeoutError."""
        await probes.until(probes.kafka_answers(self.system.bootstrap), timeout)
        await probes.until(probes.postgres_answers(self.system.platform.postgres), timeout)

    async def until_services_ready(self, timeout: float = RETURN_TIMEOUT_S) -> None:
        """Wait for every service to say that it is ready. Raises TimeoutError."""
        await asyncio.gather(*(self.system.until_ready(name, timeout) for name in EVERY_SERVICE))


@contextlib.asynccontextmanager
async def running_rig(folder: Path, cache: Path, report: Report, load: Portions, *, small: bool) -> AsyncIterator[Rig]:
    """Start everything on free ports with its data in `folder`, the broker's on a `small` disk. Raises LaunchError."""
    ports = Ports()
    database_port = ports.draw()
    detours = {name: Detour(ports.draw(), ports.draw(), ports.draw()) for name in EVERY_SERVICE}
    broker_lines = {name: Line(detour.broker_port, detour.broker_listens) for name, detour in detours.items()}
    database_lines = {name: Line(detours[name].database_port, database_port) for name in WITH_DATABASE}
    options = Options(
        run_dir=folder,
        cache_dir=cache,
        profile=Profile.FAULTS,
        way=Way.LOCAL,
        log_level="WARNING",
        on_console=False,
        environment=_ENVIRONMENT,
        services=WITHOUT_PAGES,
        detours=detours,
        database_port=database_port,
    )
    async with contextlib.AsyncExitStack() as stack:
        if small:
            await stack.enter_async_context(small_disk.mounted(folder / BROKER))
        for line in (*broker_lines.values(), *database_lines.values()):
            await stack.enter_async_context(line)
        system = await stack.enter_async_context(running_system(options, report))
        yield Rig(system, folder, load, broker_lines, database_lines)
