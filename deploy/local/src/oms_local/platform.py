"""Gets a broker and a database server, one way or another, and says which way and why."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from oms_local import containers, local, probes
from oms_local.detour import Detour
from oms_local.errors import LaunchError
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder, throw_away_folder
from oms_local.servers import Platform, PostgresServer, Way
from oms_local.supervisor import Report

KAFKA_BOOTSTRAP = "OMS_KAFKA_BOOTSTRAP"
POSTGRES_URL = "OMS_POSTGRES_URL"

_ADDRESS_TIMEOUT_S = 10.0


class PlatformUnavailable(LaunchError):
    """There is no broker and database to be had this way. The message says why in one line."""


@contextlib.asynccontextmanager
async def acquire(
    profile: Profile,
    *,
    run_dir: Path = Path(".run"),
    cache_dir: Path = Path(".cache"),
    way: Way | None = None,
    report: Report = print,
    detours: Mapping[str, Detour] | None = None,
    database_port: int | None = None,
) -> AsyncIterator[Platform]:
    """A running broker and database; what this started is stopped at the end.

    Without a `way`, OMS_PLATFORM decides, else the first that can be had of: addresses given by OMS_KAFKA_BOOTSTRAP
    and OMS_POSTGRES_URL, Docker containers, local processes. RUN keeps its data in `run_dir`; those of TEST are thrown
    away at the end, and in memory where there is room. `detours` and a `database_port` of the caller's are for local
    processes only.
    Raises LaunchError.
    """
    way, why = await choose(way or asked_way(os.environ), os.environ, lambda: containers.obstacle(report))
    report(f"platform: {way} ({why})")
    if way is not Way.LOCAL and (detours or database_port):
        raise PlatformUnavailable("detours lead to local processes only: set OMS_PLATFORM=local")
    async with contextlib.AsyncExitStack() as stack:
        folder = RunFolder(run_dir) if profile.keeps else stack.enter_context(throw_away_folder(in_memory=True))
        match way:
            case Way.ADDRESSES:
                platform = await _given_platform(os.environ)
            case Way.DOCKER:
                platform = await stack.enter_async_context(containers.container_platform(profile, folder, report))
            case Way.LOCAL:
                platform = await stack.enter_async_context(
                    local.local_platform(
                        profile, folder, cache_dir, report, detours=detours, database_port=database_port
                    )
                )
        yield platform


def asked_way(environ: Mapping[str, str]) -> Way | None:
    """What OMS_PLATFORM asks for; None leaves the choice to us. Raises PlatformUnavailable for an unknown word."""
    asked = environ.get("OMS_PLATFORM", "auto")
    if asked == "auto":
        return None
    try:
        return Way(asked)
    except ValueError:
        raise PlatformUnavailable(f"OMS_PLATFORM is {asked!r}; it may be auto, {', '.join(Way)}") from None


async def choose(
    asked: Way | None, environ: Mapping[str, str], docker_obstacle: Callable[[], Awaitable[str | None]]
) -> tuple[Way, str]:
    """The way to take, and why. Raises PlatformUnavailable when the way asked for is barred."""
    missing = [name for name in (KAFKA_BOOTSTRAP, POSTGRES_URL) if not environ.get(name)]
    if asked is Way.ADDRESSES or (asked is None and len(missing) < 2):
        if missing:
            raise PlatformUnavailable(f"{' and '.join(missing)} must be set to use servers by their addresses")
        return Way.ADDRESSES, f"{KAFKA_BOOTSTRAP} and {POSTGRES_URL} are set"
    if asked is Way.LOCAL:
        return Way.LOCAL, "asked for"
    obstacle = await docker_obstacle()
    if obstacle is None:
        return Way.DOCKER, "asked for" if asked else "a Docker daemon answers and has the images"
    if asked is Way.DOCKER:
        raise PlatformUnavailable(obstacle)
    return Way.LOCAL, obstacle


async def _given_platform(environ: Mapping[str, str]) -> Platform:
    bootstrap = environ[KAFKA_BOOTSTRAP]
    try:
        server = PostgresServer.parse(environ[POSTGRES_URL])
    except ValueError as error:
        raise PlatformUnavailable(str(error)) from None
    try:
        await probes.until(probes.kafka_answers(bootstrap), _ADDRESS_TIMEOUT_S)
    except TimeoutError:
        raise PlatformUnavailable(f"no Kafka broker answers at {bootstrap} ({KAFKA_BOOTSTRAP})") from None
    try:
        await probes.until(probes.postgres_answers(server), _ADDRESS_TIMEOUT_S)
    except TimeoutError:
        raise PlatformUnavailable(f"no PostgreSQL answers at {server.host}:{server.port} ({POSTGRES_URL})") from None
    return Platform(Way.ADDRESSES, bootstrap, server)
