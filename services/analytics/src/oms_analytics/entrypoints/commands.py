"""Commands of analytics alone: rebuild, verify, export."""

import argparse
import json
import sys

from oms_analytics.adapters import audit
from oms_analytics.app import verification, working_out
from oms_events.runtime import rebuild, replay_cli
from oms_events.runtime.cli import Command
from oms_events.runtime.lifecycle import Runtime

_SHOWN = 100


def _describe_rebuild(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--empty",
        action="store_true",
        help="forget everything first: what the topics no longer hold is then gone (default: it stays)",
    )
    replay_cli.add_wait(parser)


async def rebuild_all(runtime: Runtime, arguments: argparse.Namespace) -> int:
    """Read every topic again from its first record, then work out what that comes to."""
    async with runtime.running():
        await rebuild.require_peace(runtime, wait_s=arguments.wait)
        if arguments.empty:
            async with runtime.write() as connection:
                await audit.empty(connection)
        for topic in rebuild.projection_topics(runtime.service):
            applied = await rebuild.rebuild(runtime, topic)
            print(json.dumps({"topic": topic, "records": applied}), flush=True)
        await working_out.keep_up(runtime.transaction)
        async with runtime.connection() as connection:
            print(json.dumps({"orders": await audit.orders(connection)}))
    return 0


async def verify(runtime: Runtime, _: argparse.Namespace) -> int:
    """Say what differs, up to a hundred lines of it; exit code 1 when anything does."""
    found = 0
    async with runtime.connection() as connection:
        async for difference in verification.differences(connection):
            found += 1
            if found <= _SHOWN:
                print(difference)
    print(f"{found} differences" if found else "roll-ups, orders and facts agree", file=sys.stderr)
    return 1 if found else 0


async def export(runtime: Runtime, _: argparse.Namespace) -> int:
    """Write everything as lines of JSON, the same bytes for the same facts."""
    async with runtime.connection() as connection:
        await audit.hold_still(connection)
        async for table, row in audit.rows(connection):
            line = {"table": table} | row
            print(json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
    return 0


COMMANDS = (
    Command("rebuild", "read all topics anew; the service must be stopped", rebuild_all, _describe_rebuild),
    Command("verify", "exit 0 when roll-ups, orders and facts agree", verify),
    Command("export", "everything as lines of JSON, in a fixed order", export),
)
