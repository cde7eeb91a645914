"""`python -m bench.bare --bootstrap HOST:PORT --postgres postgresql://... [--orders N] [--json]`."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from bench import results
from bench.bare import floor


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare", description=floor.__doc__)
    parser.add_argument("--bootstrap", required=True, help="a broker's host:port")
    parser.add_argument("--postgres", required=True, help="URL of a login that may create databases")
    parser.add_argument("--orders", type=int, default=30_000, help="how many wait in the first topic")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    pids = floor.local_pids(options.bootstrap, options.postgres)
    found = asdict(
        asyncio.run(
            floor.run(
                options.bootstrap,
                options.postgres,
                orders=options.orders,
                partitions=options.partitions,
                pids=lambda: pids,
            )
        )
    )
    if options.json:
        print(json.dumps(found))
    else:
        results.show(found, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
