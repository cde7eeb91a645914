"""The command line: serve, and who may sign in."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette

from oms_console import passwords, users
from oms_console.console import Console
from oms_console.entrypoints.app import build_app
from oms_console.roles import Role
from oms_console.settings import ConsoleSettings, KeyMissing
from oms_events.runtime import edge
from oms_events.runtime.settings import read_settings


def main(argv: Sequence[str] | None = None) -> None:
    """The console script `oms-console`. Exit code 2: asked for something impossible."""
    edge.run_command(_parser(), argv, refusals=(users.NameTaken, users.UserUnknown, passwords.Unfit, KeyMissing))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms-console", description="The OMS's pages. Settings are OMS_*.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run this process until SIGTERM").set_defaults(run=_serve)
    actions = commands.add_parser("users", help="who may sign in").add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="add a user; the password comes from standard input or a prompt")
    add.set_defaults(run=_add)
    add.add_argument("--role", action="append", required=True, choices=[role.value for role in Role], help="repeatable")
    password = actions.add_parser("password", help="give a user another password, which ends their sessions")
    password.set_defaults(run=_password)
    remove = actions.add_parser("remove", help="remove a user, which ends their sessions")
    remove.set_defaults(run=_remove)
    list_ = actions.add_parser("list", help="all users, without passwords")
    list_.set_defaults(run=_list)
    for action in (add, password, remove):
        action.add_argument("--name", required=True)
    for action in (add, password, remove, list_):
        action.add_argument("--file", type=Path, default=Path(os.environ.get("OMS_CONSOLE_USERS_FILE", "users.json")))
    return parser


def _serve(_: argparse.Namespace) -> None:
    settings = read_settings(ConsoleSettings)

    def build() -> tuple[Console, Starlette]:
        console = Console(settings)
        return console, build_app(console)

    edge.serve("console", settings, build)


def _add(arguments: argparse.Namespace) -> None:
    roles = [Role(role) for role in arguments.role]
    users.add(arguments.file, name=arguments.name, roles=roles, password=_asked_password())


def _password(arguments: argparse.Namespace) -> None:
    users.set_password(arguments.file, name=arguments.name, password=_asked_password())


def _remove(arguments: argparse.Namespace) -> None:
    users.remove(arguments.file, name=arguments.name)


def _list(arguments: argparse.Namespace) -> None:
    for user in users.list_users(arguments.file):
        print(json.dumps({"name": user.name, "roles": user.roles}))


def _asked_password() -> str:
    """Typed twice at a prompt, or one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise passwords.Unfit("the two are not the same")
    return password
