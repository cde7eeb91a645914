"""The whole system in containers: `docker compose up`, an order book, a service killed under it, everything taken down
and up again with its data. Runs where a Docker daemon has the images that ours are built from."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from docker.errors import DockerException, ImageNotFound

from oms_events.signing import SignedAuth
from oms_local.containers import KAFKA_IMAGE, POSTGRES_IMAGE
from oms_local.ports import LOCALHOST, Ports
from oms_local.topology import SERVICES

from .compose import FOLDER, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

BASE_IMAGE = os.environ.get("OMS_PYTHON_IMAGE", "python:3.14-slim")
TAG = "test"
OWN = {service.name: f"oms/{service.name}:{TAG}" for service in SERVICES}


def obstacle() -> str | None:
    """Why this cannot run here; None when it can."""
    try:
        client = docker.from_env(timeout=20)
        for image in (BASE_IMAGE, POSTGRES_IMAGE, KAFKA_IMAGE):
            client.images.get(image)
    except ImageNotFound as missing:
        return f"the Docker daemon lacks an image: {missing.explanation}"
    except DockerException:
        return "no Docker daemon answers"
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return None if plugin.returncode == 0 else "docker has no compose plugin"


@dataclass(frozen=True)
class Stack:
    """A compose project of its own, in a folder of its own."""

    folder: Path
    project: str
    environment: Mapping[str, str]
    gateway_url: str

    def compose(self, *words: str) -> str:
        """Run docker compose; what it printed."""
        command = ["docker", "compose", "--project-name", self.project, "--profile", "sample", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def up(self) -> float:
        """Start what is not running; seconds until everything was ready."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "300", *OWN)
        return time.monotonic() - began

    def play(self, *options: str) -> "subprocess.Popen[str]":
        """Start the sample's player. It ends with 0 only when every invariant holds."""
        command = ["docker", "compose", "-p", self.project, "--profile", "sample", "run", "--rm", "-T", "--no-deps"]
        return subprocess.Popen(
            [*command, "sample", *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inside(self, service: str, program: str) -> str:
        """Run Python in a service's container."""
        return self.compose("exec", "-T", service, "python", "-c", program)

    def summary(self) -> Any:
        """What inventory says of all its stock, asked through the gateway as an operator."""
        keys = json.loads(self.inside("gateway", "print(open('/var/lib/oms/keys/demo.json').read())"))
        with httpx.Client(auth=SignedAuth(**keys["operator"]), trust_env=False, timeout=30) as http:
            answer = http.get(f"{self.gateway_url}/v1/services/inventory/summary")
        return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def images() -> None:
    if reason := obstacle():
        pytest.skip(reason)
    built = subprocess.run(["make", "images", f"TAG={TAG}"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    sources = tmp_path_factory.mktemp("sources")
    folder = shutil.copytree(FOLDER, sources / "deploy" / "compose", ignore=shutil.ignore_patterns("secrets", ".env"))
    (sources / "services").symlink_to(ROOT / "services")
    subprocess.run([folder / "make-secrets"], check=True)
    port = Ports().draw()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    environment = plain | {"OMS_TAG": TAG, "OMS_GATEWAY_PORT": str(port), "OMS_CONSOLE_PORT": str(Ports().draw())}
    stack = Stack(folder, f"oms-test-{secrets.token_hex(3)}", environment, f"http://{LOCALHOST}:{port}")
    try:
        print(f"ready after {stack.up():.1f} s")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "30")


def test_an_order_book_survives_a_killed_service_and_all_survives_a_restart(stack: Stack) -> None:
    player = stack.play("--limit", "60", "--rate", "6")
    time.sleep(10)  # orders are on their way
    assert player.poll() is None, player.stdout and player.stdout.read()
    stack.compose("kill", "orders", "inventory")
    stack.up()
    said, _ = player.communicate(timeout=600)
    assert player.returncode == 0, said[-4000:]
    before = stack.summary()

    stack.compose("down", "--timeout", "30")
    print(f"ready again after {stack.up():.1f} s")
    assert stack.summary() == before
    assert any(before.values())


def test_a_service_cannot_open_the_database_of_another(stack: Stack) -> None:
    program = """
import asyncio, asyncpg, os
url = os.environ["OMS_DATABASE_URL"].replace("+asyncpg", "")
async def tries(database):
    try:
        await (await asyncpg.connect(url.rpartition("/")[0] + "/" + database)).close()
    except asyncpg.InsufficientPrivilegeError:
        return "refused"
    return "let in"
print(*(asyncio.run(tries(name)) for name in ("oms_orders", "oms_inventory", "postgres")))
"""
    assert stack.inside("orders", program).split("\n")[0] == "let in refused refused"


def test_the_root_of_a_service_cannot_be_written(stack: Stack) -> None:
    program = "import pathlib\ntry: pathlib.Path('/app/x').touch()\nexcept OSError as error: print(error.strerror)"
    assert "Read-only file system" in stack.inside("orders", program)


@pytest.mark.parametrize("service", OWN)
def test_an_image_needs_neither_root_nor_a_shell(images: None, service: str) -> None:
    config = docker.from_env().images.get(OWN[service]).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"], config["StopSignal"]) == (["oms"], ["serve"], "SIGTERM")
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "oms_events.runtime.probe"]
    assert config["Labels"]["org.opencontainers.image.title"] == f"oms/{service}"
    assert config["Labels"]["org.opencontainers.image.version"] == TAG


def test_images_share_all_but_their_own_few_files(images: None) -> None:
    layers = [docker.from_env().images.get(tag).attrs["RootFS"]["Layers"] for tag in OWN.values()]
    assert {len(own) for own in layers} == {len(layers[0])}
    assert len({tuple(own[:-1]) for own in layers}) == 1
    assert len({own[-1] for own in layers}) == len(OWN)


def test_an_image_holds_nothing_for_tests(images: None) -> None:
    program = "import importlib.util as u; print([n for n in ('pytest', 'mypy', 'pip', 'httpx') if u.find_spec(n)])"
    said = docker.from_env().containers.run(OWN["gateway"], ["-c", program], entrypoint="python", remove=True)
    assert said.decode().strip() == "['httpx']"
