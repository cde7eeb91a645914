"""A campaign of faults, and its result: `python -m tests.chaos --help` names the knobs."""

import argparse
import asyncio
import json
import secrets
import sys
from pathlib import Path

from oms_local.signals import until_told_to_stop

from . import campaign
from .faults import KINDS

INTERRUPTED = 130


def main() -> int:
    """Exit codes: 0 everything held, 1 something did not, 130 told to stop."""
    options = _parser().parse_args()
    kinds = [kind for kind in KINDS if not options.kinds or kind.name in options.kinds.split(",")]
    plan = campaign.Plan(options.seed, options.faults, options.limit, kinds, options.logs)
    outcomes: list[campaign.Outcome] = []

    async def play() -> None:
        outcomes.append(await campaign.run(plan))

    asyncio.run(until_told_to_stop(play, print))
    if not outcomes:
        return INTERRUPTED
    (outcome,) = outcomes
    document = outcome.document()
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    for problem in (*outcome.failures, *outcome.crashes, *outcome.violations):
        print(problem)
    print(json.dumps({name: value for name, value in document.items() if not isinstance(value, list)}, indent=2))
    return 0 if outcome.sound else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="draws the faults")
    parser.add_argument("--faults", type=int, default=30, help="how many")
    parser.add_argument("--limit", type=int, default=1_500, help="orders of the book to play")
    parser.add_argument("--kinds", default="", help="only these, separated by commas")
    parser.add_argument("--logs", type=Path, help="keep the logs of all processes there")
    parser.add_argument("--json", type=Path, help="write the result there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
