"""How long the console's pages take on the server: `python -m bench.console [--run-dir .run] [--rounds 20]`.

Walks every page of a running system (`make run`) as one person after a warm-up round, and reads each answer's
Server-Timing. Exit code 1 when a page's median is above the limit.
"""

import argparse
import asyncio
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

LIMIT_MS = 50.0
_TIMING = re.compile(r"(\w+);dur=([\d.]+)")
_TOKEN = re.compile(r'name="token" value="(\w+)"')

console = Console(highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--run-dir", type=Path, default=Path(".run"))
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args(arguments)
    endpoints = json.loads((asked.run_dir / "endpoints.json").read_text())
    return asyncio.run(measure(endpoints["services"]["console"], endpoints["users"]["admin"], asked.rounds))


async def measure(url: str, password: str, rounds: int) -> int:
    """Take the measurements and show them."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        await _sign_in(http, password)
        pages = await _pages(http)
        times: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
        for round_ in range(rounds + 1):
            for name, path in pages.items():
                timing = (await http.get(path)).raise_for_status().headers["server-timing"]
                if round_:
                    times[name].append({part: float(value) for part, value in _TIMING.findall(timing)})
    return _show(times)


async def _sign_in(http: httpx.AsyncClient, password: str) -> None:
    token = _TOKEN.search((await http.get("/sign-in")).text)
    assert token is not None
    answer = await http.post("/sign-in", data={"token": token[1], "name": "admin", "password": password})
    assert answer.status_code == 303, answer.status_code


async def _pages(http: httpx.AsyncClient) -> dict[str, str]:
    """Every page of the menu, an order, and a SKU of it."""
    order = re.search(r'href="(/orders/[0-9a-f-]{36})"', (await http.get("/orders?state=completed")).text)
    assert order is not None, "no order is completed yet"
    sku = re.search(r'href="(/stock/[^"]+)"', (await http.get(order[1])).text)
    assert sku is not None
    menu = ("/", "/orders", "/holds", "/stock", "/settlement", "/settlement/differences", "/profit", "/dead-letters")
    return {**{path: path for path in menu}, "/orders/{id}": order[1], "/stock/{sku}": sku[1]}


def _show(times: dict[str, list[dict[str, float]]]) -> int:
    table = Table("page", "median ms", "95 % ms", "gateway ms", "render ms", box=None)
    slow = []
    for name, rounds in times.items():
        totals = sorted(one["total"] for one in rounds)
        median = statistics.median(totals)
        slow += [name] if median > LIMIT_MS else []
        parts = [f"{statistics.median(one[part] for one in rounds):.1f}" for part in ("gateway", "render")]
        table.add_row(name, f"{median:.1f}", f"{totals[int(len(totals) * 0.95)]:.1f}", *parts)
    console.print(table)
    console.print(f"above {LIMIT_MS:g} ms: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
