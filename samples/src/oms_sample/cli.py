"""Command `oms-sample`: play real sales through the whole system, then keep it up for a look around."""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console

from oms_events.runtime.settings import SettingRefused
from oms_local.errors import LaunchError
from oms_local.signals import until_told_to_stop
from oms_sample import audit, hops, measure, summary
from oms_sample.book import Book, BookError
from oms_sample.client import Doors, NotOffered, Refused, Unavailable
from oms_sample.cut import cut
from oms_sample.endpoints import Endpoints, NotRunning
from oms_sample.play import Played, Settings, Stalled, prepare
from oms_sample.settling import Settled, Settlement

SLICE = Path(__file__).parents[2] / "uci_online_retail" / "slice.csv.gz"
UNSOUND, UNUSABLE, INTERRUPTED = 1, 2, 130

EXAMPLE_ORDER = {
    "channel": "uci",
    "shop": "united-kingdom",
    "channel_order_no": "MY-1",
    "placed_at": "2026-01-01T12:00:00Z",
    "currency": "GBP",
    "lines": [{"line_no": "1", "listing": "85123A", "quantity": 2, "unit_price_minor": 255}],
    "total_minor": 510,
    "ship_to": {"country": "GB", "city": "London", "postcode": "SE1 1AB", "receiver_token": "me"},
}

console = Console()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Exit codes: 0 sound, 1 an invariant fails or the play stalled, 2 input or system unusable."""
    options = _parser().parse_args(arguments)
    try:
        return int(asyncio.run(options.command(options)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BookError, NotRunning, SettingRefused, LaunchError, Refused, Unavailable, Stalled) as failure:
        console.print(f"oms-sample: {failure}", style="red", markup=False)
        return UNUSABLE
    except ExceptionGroup as group:
        failures, others = group.split((Refused, Unavailable))
        if failures is None or others is not None:
            raise
        console.print(*(f"oms-sample: {one}" for one in failures.exceptions), sep="\n", style="red", markup=False)
        return UNUSABLE


async def run(options: argparse.Namespace) -> int:
    """Start the system, play, and keep serving until Ctrl-C unless told to exit."""
    from oms_local.system import Options, running_system  # noqa: PLC0415 - brings the launcher; `play` does without

    book, code = _book(options), INTERRUPTED

    async def serve() -> None:
        nonlocal code
        async with running_system(Options(run_dir=options.run_dir, log_level="WARNING"), report=_report) as system:
            endpoints = Endpoints.of(system)
            code = await _play(endpoints, book, options)
            if not options.exit:
                _invite(endpoints, system.urls["console"], system.users, options.run_dir)
                await asyncio.Event().wait()

    await until_told_to_stop(serve, _report)
    return code


async def play(options: argparse.Namespace) -> int:
    """Play against a system that runs already."""
    if options.gateway is None:
        return await _play(Endpoints.read(options.endpoints), _book(options), options)
    return await _play(Endpoints.at(options.gateway, options.bootstrap, options.keys), _book(options), options)


async def cut_slice(options: argparse.Namespace) -> int:
    """Write a slice of the full data set."""
    done = cut(options.input, options.output, options.first, options.last)
    console.print(f"{options.output}: {done.rows:,} rows, with {done.later_cancellations:,} later cancellations")
    return 0


async def _play(endpoints: Endpoints, book: Book, options: argparse.Namespace) -> int:
    async with Doors(endpoints) as doors:
        since = await hops.ends(endpoints.broker)
        stage = await prepare(doors, book, Settings(options.rate, options.seed), _report)
        settlement = Settlement(doors.finance, book, stage.played, _report)
        await settlement.prepare()
        cpu_before = measure.cpu_seconds(endpoints.pids)
        played = await stage.play()
        costs = summary.Costs(
            measure.spent(cpu_before, measure.cpu_seconds(endpoints.pids)), measure.memory_mb(endpoints.pids)
        )
        # Seen before the statements: by now nobody works in the warehouses, and an order that waits may yet be routed.
        orders = await audit.all_orders(doors.operator)
        settled = await _settle(settlement, orders, played)
        verdict = audit.judge(played.journal, await audit.inspect(doors.operator, orders))
        stock = await doors.operator.get("/v1/services/inventory/summary")
    tape = await hops.read(endpoints.broker, since)
    result = summary.Summary(played, verdict, tape, costs, stock, settled)
    summary.show(result, console)
    if options.summary is not None:
        options.summary.write_text(json.dumps(result.as_json(), indent=2))
    return 0 if result.sound else UNSOUND


async def _settle(settlement: Settlement, orders: Sequence[audit.OrderSeen], played: Played) -> Settled | None:
    if played.before.known:
        _report("no statements: what was shipped when these orders were first told is not known any more")
        return None
    try:
        return await settlement.settle(orders)
    except NotOffered as refusal:
        _report(f"no statements: {refusal}")
        return None
    except Stalled as stalled:
        return Settled(refused=[str(stalled)])  # what became of the orders is worth telling all the same


def _invite(endpoints: Endpoints, console_url: str, users: Mapping[str, str], run_dir: Path) -> None:
    """Where to look, and how to send an order of one's own."""
    key, url = endpoints.keys["channel"], f"{endpoints.gateway_url}/v1/orders"
    console.rule("[bold]Still serving")
    console.print(f"Console: {console_url}  sign in as [bold]admin[/], password {users['admin']}", highlight=False)
    console.print(f"API and its documentation: {endpoints.gateway_url}/docs")
    console.print(f"Addresses and demo keys: {run_dir / 'endpoints.json'}")
    console.print("An order of your own (paste it; it is signed afresh each time):")
    sign = shlex.join([str(Path(sys.executable).with_name("oms-gateway")), "sign", "POST", url])
    line = f"OMS_KEY={key.key} OMS_SECRET={key.secret} {sign} --data {shlex.quote(json.dumps(EXAMPLE_ORDER))} | sh"
    console.print(line, markup=False, soft_wrap=True, highlight=False)
    console.print("Ctrl-C stops everything.")


