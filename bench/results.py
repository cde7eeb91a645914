"""Results as a table for a person, as JSON, and as a section of RESULTS.md."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

Results = dict[str, Any]


def machine() -> str:
    """What it was measured on, in one line."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def show(results: Results, console: Console) -> None:
    """Print all numbers."""
    table = Table("what", "number")
    table.columns[1].justify = "right"
    for name, number in flat(results).items():
        table.add_row(name, _said(number))
    console.print(table)


def section(results: Results, at: datetime, module: str = "bench.run") -> str:
    """A section of RESULTS.md, as made by `python -m MODULE`."""
    rows = "\n".join(f"| {name} | {_said(number)} |" for name, number in flat(results).items())
    command = f"python -m {module} " + " ".join(sys.argv[1:])
    return (
        f"\n## {at:%Y-%m-%d %H:%M} UTC\n\n- command: `{command.strip()}`\n- machine: {machine()}\n\n"
        f"| what | number |\n| --- | ---: |\n{rows}\n"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every measuring command takes."""
    parser.add_argument("--json", type=Path, help="write the numbers as JSON")
    parser.add_argument("--results", type=Path, help="add a section to this RESULTS.md")


def report(results: Results, began_at: datetime, options: argparse.Namespace, console: Console, module: str) -> None:
    """Show the numbers, and write them where the options ask for it."""
    show(results, console)
    if options.json:
        options.json.write_text(json.dumps({"at": began_at.isoformat(), "machine": machine(), **results}, indent=2))
    if options.results:
        with options.results.open("a") as file:
            file.write(section(results, began_at, module))


def flat(results: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested results by dotted name."""
    rows: dict[str, Any] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            rows |= flat(value, f"{prefix}{name}.")
        else:
            rows[prefix + name] = value
    return rows


def _said(number: object) -> str:
    if isinstance(number, bool):
        return "yes" if number else "no"
    if isinstance(number, float):
        return f"{number:,.1f}" if abs(number) >= 10 else f"{number:.3g}"
    return f"{number:,}" if isinstance(number, int) else str(number)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
