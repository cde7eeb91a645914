"""The command line of a service: its own commands beside those of all, and a process that steps back."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_events.runtime import cli, rebuild
from oms_events.runtime.cli import Command
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.replay_cli import REFUSED
from oms_events.runtime.service import Service

grouped_by_session = pytest.mark.skipif(
    not cli.AUTOGROUP.exists(), reason="this kernel does not group processes by session"
)

STEPS_BACK = """
import asyncio, os, pathlib, sys
from oms_events.runtime import cli
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings

async def serve(runtime):
    print(os.nice(0))
    print(cli.AUTOGROUP.read_text() if cli.AUTOGROUP.is_file() else "")

cli.AUTOGROUP = pathlib.Path(sys.argv[1])
cli.serve = serve
asyncio.run(cli._serve(Service("small"), Settings()))
"""


async def count(runtime: Runtime, arguments: argparse.Namespace) -> int:
    print(runtime.service.name, arguments.to)
    return 3


async def refuse(runtime: Runtime, arguments: argparse.Namespace) -> int:
    raise rebuild.NotRebuildable("not today")


COUNT = Command("count", "counts", count, lambda parser: parser.add_argument("--to", type=int))


def run(*words: str, commands: tuple[Command, ...]) -> object:
    main: Callable[..., None] = cli.main_for(Service("small"), migrations_folder=Path(), commands=commands)
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def test_a_service_has_commands_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("count", "--to", "7", commands=(COUNT,)) == 3
    assert capsys.readouterr().out == "small 7\n"


def test_a_refusal_is_said_and_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rebuild", commands=(Command("rebuild", "again", refuse),)) == REFUSED
    assert capsys.readouterr().err == "oms-small: not today\n"


@pytest.mark.parametrize("nice", [0, 7])
def test_a_process_steps_back_as_far_as_it_is_told(nice: int) -> None:
    assert int(stepped_back(nice, leads=False)[0]) == os.nice(0) + nice


@grouped_by_session
def test_its_whole_session_does_where_that_is_its_own() -> None:
    assert stepped_back(7, leads=True)[1].endswith(" nice 7")


@grouped_by_session
def test_the_session_of_others_stays_as_it_is() -> None:
    assert stepped_back(7, leads=False)[1] == cli.AUTOGROUP.read_text().strip()


def test_who_may_not_step_back_serves_all_the_same(tmp_path: Path) -> None:
    warning, nice, _ = stepped_back(7, leads=True, autogroup=tmp_path)
    assert "the session does not step back" in warning
    assert int(nice) == os.nice(0) + 7


def stepped_back(nice: int, *, leads: bool, autogroup: Path = cli.AUTOGROUP) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", STEPS_BACK, str(autogroup)],
        env=os.environ | {"OMS_NICE": str(nice)},
        start_new_session=leads,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()
