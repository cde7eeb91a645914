"""Real containers, where a Docker daemon answers."""

import asyncio
import sys

import docker
import pytest

from oms_local import containers
from oms_local.ports import Ports
from oms_local.profile import Profile

pytestmark = pytest.mark.integration

LAUNCHER = """
import asyncio
from oms_local.platform import acquire
from oms_local.profile import Profile
from oms_local.servers import Way

async def main():
    async with acquire(Profile.TEST, way=Way.DOCKER, report=lambda line: None):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_nobody_answering_is_an_obstacle(monkeypatch, said):
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{Ports().draw()}")
    assert await containers.obstacle(said.append) == "no Docker daemon answers"


class TestWithDaemon:
    @pytest.fixture(autouse=True)
    async def client(self, said):
        if obstacle := await containers.obstacle(said.append):
            pytest.skip(obstacle)
        return docker.from_env()

    async def test_an_image_that_cannot_be_pulled_is_an_obstacle_with_its_reason(self, monkeypatch, said):
        monkeypatch.setattr(containers, "POSTGRES_IMAGE", "127.0.0.1:9/oms-absent:1")
        obstacle = await containers.obstacle(said.append)
        assert obstacle is not None
        assert obstacle.startswith("the image 127.0.0.1:9/oms-absent:1 cannot be pulled: ")
        assert said == ["platform: pulling 127.0.0.1:9/oms-absent:1"]

    async def test_what_a_killed_launcher_left_is_removed_by_the_next_start(self, client, folder, said):
        others = ours(client)  # of this run, or of another one
        launcher = await asyncio.create_subprocess_exec(sys.executable, "-c", LAUNCHER, stdout=asyncio.subprocess.PIPE)
        assert launcher.stdout is not None
        assert await launcher.stdout.readline() == b"up\n"
        launcher.kill()
        await launcher.wait()
        left = ours(client) - others
        assert len(left) == 2
        async with containers.container_platform(Profile.TEST, folder, said.append) as platform:
            assert not left & ours(client)
            assert all(pid > 0 for pid in platform.pids().values())


def ours(client: docker.DockerClient) -> set[str]:
    return {container.id for container in client.containers.list(all=True, filters={"label": "oms.local.owner"})}
