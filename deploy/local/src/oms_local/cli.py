"""The launcher's commands."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from oms_local import containers
from oms_local.errors import LaunchError
from oms_local.platform import acquire
from oms_local.probes import http_ready
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder
from oms_local.servers import Way
from oms_local.signals import until_told_to_stop
from oms_local.system import Options, running_system

NOT_RUNNING = 3
_DOWN_TIMEOUT_S = 60.0

_EXIT_CODES = """\
exit codes:
  0  done (up, platform: stopped when told to)
  1  failed; the reason is on standard error. status: a service is not ready
  2  wrong usage
  3  up, platform: another launcher runs in this run folder. status: none runs
"""

_console = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `oms-local`; returns the exit code."""
    asked = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = asked.command
    try:
        return command(asked)
    except LaunchError as error:
        print(f"oms-local: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oms-local",
        description="Run the whole OMS as local processes.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="data, logs and keys (default: .run)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"), help="the broker's jars (default: .cache)")
    commands = parser.add_subparsers(title="commands", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        return sub

    up = add("up", _up, "start broker, database and all services; serve until Ctrl-C or down")
    platform = add("platform", _platform, "start broker and database only; serve until Ctrl-C or down")
    for sub in (up, platform):
        sub.add_argument(
            "--platform",
            type=Way,
            choices=list(Way),
            help="where broker and database come from (default: OMS_PLATFORM, else the first that can be had)",
        )
    up.add_argument("--partitions", type=int, default=4, help="partitions of a new topic (default: 4)")
    up.add_argument("--workers", type=int, default=1, help="processes that consume for each service (default: 1)")
    up.add_argument("--log-level", default="INFO", help="of the services (default: INFO)")
    add("down", _down, "stop the launcher that runs in the run folder, and with it all it started")
    add("status", _status, "show what runs")
    add("clean", _clean, "stop what runs, delete the run folder and all data; the broker's jars stay in the cache")
    return parser


def _say(message: str) -> None:
    _console.print(f"[bold]{'oms':>10} |[/bold] ", end="")
    _console.print(message, markup=False)


def _up(asked: argparse.Namespace) -> int:
    options = Options(
        run_dir=asked.run_dir,
        cache_dir=asked.cache_dir,
        way=asked.platform,
        partitions=asked.partitions,
        workers=asked.workers,
        log_level=asked.log_level,
    )

    async def serve() -> None:
        async with running_system(options, _say) as system:
            for name, url in system.urls.items():
                _say(f"{name}: {url}")
            _say(f"ready; keys and addresses are in {asked.run_dir / 'endpoints.json'}; Ctrl-C stops all")
            await asyncio.Event().wait()

    asyncio.run(until_told_to_stop(serve, _say))
    return 0


def _platform(asked: argparse.Namespace) -> int:
    folder = RunFolder(asked.run_dir)

    async def serve() -> None:
        with folder.held():
            async with acquire(
                Profile.RUN, run_dir=asked.run_dir, cache_dir=asked.cache_dir, way=asked.platform, report=_say
            ) as platform:
                endpoints = {"bootstrap": platform.bootstrap, "postgres": platform.postgres.url()}
                with folder.published(endpoints):
                    _say(f"ready; addresses are in {folder.endpoints}; Ctrl-C stops both")
                    await asyncio.Event().wait()

    asyncio.run(until_told_to_stop(serve, _say))
    return 0


def _down(asked: argparse.Namespace) -> int:
    _stop(RunFolder(asked.run_dir))
    return 0


def _stop(folder: RunFolder) -> None:
    """Stop the launcher of this folder, if one runs, and wait until it has stopped."""
    pid = folder.holder()
    if pid is None:
        print("nothing runs")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while folder.holder() is not None:
        if time.monotonic() > deadline:
            raise LaunchError(f"the launcher (pid {pid}) did not stop within {_DOWN_TIMEOUT_S:g} s")
        time.sleep(0.1)
    print(f"stopped (pid {pid})")


def _status(asked: argparse.Namespace) -> int:
    folder = RunFolder(asked.run_dir)
    if folder.holder() is None:
        print("nothing runs")
        return NOT_RUNNING
    if not folder.endpoints.exists():
        print("starting or stopping")
        return 1
    endpoints = json.loads(folder.endpoints.read_text())
    services: dict[str, str] = endpoints.get("services", {})
    ready = asyncio.run(_ready(services))
    pids = folder.present_pids()
    table = Table("name", "pid", "state", "address", box=None)
    addresses = {"kafka": endpoints["bootstrap"], "postgres": endpoints["postgres"].rpartition("@")[2], **services}
    for name, address in addresses.items():
        state = "-" if name not in services else "ready" if ready[name] else "not ready"
        table.add_row(name, str(pids.get(name, "-")), state, address)
    _console.print(table)
    return 0 if all(ready.values()) else 1


async def _ready(services: dict[str, str]) -> dict[str, bool]:
    async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
        answers = await asyncio.gather(*(http_ready(http, f"{url}/readyz")() for url in services.values()))
    return dict(zip(services, answers, strict=True))


def _clean(asked: argparse.Namespace) -> int:
    folder = RunFolder(asked.run_dir)
    _stop(folder)
    with folder.held():
        containers.remove_data(folder)
        folder.remove()
    print(f"removed {asked.run_dir}")
    return 0
