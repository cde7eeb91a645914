"""Broker and database as processes of our own."""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from oms_local import kafka, postgres
from oms_local.detour import Detour
from oms_local.java import find_java
from oms_local.ports import LOCALHOST, Ports
from oms_local.process import Account, together
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder
from oms_local.servers import Platform, PostgresServer, Way
from oms_local.supervisor import Report, Supervisor


@contextlib.asynccontextmanager
async def local_platform(
    profile: Profile,
    run_folder: RunFolder,
    cache_dir: Path,
    report: Report,
    *,
    detours: Mapping[str, Detour] | None = None,
    database_port: int | None = None,
) -> AsyncIterator[Platform]:
    """Both servers with their data in the run folder, started together: each waits mostly for itself."""
    ports = Ports()
    prefer = profile.prefers_ports  # tests run beside a running system, and beside each other
    broker_port = ports.draw(kafka.PREFERRED_PORT if prefer else None)
    controller_port = ports.draw(kafka.PREFERRED_PORT + 1 if prefer else None)
    if database_port is None:
        database_port = ports.draw(postgres.PREFERRED_PORT if prefer else None)
    login = PostgresServer(LOCALHOST, database_port, postgres.ADMIN, run_folder.secret(postgres.ADMIN))
    kafka_home = run_folder.path / "kafka"

    broker = await kafka.prepare(await find_java(), cache_dir, report)

    async def start_broker() -> None:
        began = time.monotonic()
        listeners = [kafka.KafkaListener.of(service, detour) for service, detour in (detours or {}).items()]
        await supervisor.start(broker.program(kafka_home, broker_port, controller_port, profile, listeners=listeners))
        report(f"broker: local Kafka {kafka.VERSION} on {LOCALHOST}:{broker_port} ({_since(began)})")

    async def start_database() -> None:
        began = time.monotonic()
        server = postgres.place(run_folder.path / "postgres", Account.for_servers(), report)
        await server.initialise(login.password)
        await supervisor.start(server.program(login, profile))
        report(f"database: local PostgreSQL {postgres.VERSION} on {LOCALHOST}:{database_port} ({_since(began)})")

    supervisor = Supervisor(run_folder, report)
    try:
        async with supervisor:
            await together(start_broker(), start_database())
            yield Platform(Way.LOCAL, f"{LOCALHOST}:{broker_port}", login, supervisor.pids)
    finally:
        broker.keep_classes(kafka_home, supervisor.exit_code("kafka"))


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
