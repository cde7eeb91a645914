"""Small services on real servers, as a whole."""

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from oms_local.process import CommandFailed
from oms_local.run_folder import AlreadyRunning, RunFolder
from oms_local.system import NotInstalled, Options, running_system
from oms_local.topology import Service

PYTHON = sys.executable

pytestmark = pytest.mark.integration


@pytest.fixture
def options(tmp_path, platform, small_services, monkeypatch) -> Options:
    """On the servers of this test run, so that only the services have to start."""
    monkeypatch.setenv("OMS_PLATFORM", "addresses")
    monkeypatch.setenv("OMS_KAFKA_BOOTSTRAP", platform.bootstrap)
    monkeypatch.setenv("OMS_POSTGRES_URL", platform.postgres.url())
    return Options(run_dir=tmp_path / "run", services=small_services)


async def environment(url: str) -> dict[str, str]:
    async with httpx.AsyncClient() as http:
        told: dict[str, str] = (await http.get(f"{url}/environment")).json()
    return told


async def test_services_are_up_migrated_and_told_what_they_need(options, said, platform):
    async with running_system(options, said.append) as system:
        alpha = await environment(system.urls["alpha"])
        gateway = await environment(system.gateway_url)
        assert alpha["OMS_INSTANCE"] == "alpha-0"
        assert "OMS_NICE" not in alpha
        beta = await environment(system.urls["beta"])
        assert (beta["OMS_NICE"], beta["OMS_BATCH_WINDOW_MS"]) == ("10", "1000")
        assert alpha["OMS_DATABASE_URL"] == system.database_urls["alpha"]
        assert platform.postgres.password not in json.dumps(alpha | gateway)
        assert gateway["OMS_ALPHA_URL"] == system.urls["alpha"]
        assert "OMS_DATABASE_URL" not in gateway
        assert alpha["OMS_FILES_URL"] == gateway["OMS_FILES_URL"] == (options.run_dir / "files").as_uri()
        assert len(bytes.fromhex(gateway["OMS_GATEWAY_ROOT_KEY"])) == 32
        connection = await asyncpg.connect(system.database_urls["alpha"].replace("+asyncpg", ""))
        assert await connection.fetchval("select to_regclass('migrated')") == "migrated"
        await connection.close()
        pids = system.pids()
        assert set(pids) == {"alpha", "beta", "gateway"}
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_a_killed_service_comes_back(options, said):
    async with running_system(options, said.append) as system:
        before = system.pids()["alpha"]
        await system.kill("alpha")
        await system.until_ready("alpha")
        assert system.pids()["alpha"] != before
        assert (await environment(system.urls["alpha"]))["OMS_INSTANCE"] == "alpha-0"


async def test_workers_consume_and_the_service_does_the_rest(options, said):
    options = replace(options, workers=2)
    async with running_system(options, said.append) as system:
        workers = {f"{name}-worker-{number}" for name in ("alpha", "beta") for number in (1, 2)}
        assert set(system.pids()) == {"alpha", "beta", "gateway"} | workers
        own = await environment(system.urls["alpha"])
        assert (own["OMS_ROLES"], own["OMS_INSTANCE"]) == ("api,relay,deadlines", "alpha-0")
        told = [await environment(system.worker_urls[f"alpha-worker-{number}"]) for number in (1, 2)]
        assert [worker["OMS_INSTANCE"] for worker in told] == ["alpha-worker-1", "alpha-worker-2"]
        assert {worker["OMS_ROLES"] for worker in told} == {"consumer"}
        assert {worker["OMS_DATABASE_URL"] for worker in told} == {own["OMS_DATABASE_URL"]}
        assert len({*system.urls.values(), *system.worker_urls.values()}) == 3 + len(workers)
        before = system.pids()["alpha-worker-2"]
        await system.kill("alpha-worker-2")
        await system.until_ready("alpha-worker-2")
        assert system.pids()["alpha-worker-2"] != before


async def test_endpoints_are_private_and_gone_afterwards(options, said):
    path = RunFolder(options.run_dir).endpoints
    async with running_system(options, said.append) as system:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        endpoints = json.loads(path.read_text())
        assert endpoints["services"] == system.urls
        assert endpoints["keys"]["warehouse"]["secret"] == system.keys["warehouse"].secret
    assert not path.exists()


async def test_demo_keys_are_the_gateways_and_stay_when_it_starts_again(options, said):
    async with running_system(options, said.append) as system:
        first = dict(system.keys)
    async with running_system(options, said.append) as system:
        assert system.keys == first
    handed_out = json.loads((options.run_dir / "demo-keys.json").read_text())
    assert {role: (key.key, key.secret) for role, key in first.items()} == {
        role: (key["key"], key["secret"]) for role, key in handed_out.items()
    }
    assert (options.run_dir / "keys.json").read_text().split() == ["demo", "demo"]


