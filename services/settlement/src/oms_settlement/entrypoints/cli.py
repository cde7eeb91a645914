"""The console script."""

import argparse
import json
from pathlib import Path

from oms_events.runtime.cli import Command, main_for
from oms_events.runtime.lifecycle import Runtime
from oms_settlement.app.verification import verify
from oms_settlement.service import service


def _describe_ledger(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("verify", help="compute every chain and balance anew; exit code 1 when something is wrong")


async def _verify(runtime: Runtime, _: argparse.Namespace) -> int:
    async with runtime.connection() as connection:
        found = await verify(connection)
    for fault in found.faults:
        print(json.dumps(fault._asdict()))
    print(json.dumps({"chains": found.chains, "entries": found.entries, "faults": len(found.faults)}))
    return 1 if found.faults else 0


main = main_for(
    service,
    migrations_folder=Path(__file__).parents[3] / "migrations",
    commands=[Command("ledger", "the books", _verify, _describe_ledger)],
)
