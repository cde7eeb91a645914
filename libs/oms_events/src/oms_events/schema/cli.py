"""The `oms-events` command: contracts as files, the gate that a change breaks nobody, releases, examples, topics."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oms_events.registry import events, topics
from oms_events.schema import baseline, examples
from oms_events.schema.baseline import Baseline, NoBaseline, event_name
from oms_events.schema.diff import compare_all
from oms_events.schema.examples import BadExample
from oms_events.schema.export import drifted, event_schema, write
from oms_events.schema.glossary import unexplained
from oms_events.schema.http_diff import compare_http

OK, BROKEN, USAGE = 0, 1, 2

HTTP = "openapi/oms.json"
"""The HTTP API as callers meet it, below the contracts folder."""


class NoSuchContract(ValueError):
    """What a release should leave out is not there."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 in order, 1 drift, a break or a failure, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        sys.exit(arguments.run(arguments))
    except (BadExample, NoBaseline) as error:
        print(f"oms-events: {error}", file=sys.stderr)
        sys.exit(BROKEN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oms-events",
        description="The contracts of the events.",
        epilog="exit codes: 0 in order; 1 drift, incompatible change, bad example or broker failure; 2 wrong usage",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    export = commands.add_parser(
        "export", help="write schemas, their table and the AsyncAPI document; list new examples of released events"
    )
    export.set_defaults(run=_export)
    check = commands.add_parser(
        "check", help="fail when files drifted, an example changed, or a change breaks who relies on the newest release"
    )
    check.set_defaults(run=_check)
    release = commands.add_parser("release", help="promise what the contracts say now: move the baseline of `check`")
    release.set_defaults(run=_release)
    release.add_argument("version", help="of the release, such as 1.2.0")
    release.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME",
        help="not promised yet: an event such as orders/OrderPaid.v2, or a path with all below it such as /v1/costs",
    )
    example = commands.add_parser("example", help="add an example: plausible data to be edited, or given data")
    example.set_defaults(run=_example)
    example.add_argument("type", help="of the event, such as oms.orders.OrderPaid.v1")
    example.add_argument("name", help="of the example: words with hyphens")
    example.add_argument("--data", type=Path, metavar="FILE", help="JSON of the data; - reads standard input")
    for command in (export, check, release, example):
        command.add_argument(
            "--out", type=Path, default=Path("contracts"), help="contracts folder (default: contracts)"
        )
    create = commands.add_parser(
        "topics", help="create the topics that are missing; OMS_KAFKA_* say how the broker is met"
    )
    create.set_defaults(run=_topics)
    create.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    create.add_argument("--partitions", type=_count, default=12, help="of each new topic (default: 12)")
    create.add_argument(
        "--replication", type=_count, help="of each new topic (default: 3, or as many as there are brokers)"
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _export(arguments: argparse.Namespace) -> int:
    changed = write(arguments.out)
    with suppress(NoBaseline):  # nothing was released: no example is bound yet
        changed += [f"listed {name}" for name in examples.lock(arguments.out, baseline.load(arguments.out).covers)]
    print("\n".join(changed) if changed else "nothing changed")
    return OK


def _check(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    found = list(_disorder(out))
    try:
        released = baseline.load(out)
    except NoBaseline as error:
        found.append(f"COMPATIBILITY NOT CHECKED: {error}")
    else:
        found += examples.problems(out, released.covers)
        found += _broken(released, _present(out))
        if not found:
            print(f"contracts are in order and compatible with {released.version}")
    print("\n".join(found), end="\n" if found else "")
    return BROKEN if found else OK


def _disorder(out: Path) -> Iterator[str]:
    """What is wrong with the contracts as they are, whatever was released."""
    for name in drifted(out):
        yield f"drift: {out / name} is not what the code says; run `oms-events export`"
    for type_, model in events().items():
        for field in unexplained(event_schema(model)):
            yield f"{type_}: nobody explains {field}; add it to oms_events/schema/glossary.py"


def _broken(before: Baseline, after: Baseline) -> list[str]:
    today = datetime.now(UTC).date()
    findings = compare_all(before.events, after.events) + compare_http(before.http, after.http, today=today)
    return [f"incompatible with {before.version}: {finding}" for finding in findings]


def _present(out: Path) -> Baseline:
    return Baseline("unreleased", _schemas(), _http(out))


def _schemas() -> dict[str, Any]:
    return {event_name(type_): event_schema(model) for type_, model in events().items()}


def _http(out: Path) -> dict[str, Any]:
    path = out / HTTP
    document: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {"paths": {}}
    return document


def _release(arguments: argparse.Namespace) -> int:
    """A release promises more or the same, never less: what the gate refuses cannot be released either."""
    out: Path = arguments.out
    try:
        release = Baseline(arguments.version, *_all_but(arguments.without, _schemas(), _http(out)))
    except NoSuchContract as error:
        print(f"oms-events: {error}", file=sys.stderr)
        return USAGE
    found = [*_disorder(out), *examples.missing(out, release.covers)]
    if (out / baseline.FOLDER).exists():
        found += _broken(baseline.load(out), release)
    if found:
        print("\n".join(found))
        return BROKEN
    baseline.save(out, release)
    listed = examples.lock(out, release.covers)
    write(out)
    print(f"{release.version} promises {len(release.events)} events and {len(release.http['paths'])} paths from now on")
    print("\n".join(f"listed {name}" for name in listed), end="\n" if listed else "")
    return OK


def _all_but(
    names: Sequence[str], schemas: dict[str, Any], http: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Schemas and HTTP API less what is named. Raises NoSuchContract."""
    for name in names:
        if name.startswith("/"):
            left = {path: operations for path, operations in http["paths"].items() if not _below(path, name)}
            gone, http = len(left) < len(http["paths"]), {**http, "paths": left}
        else:
            gone = name in schemas
            schemas = {event: schema for event, schema in schemas.items() if event != name}
        if not gone:
            raise NoSuchContract(f"no event or path is named {name}")
    return schemas, http


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((f"{prefix}/", f"{prefix}:"))


def _example(arguments: argparse.Namespace) -> int:
    data = None
    if arguments.data is not None:
        text = sys.stdin.read() if str(arguments.data) == "-" else arguments.data.read_text("utf-8")
        data = json.loads(text)
    path = examples.add(arguments.out, arguments.type, arguments.name, data)
    if data is None:
        print("plausible data: edit it before it is released, afterwards it never changes")
    print(path)
    return OK


def _topics(arguments: argparse.Namespace) -> int:
    # Here and not above: the rest of the command works without the runtime's packages.
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    from oms_events.runtime.broker import Broker  # noqa: PLC0415
    from oms_events.runtime.kafka import ensure_topics  # noqa: PLC0415
    from oms_events.runtime.settings import SettingRefused, Settings, read_settings  # noqa: PLC0415

    try:
        broker = replace(Broker.of(read_settings(Settings)), bootstrap=arguments.bootstrap)
        created = asyncio.run(
            ensure_topics(broker, topics(), partitions=arguments.partitions, replication=arguments.replication)
        )
    except SettingRefused as error:
        print(f"oms-events: {error}", file=sys.stderr)
        return USAGE
    except (KafkaError, OSError) as error:
        print(f"oms-events: {arguments.bootstrap}: {error}", file=sys.stderr)
        return BROKEN
    print("\n".join(created) if created else "every topic exists")
    return OK
