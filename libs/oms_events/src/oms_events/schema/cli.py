"""The `oms-events` command: contracts as files, the check that a change breaks nobody, and topics."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from oms_events.registry import topics
from oms_events.schema.diff import compare_all
from oms_events.schema.export import SCHEMAS, contract_files, drifted, write

OK, BROKEN, USAGE = 0, 1, 2


class NoSuchBase(ValueError):
    """The base is neither a folder of contracts nor a git ref."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 in order, 1 drift, a break or a failure, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        sys.exit(arguments.run(arguments))
    except NoSuchBase as error:
        print(f"oms-events: {error}", file=sys.stderr)
        sys.exit(USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oms-events",
        description="The contracts of the events.",
        epilog="exit codes: 0 in order; 1 drift, incompatible change or broker failure; 2 wrong usage",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    export = commands.add_parser("export", help="write schemas, their table and the AsyncAPI document")
    export.set_defaults(run=_export)
    check = commands.add_parser("check", help="fail when committed files drifted, or a change breaks someone")
    check.set_defaults(run=_check)
    check.add_argument("--base", help="folder or git ref to compare with (default: the newest tag)")
    for command in (export, check):
        command.add_argument(
            "--out", type=Path, default=Path("contracts"), help="contracts folder (default: contracts)"
        )
    create = commands.add_parser("topics", help="create the topics that are missing")
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
    print("\n".join(changed) if changed else "nothing changed")
    return OK


def _check(arguments: argparse.Namespace) -> int:
    drift = drifted(arguments.out)
    for name in drift:
        print(f"drift: {arguments.out / name} is not what the code says; run `oms-events export`")
    base = arguments.base or _newest_tag(arguments.out)
    before = _read_base(base, arguments.out) if base else {}
    if not before:
        reason = f"{base} has no schemas" if base else "there is no tag"
        print(f"COMPATIBILITY NOT CHECKED: {reason} to compare with", file=sys.stderr)
        return BROKEN if drift else OK
    findings = compare_all(before, _schemas(contract_files()))
    for finding in findings:
        print(f"incompatible with {base}: {finding}")
    if not drift and not findings:
        print(f"contracts are in order and compatible with {base}")
    return BROKEN if drift or findings else OK


def _topics(arguments: argparse.Namespace) -> int:
    # Here and not above: the rest of the command works without the runtime's packages.
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    from oms_events.runtime.kafka import ensure_topics  # noqa: PLC0415

    creating = ensure_topics(
        arguments.bootstrap, topics(), partitions=arguments.partitions, replication=arguments.replication
    )
    try:
        created = asyncio.run(creating)
    except (KafkaError, OSError) as error:
        print(f"oms-events: {arguments.bootstrap}: {error}", file=sys.stderr)
        return BROKEN
    print("\n".join(created) if created else "every topic exists")
    return OK


def _read_base(base: str, out: Path) -> dict[str, Any]:
    """Schemas by event as they were at the base. Raises NoSuchBase."""
    folder = Path(base)
    if folder.is_dir():
        return _schemas({str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.glob(SCHEMAS)})
    names = _git(out, "ls-tree", "-r", "--name-only", base, "--", "events")
    if names is None:
        raise NoSuchBase(f"{base} is neither a folder nor a git ref")
    shown = {name: _git(out, "show", f"{base}:./{name}") for name in names.splitlines()}
    return _schemas({name: content for name, content in shown.items() if content is not None})


def _schemas(files: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix("events/").removesuffix(".schema.json"): json.loads(content)
        for name, content in files.items()
        if fnmatch(name, SCHEMAS)
    }


def _newest_tag(out: Path) -> str | None:
    tag = _git(out, "describe", "--tags", "--abbrev=0")
    return tag.strip() if tag else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says in a folder, or None when it refuses or is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None
