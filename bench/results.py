"""Results as a table for a person, as JSON, and as a section of RESULTS.md."""

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


def section(results: Results, at: datetime) -> str:
    """A section of RESULTS.md."""
    rows = "\n".join(f"| {name} | {_said(number)} |" for name, number in flat(results).items())
    command = "python -m bench.run " + " ".join(sys.argv[1:])
    return (
        f"\n## {at:%Y-%m-%d %H:%M} UTC\n\n- command: `{command.strip()}`\n- machine: {machine()}\n\n"
        f"| what | number |\n| --- | ---: |\n{rows}\n"
    )


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
    return f"{number:,.1f}" if isinstance(number, float) else f"{number:,}" if isinstance(number, int) else str(number)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
