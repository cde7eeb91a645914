"""The command line: serve, keys, and signing a request for curl."""

import argparse
import json
import os
import shlex
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from fastapi import FastAPI

from oms_events.runtime import edge
from oms_events.runtime.settings import read_settings
from oms_events.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from oms_gateway import keys
from oms_gateway.entrypoints.app import build_app
from oms_gateway.gateway import Gateway
from oms_gateway.settings import GatewaySettings

_ROOT_KEY = "OMS_GATEWAY_ROOT_KEY"
_ROOT_KEY_LENGTH = 32


class Misused(Exception):
    """The command cannot do what was asked; the message says why."""


def main(argv: Sequence[str] | None = None) -> None:
    """The console script `oms-gateway`. Exit code 2: asked for something impossible."""
    edge.run_command(_parser(), argv, refusals=(Misused, keys.NameTaken, keys.KeyUnknown))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms-gateway", description="The OMS's public door. Settings are OMS_*.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run this process until SIGTERM").set_defaults(run=_serve)
    _add_keys(commands.add_parser("keys", help="who may call").add_subparsers(dest="action", required=True))
    _add_sign(commands.add_parser("sign", help="print a signed curl command for a request"))
    return parser


def _add_keys(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    issue = actions.add_parser("issue", help=f"make a key; needs {_ROOT_KEY}; prints its secret, once")
    issue.set_defaults(run=_issue)
    issue.add_argument("--name", required=True, help="who it is for; services see it as the actor")
    issue.add_argument("--role", required=True, choices=[role.value for role in keys.Role])
    issue.add_argument("--shop", action="append", default=[], help="channel/shop glob (role channel); repeatable")
    issue.add_argument("--node", action="append", default=[], help="warehouse glob (role warehouse); repeatable")
    issue.add_argument("--carrier", action="append", default=[], help="carrier glob (role carrier); repeatable")
    issue.add_argument("--rate", type=float, help="items a second (default: no limit)")
    issue.add_argument("--burst", type=int, help="items at once (default: two seconds' worth)")
    demo = actions.add_parser("demo", help=f"a key for each role, all written to one file; needs {_ROOT_KEY}")
    demo.set_defaults(run=_demo)
    demo.add_argument("--to", type=Path, required=True, help="JSON: key and secret by role; those it has are kept")
    list_ = actions.add_parser("list", help="all keys, without secrets")
    list_.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="put a key out of force")
    revoke.set_defaults(run=_revoke)
    revoke.add_argument("--name", required=True)
    for action in (issue, demo, list_, revoke):
        action.add_argument("--file", type=Path, default=Path(os.environ.get("OMS_GATEWAY_KEYS_FILE", "keys.json")))


def _add_sign(sign_: argparse.ArgumentParser) -> None:
    sign_.set_defaults(run=_sign)
    sign_.add_argument("method")
    sign_.add_argument("url")
    sign_.add_argument("--key", default=os.environ.get("OMS_KEY"), help="default: OMS_KEY")
    sign_.add_argument("--secret", default=os.environ.get("OMS_SECRET"), help="default: OMS_SECRET, which shells keep")
    body = sign_.add_mutually_exclusive_group()
    body.add_argument("--data", help="the body")
    body.add_argument("--data-file", type=Path, help="the body's file")
    sign_.add_argument("--content-type", default="application/json")
    sign_.add_argument("--headers", action="store_true", help="print the three headers only")


def _serve(_: argparse.Namespace) -> None:
    settings = read_settings(GatewaySettings)

    def build() -> tuple[Gateway, FastAPI]:
        gateway = Gateway(settings)
        return gateway, build_app(gateway)

    edge.serve("gateway", settings, build)


def _issue(arguments: argparse.Namespace) -> None:
    key, secret = keys.issue(
        arguments.file,
        _root_key(),
        name=arguments.name,
        role=keys.Role(arguments.role),
        now=datetime.now(UTC),
        shops=arguments.shop,
        nodes=arguments.node,
        carriers=arguments.carrier,
        rate_per_s=arguments.rate,
        burst=arguments.burst,
    )
    print(json.dumps({"key": key, "secret": secret}))


def _demo(arguments: argparse.Namespace) -> None:
    keys.hand_out(arguments.file, _root_key(), to=arguments.to, now=datetime.now(UTC))


def _root_key() -> str:
    root_key = os.environ.get(_ROOT_KEY, "")
    if len(root_key) < _ROOT_KEY_LENGTH:
        raise Misused(f"{_ROOT_KEY} must have at least {_ROOT_KEY_LENGTH} characters, the same as the gateway's")
    return root_key


def _list(arguments: argparse.Namespace) -> None:
    for key in keys.list_keys(arguments.file):
        print(key.model_dump_json(exclude_defaults=True))


def _revoke(arguments: argparse.Namespace) -> None:
    print(
        keys.revoke(arguments.file, name=arguments.name, now=datetime.now(UTC)).model_dump_json(exclude_defaults=True)
    )


def _sign(arguments: argparse.Namespace) -> None:
    if not (arguments.key and arguments.secret):
        raise Misused("name --key and --secret, or set OMS_KEY and OMS_SECRET")
    method, url = arguments.method.upper(), httpx.URL(arguments.url)
    body = arguments.data_file.read_bytes() if arguments.data_file else (arguments.data or "").encode()
    timestamp = int(time.time())
    headers = {
        KEY_HEADER: arguments.key,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(arguments.secret, timestamp, method, url.raw_path.decode(), body),
    }
    if arguments.headers:
        print("\n".join(f"{name}: {value}" for name, value in headers.items()))
        return
    command = ["curl", "-sS", "-X", method, str(url)]
    if body:
        headers["Content-Type"] = arguments.content_type
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if arguments.data_file:
        command += ["--data-binary", f"@{arguments.data_file}"]
    elif body:
        command += ["--data-binary", arguments.data]
    print(shlex.join(command))
