"""Broker and database as Docker containers, published on 127.0.0.1 only."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import docker
import psutil
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer, Mount

from oms_local import kafka, postgres, probes
from oms_local.ports import LOCALHOST, Ports
from oms_local.process import last_lines, together
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder, room_in_memory
from oms_local.servers import Platform, PostgresServer, Way
from oms_local.supervisor import READY_TIMEOUT_S, Report, StartFailed

KAFKA_IMAGE = f"apache/kafka:{kafka.VERSION}"
POSTGRES_IMAGE = "postgres:18"

# Its reaper is one more image to pull. Ours are labelled with the process that owns them, and removed with it.
testcontainers_config.ryuk_disabled = True

_ANSWER_TIMEOUT_S = 20
"""For one answer of the daemon. A pull answers at every step: a slow line passes, a dead one fails."""
_OWNER = "oms.local.owner"
"""Label of a container: the process that started it. Where that is dead the container is a leftover."""
_RUN_FOLDER = "oms.local.run-folder"
"""Label of a volume: the run folder whose data it keeps."""


async def obstacle(report: Report) -> str | None:
    """Why containers cannot be had; None when they can. Pulls the images that are missing."""
    return await asyncio.to_thread(_obstacle, report)


def _obstacle(report: Report) -> str | None:
    try:
        client = docker.from_env(timeout=_ANSWER_TIMEOUT_S)
    except DockerException:
        return "no Docker daemon answers"
    if not client.api.base_url.startswith("http+docker://"):
        return "the Docker daemon is on another machine"
    for image in (KAFKA_IMAGE, POSTGRES_IMAGE):
        try:
            client.images.get(image)
        except ImageNotFound:
            report(f"platform: pulling {image}")
            try:
                client.images.pull(image)
            except (DockerException, RequestException) as failure:
                return f"the image {image} cannot be pulled: {str(failure).splitlines()[0]}"
    return None


@dataclass(frozen=True, slots=True)
class _Server:
    """What a container runs, where it is published, and which of its folders holds the data."""

    name: str
    image: str
    port: int
    published: int
    data: str
    ready: probes.Probe
    environment: dict[str, str]
    command: list[str] | None = None
    owner: int = 0
    """Of the folder of data, as the image's first process finds it."""


@contextlib.asynccontextmanager
async def container_platform(profile: Profile, run_folder: RunFolder, report: Report) -> AsyncIterator[Platform]:
    """Both servers as containers, removed at the end. Under RUN their data stay in volumes; those of TEST are in memory
    where there is room."""
    client = await asyncio.to_thread(docker.from_env, timeout=_ANSWER_TIMEOUT_S)
    await asyncio.to_thread(_remove_leftovers, client)
    ports = Ports()
    keeps = profile.keeps
    broker = _kafka(ports.draw(kafka.PREFERRED_PORT if profile.prefers_ports else None), profile)
    postgres_port = ports.draw(postgres.PREFERRED_PORT if profile.prefers_ports else None)
    login = PostgresServer(LOCALHOST, postgres_port, postgres.ADMIN, run_folder.secret(postgres.ADMIN))
    containers: dict[str, Container] = {}

    async def start(server: _Server) -> None:
        began = time.monotonic()
        containers[server.name] = await asyncio.to_thread(_run, client, server, run_folder if keeps else None)
        await _until_ready(server, containers[server.name])
        report(f"container: {server.image} on {LOCALHOST}:{server.published} ({time.monotonic() - began:.1f} s)")

    def pids() -> dict[str, int]:
        return {name: _pid(container) for name, container in containers.items()}

    try:
        await together(start(broker), start(_postgres(login, profile)))
        yield Platform(Way.DOCKER, f"{LOCALHOST}:{broker.published}", login, pids)
    finally:
        await together(*(asyncio.to_thread(_remove, container) for container in containers.values()))


def remove_data(run_folder: RunFolder) -> None:
    """Delete leftover containers and the volumes of this run folder, where a Docker daemon answers."""
    try:
        client = docker.from_env(timeout=_ANSWER_TIMEOUT_S)
    except DockerException:
        return
    _remove_leftovers(client)
    for volume in client.volumes.list(filters={"label": f"{_RUN_FOLDER}={run_folder.path.resolve()}"}):
        volume.remove()


def _kafka(port: int, profile: Profile) -> _Server:
    published = f"{LOCALHOST}:{port}"
    data = "/var/lib/kafka/data"
    settings = kafka.broker_settings(":9092", "localhost:9093", advertised=published, data=data)
    environment = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
    environment["KAFKA_HEAP_OPTS"] = " ".join(kafka.HEAP[profile])
    environment["KAFKA_JVM_PERFORMANCE_OPTS"] = " ".join(kafka.JVM)
    return _Server("kafka", KAFKA_IMAGE, 9092, port, data, probes.kafka_answers(published), environment, owner=1000)


def _postgres(login: PostgresServer, profile: Profile) -> _Server:
    environment = {"POSTGRES_USER": login.user, "POSTGRES_PASSWORD": login.password, "POSTGRES_DB": "postgres"}
    options = [word for name, value in postgres.SETTINGS[profile].items() for word in ("-c", f"{name}={value}")]
    return _Server(
        "postgres",
        POSTGRES_IMAGE,
        5432,
        login.port,
        "/var/lib/postgresql",
        probes.postgres_answers(login),
        environment,
        ["postgres", *options],
    )


def _run(client: docker.DockerClient, server: _Server, run_folder: RunFolder | None) -> Container:
    volumes: dict[str, Mount] = {}
    if run_folder is not None:
        # Named by the folder's secret: data whose passwords went with a deleted folder are not picked up again.
        name = f"oms-local-{server.name}-{run_folder.secret('volumes')[:8]}"
        client.volumes.create(name, labels={_RUN_FOLDER: str(run_folder.path.resolve())})
        volumes[name] = {"bind": server.data, "mode": "rw"}
    container = DockerContainer(server.image, env=server.environment, labels={_OWNER: _this_process()})
    # Set here and not by `with_bind_ports`, which would publish on every address of the machine.
    container.ports = cast("Any", {f"{server.port}/tcp": (LOCALHOST, server.published)})
    container.volumes = volumes
    if not volumes and room_in_memory():
        container.tmpfs = {server.data: f"uid={server.owner}"}
    if server.command is not None:
        container.with_command(server.command)
    return container.start().get_wrapped_container()


async def _until_ready(server: _Server, container: Container) -> None:
    async def ready_or_dead() -> bool:
        return await server.ready() or not await asyncio.to_thread(_is_running, container)

    try:
        await probes.until(ready_or_dead, READY_TIMEOUT_S)
    except TimeoutError:
        pass
    else:
        if _is_running(container):
            return
    end = last_lines(container.logs(tail=15).decode(errors="replace"))
    raise StartFailed(f"the container of {server.image} did not become ready; the end of its log:\n{end}")


def _is_running(container: Container) -> bool:
    container.reload()
    return bool(container.status in ("created", "running"))


def _pid(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def _remove(container: Container) -> None:
    container.stop(timeout=10)
    container.remove(v=True)  # with its unnamed volumes; a named one stays


def _this_process() -> str:
    return f"{os.getpid()}@{psutil.Process().create_time()}"


def _remove_leftovers(client: docker.DockerClient) -> None:
    for container in client.containers.list(all=True, filters={"label": _OWNER}):
        pid, _, born = container.labels[_OWNER].partition("@")
        if not psutil.pid_exists(int(pid)) or str(psutil.Process(int(pid)).create_time()) != born:
            container.remove(v=True, force=True)
