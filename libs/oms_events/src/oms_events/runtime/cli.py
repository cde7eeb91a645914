"""The command line every service has: serve, migrate, check, dead letters, offsets, rebuild."""

import argparse
import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime import dead_letters, logs, migrations, replay_cli, requirements
from oms_events.runtime.database import build_engine
from oms_events.runtime.lifecycle import Runtime, serve
from oms_events.runtime.service import Service
from oms_events.runtime.settings import ROLES, SettingRefused, Settings, read_settings

AUTOGROUP = Path("/proc/self/autogroup")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Command:
    """A command that one service has besides those of all, or in the place of one of those.

    It gets a runtime that is not started, and answers the exit code; refusals of reading again become code 2.
    """

    name: str
    help: str
    run: Callable[[Runtime, argparse.Namespace], Awaitable[int]]
    describe: Callable[[argparse.ArgumentParser], None] = lambda parser: None  # noqa: ARG005 - it has no options


def main_for(service: Service, *, migrations_folder: Path, commands: Sequence[Command] = ()) -> Callable[[], None]:
    """The console script of a service. Exit code 2: settings that cannot be right, or an impossible wish."""

    def main(argv: Sequence[str] | None = None) -> None:
        try:
            sys.exit(_main(service, migrations_folder, commands, argv))
        except SettingRefused as error:
            print(f"oms-{service.name}: {error}", file=sys.stderr)
            sys.exit(replay_cli.REFUSED)

    return main


def _main(service: Service, folder: Path, own: Sequence[Command], argv: Sequence[str] | None) -> int:
    arguments = _parser(service, own).parse_args(argv)
    settings = read_settings(Settings)
    logs.configure(service.name, level=settings.log_level, log_format=settings.log_format)
    if arguments.command == "serve":
        if arguments.roles:
            settings = settings.model_copy(update={"roles": arguments.roles})
        uvloop.run(_serve(service, settings))
        return 0
    if arguments.command == "migrate":
        migrations.upgrade(folder, revision=arguments.revision)
        return 0
    if arguments.command == "check":
        met = asyncio.run(requirements.until_met(service, settings, folder, wait_s=arguments.wait))
        return 0 if met else 1
    for command in own:
        if arguments.command == command.name:
            return asyncio.run(
                _own(command, Runtime(service, settings.model_copy(update={"roles": "relay"})), arguments)
            )
    if arguments.command in replay_cli.COMMANDS:
        return asyncio.run(replay_cli.act(service, settings, arguments))
    return asyncio.run(_dead_letters(service, settings, arguments))


async def _serve(service: Service, settings: Settings) -> None:
    _step_back(settings.nice)
    # A batch makes tens of thousands of objects that live for milliseconds. With the default threshold the
    # collector walks the whole heap many times a batch, and a fifth of them cost twice as much.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    await serve(Runtime(service, settings))


def _step_back(nice: int) -> None:
    os.nice(nice)
    # Where Linux groups processes by session, a process's own nice value counts within its session alone: the
    # session has one of its own (sched(7), "The autogroup feature"). Only of a session that this process leads:
    # the rest of another has not asked to step back. The kernel may refuse (proc_sched_autogroup_set_nice takes few
    # wishes a second, and none for the group that everything begins in): who cannot step back serves all the same.
    if nice and os.getsid(0) == os.getpid() and AUTOGROUP.exists():
        try:
            AUTOGROUP.write_text(str(nice))
        except OSError as error:
            log.warning("the session does not step back", reason=type(error).__name__)


async def _own(command: Command, runtime: Runtime, arguments: argparse.Namespace) -> int:
    try:
        return await command.run(runtime, arguments)
    except replay_cli.REFUSALS as error:
        print(f"oms-{runtime.service.name}: {error}", file=sys.stderr)
        return replay_cli.REFUSED
    finally:
        await runtime.close()


def _parser(service: Service, own: Sequence[Command] = ()) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"oms-{service.name}",
        description=f"The {service.name} service. Settings come from OMS_* variables.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve_ = commands.add_parser("serve", help="run this process until SIGTERM")
    serve_.add_argument("--roles", help=f"comma-separated, of {', '.join(ROLES)} (default: OMS_ROLES or all)")
    migrate = commands.add_parser("migrate", help="bring the database to a revision")
    migrate.add_argument("--revision", default="head")
    check = commands.add_parser("check", help="exit 0 when database and topics are what this version needs")
    check.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="so long for them to become so")
    letters = commands.add_parser("dead-letters", help="events that could not be applied")
    actions = letters.add_subparsers(dest="action", required=True)
    list_ = actions.add_parser("list", help="open letters, oldest first")
    list_.add_argument("--limit", type=int, default=50)
    for action, help_ in (
        ("show", "one letter with headers and payload"),
        ("replay", "apply it and all that waits behind its key again"),
        ("discard", "give it up for good"),
    ):
        actions.add_parser(action, help=help_).add_argument("id", type=int)
    if service.consumes:
        replay_cli.add_commands(commands, service, without={command.name for command in own})
    for command in own:
        command.describe(commands.add_parser(command.name, help=command.help))
    return parser


async def _dead_letters(service: Service, settings: Settings, arguments: argparse.Namespace) -> int:
    engine = build_engine(settings, name=f"oms-{service.name}-cli")
    try:
        async with engine.begin() as connection:
            return await _act(connection, arguments)
    finally:
        await engine.dispose()


async def _act(connection: AsyncConnection, arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        for letter in await dead_letters.list_letters(connection, limit=arguments.limit):
            print(json.dumps(letter, default=str))
        return 0
    if arguments.action == "show":
        found = await dead_letters.show(connection, arguments.id)
        print(json.dumps(found, default=str, indent=2))
        return 0 if found else 1
    if arguments.action == "replay":
        count = await dead_letters.replay(connection, arguments.id)
    else:
        count = await dead_letters.discard(connection, arguments.id, by="cli")
    print(json.dumps({"letters": count}))
    return 0 if count else 1