def _book(options: argparse.Namespace) -> Book:
    if not options.input.is_file():
        raise BookError(f"{options.input}: no such file")
    return Book(options.input, options.limit)


def _report(line: str) -> None:
    console.print(line, markup=False, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms-sample", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    playing = argparse.ArgumentParser(add_help=False)
    playing.add_argument(
        "--input", type=Path, default=SLICE, help="CSV or CSV.gz of UCI columns (the slice brought along)"
    )
    playing.add_argument("--limit", type=_positive, help="play the first so many sales")
    playing.add_argument("--rate", type=_rate, help="orders a second, or max (the default)")
    playing.add_argument("--seed", type=int, default=Settings().seed, help="of all that is made up")
    playing.add_argument("--summary", type=Path, help="write the summary as JSON")

    running = commands.add_parser("run", parents=[playing], help=run.__doc__)
    running.add_argument("--exit", action="store_true", help="stop after the play; exit code 1 if an invariant fails")
    running.add_argument("--run-dir", type=Path, default=Path(".run"), help="where data, logs and keys live")
    running.set_defaults(command=run)

    against = commands.add_parser("play", parents=[playing], help=play.__doc__)
    against.add_argument("--endpoints", type=Path, default=Path(".run/endpoints.json"), help="of the running system")
    against.add_argument("--gateway", metavar="URL", help="of a system elsewhere, in place of --endpoints")
    against.add_argument("--bootstrap", default="127.0.0.1:29092", metavar="HOST:PORT", help="its broker")
    against.add_argument(
        "--keys", type=Path, default=Path("demo-keys.json"), help="its keys, by `oms-gateway keys demo`"
    )
    against.set_defaults(command=play)

    cutting = commands.add_parser("cut", help=cut_slice.__doc__)
    cutting.add_argument("input", type=Path, help="the full data set")
    cutting.add_argument("output", type=Path, help="the slice, gzipped")
    cutting.add_argument("--first", type=date.fromisoformat, required=True, help="first day")
    cutting.add_argument("--last", type=date.fromisoformat, required=True, help="last day")
    cutting.set_defaults(command=cut_slice)
    return parser


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    if (value := float(text)) <= 0:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
