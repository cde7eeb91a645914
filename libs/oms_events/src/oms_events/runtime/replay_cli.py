"""Commands that let a service read again: `offsets show`, `offsets reset`, `rebuild`."""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from oms_events.runtime import offsets, rebuild
from oms_events.runtime.broker import Broker
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings

COMMANDS = ("offsets", "rebuild")
REFUSED = 2
REFUSALS = (offsets.GroupActive, rebuild.NotRebuildable)


def add_commands(
    commands: Any,  # noqa: ANN401 - argparse keeps this class to itself
    service: Service,
    without: Collection[str] = (),
) -> None:
    """Describe the commands to the service's parser, but for those that it has its own way of."""
    names = [topic.name for topic in service.topics()]
    actions = commands.add_parser("offsets", help="how far the service has read").add_subparsers(
        dest="action", required=True
    )
    show = actions.add_parser("show", help="committed, end and what is left, by partition")
    reset = actions.add_parser("reset", help="read again from elsewhere; the service must be stopped")
    for action in (show, reset):
        action.add_argument(
            "--topic", action="append", choices=names, metavar="TOPIC", help="repeatable (default: all it reads)"
        )
    reset.add_argument(
        "--to", required=True, type=_to, help="earliest, or the first record not older than an ISO time with an offset"
    )
    waiting = [reset]
    if "rebuild" not in without:
        waiting.append(_add_rebuild(commands, names))
    for action in waiting:
        add_wait(action)


def add_wait(action: argparse.ArgumentParser) -> None:
    """Let a command wait for the service to have stopped."""
    action.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="so long for the last member's session to end"
    )


def _add_rebuild(commands: Any, names: Sequence[str]) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    again: argparse.ArgumentParser = commands.add_parser(
        "rebuild", help="read a projection's topic anew; the service must be stopped"
    )
    again.add_argument("topic", choices=names, metavar="TOPIC", help="a topic the service keeps a projection of")
    return again


async def act(service: Service, settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what was asked. Exit code 2: refused, with the reason on standard error."""
    try:
        if arguments.command == "rebuild":
            await _rebuild(service, settings, arguments)
        else:
            await _offsets(service, settings, arguments)
    except REFUSALS as error:
        print(f"oms-{service.name}: {error}", file=sys.stderr)
        return REFUSED
    return 0


async def _offsets(service: Service, settings: Settings, arguments: argparse.Namespace) -> None:
    topics: Sequence[str] = arguments.topic or [topic.name for topic in service.topics()]
    broker = Broker.of(settings)
    if arguments.action == "show":
        for place in await offsets.show(broker, service.group, topics):
            print(
                json.dumps(
                    {
                        "topic": place.partition.topic,
                        "partition": place.partition.number,
                        "first": place.first,
                        "committed": place.committed,
                        "end": place.end,
                        "behind": place.behind,
                    }
                )
            )
        return
    moved = await offsets.reset(broker, service.group, topics, arguments.to, wait_s=arguments.wait)
    for partition, next_ in moved.items():
        print(json.dumps({"topic": partition.topic, "partition": partition.number, "next": next_}))


async def _rebuild(service: Service, settings: Settings, arguments: argparse.Namespace) -> None:
    async with Runtime(service, settings.model_copy(update={"roles": "relay"})).running() as runtime:
        applied = await rebuild.rebuild(runtime, arguments.topic, wait_s=arguments.wait)
    print(json.dumps({"topic": arguments.topic, "records": applied}))


def _to(said: str) -> offsets.To:
    if said == "earliest":
        return "earliest"
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError("say earliest, or a time such as 2026-03-02T09:00:00+00:00")
    return moment
