"""The whole system: platform, databases, topics, services and demo keys, up for as long as somebody needs it."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from oms_events import registry
from oms_events.runtime.broker import Broker
from oms_local import pages, probes, provision
from oms_local.detour import Detour
from oms_local.errors import LaunchError
from oms_local.platform import acquire
from oms_local.ports import LOCALHOST, Ports
from oms_local.process import Program, run
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder
from oms_local.servers import Platform, PostgresServer, Way
from oms_local.supervisor import READY_TIMEOUT_S, Report, Supervisor
from oms_local.topology import CONSOLE, GATEWAY, SERVICES, Service, draw_urls, roles_of, start_order, workers_of


class NotInstalled(LaunchError):
    """A service's command is missing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run and where its files are."""

    run_dir: Path = Path(".run")
    cache_dir: Path = Path(".cache")
    profile: Profile = Profile.RUN
    way: Way | None = None
    services: tuple[Service, ...] = SERVICES
    partitions: int = 4
    workers: int = 1
    """Processes that consume for each service. With more than one they do nothing else, and the service's own process
    keeps API, relay and deadlines."""
    log_level: str = "INFO"
    log_format: str = "console"
    on_console: bool = True
    """Whether the services' logs go to the console, too."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """More for the environment of every service."""
    detours: Mapping[str, Detour] = field(default_factory=dict)
    """By service: the ways it takes to broker and database, where the caller stands in between."""
    database_port: int | None = None
    """Where the database listens; a free port unless given."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller's name at the gateway and the secret it signs with."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class System:
    """A running system. Names of services are those of the topology."""

    platform: Platform
    urls: Mapping[str, str]
    """Base URL of each service."""
    worker_urls: Mapping[str, str]
    """Where each worker answers for its health and tells its metrics."""
    database_urls: Mapping[str, str]
    """SQLAlchemy URL of each service's database, as the role that owns it."""
    keys: Mapping[str, ApiKey]
    """A demo key for each role of the gateway."""
    users: Mapping[str, str]
    """Names and passwords of those who can sign in to the console, where it runs."""
    _supervisor: Supervisor

    @property
    def gateway_url(self) -> str:
        return self.urls[GATEWAY]

    @property
    def bootstrap(self) -> str:
        return self.platform.bootstrap

    @property
    def broker(self) -> Broker:
        return Broker(self.bootstrap)

    def pids(self) -> dict[str, int]:
        """Present processes by name, broker and database included where they run here. Workers are called
        `<service>-worker-<n>`, from 1."""
        return self.platform.pids() | self._supervisor.pids()

    async def kill(self, service: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """kill -9, or another signal that ends it; wait until it is gone. It is started again; see `until_ready`."""
        await self._supervisor.kill(service, with_signal)

    def change(self, service: str, environment: Mapping[str, str], *, once: bool = False) -> None:
        """Start a service with this environment on top of its own from its next start on, or only at that one."""
        self._supervisor.change(service, environment, once=once)

    def held_down(self, service: str) -> AbstractAsyncContextManager[None]:
        """Stop a service in good order, and start it again only at the end of the block; see `until_ready`."""
        return self._supervisor.held_down(service)

    async def until_ready(self, service: str, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait for a service to answer. Raises TimeoutError."""
        await self._supervisor.until_ready(service, timeout)


@contextlib.asynccontextmanager
async def running_system(options: Options, report: Report = print) -> AsyncIterator[System]:
    """Start everything, in order; stop it in reverse at the end. Raises LaunchError.

    `endpoints.json` in the run folder holds addresses, logins and keys for as long as the system runs.
    """
    folder = RunFolder(options.run_dir)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(folder.held())
        for service in options.services:
            _script(service)  # a command that is missing must be said before a broker is fetched and started
        platform = await stack.enter_async_context(
            acquire(
                options.profile,
                run_dir=options.run_dir,
                cache_dir=options.cache_dir,
                way=options.way,
                report=report,
                detours=options.detours,
                database_port=options.database_port,
            )
        )
        plan = _Plan.draw(options, platform, folder)
        await _provision(plan, report)
        keys = await _demo_keys(plan)
        users = await _demo_users(plan, keys)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=2, trust_env=False))  # never by a proxy
        supervisor = await stack.enter_async_context(Supervisor(folder, report))
        for rank in start_order(options.services):
            began = time.monotonic()
            await supervisor.start(*(program for service in rank for program in plan.programs(service, http)))
            report(f"{', '.join(service.name for service in rank)}: ready ({time.monotonic() - began:.1f} s)")
        system = System(platform, plan.urls, plan.worker_urls, plan.database_urls, keys, users, supervisor)
        stack.enter_context(folder.published(_endpoints(system)))
        yield system


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is settled before a service starts: its address, its login, and from these its environment."""

    options: Options
    platform: Platform
    folder: RunFolder
    urls: Mapping[str, str]
    worker_urls: Mapping[str, str]
    """Where each worker answers for its health."""
    passwords: Mapping[str, str]
    """By database, which is also the name of its owner."""

    @classmethod
    def draw(cls, options: Options, platform: Platform, folder: RunFolder) -> "_Plan":
        ports = Ports()
        urls = draw_urls(options.services, ports, prefer=options.profile.prefers_ports)
        workers = [worker for service in options.services for worker in workers_of(service, options.workers)]
        worker_urls = {worker: f"http://{LOCALHOST}:{ports.draw()}" for worker in workers}
        databases = [service.database for service in options.services if service.has_database]
        return cls(options, platform, folder, urls, worker_urls, {name: folder.secret(name) for name in databases})

    @property
    def database_urls(self) -> dict[str, str]:
        return {
            service.name: self._login(service).sqlalchemy_url(service.database)
            for service in self.options.services
            if service.has_database
        }

    def _login(self, service: Service, detour: Detour | None = None) -> PostgresServer:
        login = self.platform.postgres.login(service.database, self.passwords[service.database])
        return login if detour is None else replace(login, port=detour.database_port)

    @property
    def keys_file(self) -> Path:
        return self.folder.path.absolute() / "keys.json"

    def environment(self, service: Service, worker: str | None = None) -> dict[str, str]:
        """All that tells a service, or one of its workers, where it is and what it may reach."""
        address = urlsplit(self.urls[service.name] if worker is None else self.worker_urls[worker])
        detour = self.options.detours.get(service.name)
        environment = {
            "OMS_KAFKA_BOOTSTRAP": f"{LOCALHOST}:{detour.broker_port}" if detour else self.platform.bootstrap,
            "OMS_POSTGRES_URL": "",  # the administrator's login, where we were given one, is not for services
            "OMS_HTTP_HOST": str(address.hostname),
            "OMS_HTTP_PORT": str(address.port),
            "OMS_ROLES": "consumer" if worker else roles_of(service, self.options.workers),
            "OMS_INSTANCE": worker or f"{service.name}-0",
            "OMS_FILES_URL": self.folder.files.absolute().as_uri(),
            "OMS_LOG_LEVEL": self.options.log_level,
            "OMS_LOG_FORMAT": self.options.log_format,
            **({"OMS_NICE": str(service.nice)} if service.nice else {}),
            **service.settings,
            **self.options.environment,
        }
        if service.has_database:
            environment["OMS_DATABASE_URL"] = self._login(service, detour).sqlalchemy_url(service.database)
        for need in set(service.needs) & set(self.urls):
            environment[f"OMS_{need.upper()}_URL"] = self.urls[need]
        if service.name == GATEWAY:
            environment["OMS_GATEWAY_KEYS_FILE"] = str(self.keys_file)
            environment["OMS_GATEWAY_ROOT_KEY"] = self.folder.secret("gateway-root-key")
        if service.name == CONSOLE:
            environment |= pages.environment(self.folder)
        return environment

    def programs(self, service: Service, http: httpx.AsyncClient) -> list[Program]:
        """The service's own process, and its workers if it has any."""
        addresses: dict[str | None, str] = {None: self.urls[service.name]}
        addresses |= {worker: self.worker_urls[worker] for worker in workers_of(service, self.options.workers)}
        return [
            Program(
                worker or service.name,
                [_script(service), "serve"],
                ready=probes.http_ready(http, f"{url}/readyz"),
                env=self.environment(service, worker),
                on_console=self.options.on_console,
            )
            for worker, url in addresses.items()
        ]


def _script(service: Service) -> str:
    beside_python = Path(sys.executable).parent
    found = shutil.which(service.script, path=f"{beside_python}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise NotInstalled(f"the command {service.script} is not installed in {beside_python}")
    return found


async def _provision(plan: _Plan, report: Report) -> None:
    await provision.create_databases(plan.platform, plan.passwords)
    await provision.create_topics(Broker(plan.platform.bootstrap), registry.topics(), plan.options.partitions, report)
    with_database = [service for service in plan.options.services if service.has_database]
    await provision.migrate({_script(service): plan.environment(service) for service in with_database}, report)


async def _demo_keys(plan: _Plan) -> dict[str, ApiKey]:
    """A key per role, by the gateway's own command: it keeps those that were handed out before."""
    gateway = next((service for service in plan.options.services if service.name == GATEWAY), None)
    if gateway is None:
        return {}
    handed_out = plan.folder.path / "demo-keys.json"
    command = [_script(gateway), "keys", "demo", "--file", str(plan.keys_file), "--to", str(handed_out)]
    await run(command, env=plan.environment(gateway))
    return {role: ApiKey(**key) for role, key in json.loads(handed_out.read_text()).items()}


async def _demo_users(plan: _Plan, keys: Mapping[str, ApiKey]) -> dict[str, str]:
    """Names and passwords for the console, which is told its keys with them."""
    console = next((service for service in plan.options.services if service.name == CONSOLE), None)
    if console is None:
        return {}
    await pages.provide(_script(console), plan.folder, {role: asdict(key) for role, key in keys.items()})
    return {user.name: user.password for user in pages.demo_users(plan.folder)}


def _endpoints(system: System) -> dict[str, object]:
    return {
        "launcher": os.getpid(),
        "platform": system.platform.how,
        "bootstrap": system.bootstrap,
        "postgres": system.platform.postgres.url(),
        "services": dict(system.urls),
        "databases": dict(system.database_urls),
        "keys": {role: asdict(key) for role, key in system.keys.items()},
        "users": dict(system.users),
    }
