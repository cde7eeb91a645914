import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oms_local import supervisor as supervisor_module
from oms_local.probes import until
from oms_local.process import Program
from oms_local.supervisor import StartFailed, Supervisor

# Becomes ready by making a file; notes its stop in another, which all share.
CHILD = """
import pathlib, signal, sys
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])

def stop(*_):
    with (folder / "stopped").open("a") as stopped:
        stopped.write(name + " ")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
(folder / name).touch()
print("hello from", name, flush=True)
while True:
    signal.pause()
"""

Make = Callable[..., Program]


@pytest.fixture
def child(tmp_path: Path) -> Make:
    def make(name: str, code: str = CHILD) -> Program:
        async def ready() -> bool:
            return (tmp_path / name).exists()

        return Program(name, [sys.executable, "-c", code, name, str(tmp_path)], ready=ready)

    return make


async def test_children_stop_in_the_reverse_of_their_start(folder, said, child, tmp_path):
    async with Supervisor(folder, said.append) as supervisor:
        for name in ("first", "second", "third"):
            await supervisor.start(child(name))
        assert set(supervisor.pids()) == {"first", "second", "third"}
    assert (tmp_path / "stopped").read_text().split() == ["third", "second", "first"]
    assert supervisor.pids() == {}
    assert folder.present_pids() == {}


async def test_a_killed_child_is_started_again_and_that_is_said(folder, said, child):
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("one"))
        before = supervisor.pids()["one"]
        await supervisor.kill("one")
        assert "one" not in supervisor.pids()
        await supervisor.until_ready("one", timeout=10)
        after = supervisor.pids()["one"]
        assert after != before
        assert folder.present_pids() == {"one": after}
    assert said[0].startswith("one was ended by SIGKILL; starting it again in ")


def environment_of(pid: int, name: str) -> str | None:
    return psutil.Process(pid).environ().get(name)


async def test_a_changed_environment_holds_for_every_later_start_or_for_one(folder, said, child):
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("one"))
        supervisor.change("one", {"STAYS": "a"})
        supervisor.change("one", {"PASSES": "b"}, once=True)
        assert environment_of(supervisor.pids()["one"], "STAYS") is None
        seen = []
        for _ in range(2):
            await supervisor.kill("one")
            await supervisor.until_ready("one", timeout=10)
            pid = supervisor.pids()["one"]
            seen.append((environment_of(pid, "STAYS"), environment_of(pid, "PASSES")))
    assert seen == [("a", "b"), ("a", None)]


async def test_a_child_held_down_stays_away_until_the_end_of_the_block(folder, said, child, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor_module, "FIRST_DELAY_S", 0.01)
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("one"))

        async def would_start() -> bool:
            return bool(said)

        async with supervisor.held_down("one"):
            assert (tmp_path / "stopped").read_text().split() == ["one"]
            await until(would_start, timeout=10)
            await asyncio.sleep(0.1)
            assert supervisor.pids() == {}
        await supervisor.until_ready("one", timeout=10)
        assert set(supervisor.pids()) == {"one"}


async def test_a_child_that_dies_again_waits_longer(folder, said, child, tmp_path):
    dies_second_time = CHILD.replace(
        "(folder / name).touch()", "assert not (folder / name).exists()\n(folder / name).touch()"
    )
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("one", dies_second_time))
        await supervisor.kill("one")

        async def died_three_times() -> bool:
            return sum("starting it again" in line for line in said) == 3

        await until(died_three_times, timeout=20)
    delays = [float(line.rsplit(" ", 2)[1]) for line in said if "starting it again" in line]
    assert delays == sorted(set(delays))


async def test_a_child_that_ends_at_its_start_shows_the_end_of_its_log(folder, said, child):
    async with Supervisor(folder, said.append) as supervisor:
        with pytest.raises(StartFailed, match=r"(?s)one ended with code 1; .*no tariff for zone 7"):
            await supervisor.start(child("one", "raise SystemExit('no tariff for zone 7')"))


async def test_a_failed_start_leaves_nothing_running(folder, said, child):
    async def start_both() -> None:
        async with Supervisor(folder, said.append) as supervisor:
            await supervisor.start(child("good"))
            started.append(psutil.Process(supervisor.pids()["good"]))
            await supervisor.start(child("bad", "raise SystemExit(1)"))

    started: list[psutil.Process] = []
    with pytest.raises(StartFailed):
        await start_both()
    assert not started[0].is_running()


async def test_a_child_that_does_not_stop_is_killed_and_that_is_said(folder, said, child, monkeypatch):
    monkeypatch.setattr(supervisor_module, "STOP_GRACE_S", 0.2)
    deaf = CHILD.replace("signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("deaf", deaf))
    assert said == ["deaf did not stop within 0.2 s and is killed"]
    assert supervisor.exit_code("deaf") == -signal.SIGKILL


async def test_output_goes_to_the_log_and_with_its_name_to_the_console(folder, said, child, capfd):
    async with Supervisor(folder, said.append) as supervisor:
        await supervisor.start(child("one"))
        await supervisor.start(child("two"))
    assert (folder.logs / "one.log").read_text() == "hello from one\n"
    assert "one | hello from one" in capfd.readouterr().out


async def test_the_log_of_the_run_before_is_kept_once(folder, said, child):
    for _ in range(2):
        async with Supervisor(folder, said.append) as supervisor:
            await supervisor.start(child("one"))
    assert sorted(path.name for path in folder.logs.iterdir()) == ["one.log", "one.log.1"]