async def test_a_service_that_is_not_installed_is_said_before_anything_starts(options, said):
    missing = Options(run_dir=options.run_dir, services=(Service("absent", 8099),))
    with pytest.raises(NotInstalled, match="oms-absent"):
        async with running_system(missing, said.append):
            pass
    assert said == []


async def test_a_failed_migration_stops_the_start_with_its_reason(options, said):
    command = Path(sys.executable).parent / "oms-beta"
    command.write_text("#!/bin/sh\necho column tariff does not exist >&2; exit 1\n")
    with pytest.raises(CommandFailed, match=r"(?s)oms-beta ended with code 1.*column tariff does not exist"):
        async with running_system(options, said.append):
            pass
    assert RunFolder(options.run_dir).holder() is None


async def test_two_systems_do_not_share_a_run_folder(options, said):
    with RunFolder(options.run_dir).held(), pytest.raises(AlreadyRunning):
        async with running_system(options, said.append):
            pass


class TestCommands:
    """The launcher as a process of its own; broker and database are those of the test run."""

    @pytest.fixture
    def launch(self, tmp_path, platform):
        environment = os.environ | {
            "OMS_PLATFORM": "addresses",
            "OMS_KAFKA_BOOTSTRAP": platform.bootstrap,
            "OMS_POSTGRES_URL": platform.postgres.url(),
        }

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [PYTHON, "-m", "oms_local", "--run-dir", str(tmp_path / "run"), *arguments]
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )

        return start

    @pytest.fixture
    def running(self, launch):
        """`oms-local platform`, once it serves."""
        launcher = launch("platform")
        for line in launcher.stdout:
            if "Ctrl-C" in line:
                break
        yield launcher
        launcher.kill()
        launcher.wait()

    @pytest.mark.parametrize("command", ["up", "platform"])
    def test_a_second_launcher_says_one_line_and_exits_3(self, running, launch, command):
        second = launch(command)
        printed, _ = second.communicate(timeout=20)
        assert second.returncode == 3
        assert printed.count("\n") == 1
        assert str(running.pid) in printed

    def test_down_stops_it_and_returns_when_it_has_stopped(self, running, launch):
        down = launch("down")
        assert down.wait(timeout=20) == 0
        assert running.wait(timeout=1) == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_stops_it_cleanly(self, running, number):
        running.send_signal(number)
        assert running.wait(timeout=20) == 0
        assert "stopped" in running.stdout.read()

    def test_status_tells_running_from_not_running(self, running, launch):
        assert launch("status").wait(timeout=20) == 0
        running.kill()
        running.wait()
        status = launch("status")
        assert status.wait(timeout=20) == 3
        assert "nothing runs" in status.stdout.read()

    def test_clean_stops_it_and_leaves_nothing(self, running, launch, folder):
        assert launch("clean").wait(timeout=20) == 0
        assert running.wait(timeout=1) == 0
        assert not folder.path.exists()

    def test_wrong_usage_exits_2(self, launch):
        assert launch("upp").wait(timeout=20) == 2


LAUNCHER = """
import asyncio, sys
from pathlib import Path
from oms_local.profile import Profile
from oms_local.servers import Way
from oms_local.system import Options, running_system
from oms_local.topology import Service

run_dir, cache_dir, python_beside_commands = sys.argv[1:]
sys.executable = python_beside_commands

async def main():
    options = Options(
        run_dir=Path(run_dir), cache_dir=Path(cache_dir), profile=Profile.TEST, way=Way.LOCAL,
        services=(Service("alpha", 8081), Service("beta", 8082)),
    )
    async with running_system(options, lambda line: None) as system:
        print("pids", *system.pids().values(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_launcher_leaves_no_orphan(small_services, tmp_path, pytestconfig):
    """Broker, database and services, ended by kill -9 of their launcher alone."""
    places = [str(tmp_path / "run"), str(pytestconfig.rootpath / ".cache"), sys.executable]
    launcher = subprocess.Popen([PYTHON, "-c", LAUNCHER, *places], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pids = next(line for line in launcher.stdout if line.startswith("pids")).split()[1:]
    family = [psutil.Process(int(pid)) for pid in pids]
    family += [child for process in family for child in process.children()]
    assert len(family) > 4  # kafka, postgres with processes of its own, alpha, beta
    launcher.kill()
    launcher.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
