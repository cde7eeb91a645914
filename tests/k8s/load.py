"""Runs in a pod of the cluster: sends orders and asks questions through the gateway's Service, and counts.

A request is sent once; whatever is not answered with success is a failure, and said. `--patient` sends again what was
not taken, as a channel does: then only what is never taken counts. Ends when the file `/tmp/stop` appears, waits until
every order that was accepted has reached a warehouse, and prints one line of JSON. Imports httpx and the signature.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from oms_events.signing import SignedAuth

NAME = os.environ.get("HOSTNAME", "load")
STOP = Path("/tmp/stop")
SETTLE_S = 300.0
UNKNOWN = "unknown"
AT_WAREHOUSE = {"released", "accepted", "dispatched"}
"""States of a shipment that its warehouse has been told of."""
LINE = {"line_no": "1", "quantity": 1, "unit_price_minor": 100}


class Caller:
    """One role at the gateway."""

    def __init__(self, url: str, key: dict[str, str], said: "Said") -> None:
        self.http = httpx.AsyncClient(base_url=url, auth=SignedAuth(key["key"], key["secret"]), timeout=30)
        self._said = said

    async def ask(self, method: str, path: str, body: Any = None, *, patient: bool = False) -> Any:
        """The answer's JSON, or None after a failure."""
        began = time.monotonic()
        while True:
            try:
                response = await self.http.request(method, path, json=body)
                fault = "" if response.is_success else f"{response.status_code} {response.text[:120]}"
            except httpx.TransportError as error:
                fault = f"{type(error).__name__} {error}"
            if not fault or not patient or time.monotonic() - began > 120:
                break
            self._said.again += 1
            await asyncio.sleep(0.5)
        self._said.request(f"{method} {path.partition('?')[0]}", time.monotonic() - began, fault)
        return None if fault else response.json()


class Said:
    """What came of it all."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.failures: list[str] = []
        self.took: list[float] = []
        self.again = 0
        self.accepted: list[str] = []

    def request(self, what: str, took_s: float, fault: str) -> None:
        self.requests[what] += 1
        self.took.append(took_s)
        if fault:
            self.failures.append(f"{datetime.now(UTC):%H:%M:%S} {what}: {fault}")
            print(self.failures[-1], file=sys.stderr, flush=True)

    def took_ms(self, share: float) -> float:
        return round(1000 * sorted(self.took)[min(len(self.took) - 1, int(share * len(self.took)))], 1)


async def main() -> None:
    """Send, until told to stop; then look what became of it."""
    options = _options()
    endpoints = json.loads(options.endpoints.read_text())
    said = Said()
    url = endpoints["services"]["gateway"]
    channel, operator = (Caller(url, endpoints["keys"][role], said) for role in ("channel", "operator"))
    stock = endpoints["stock"] | {"report_no": NAME, "reason": "load", "occurred_at": datetime.now(UTC).isoformat()}
    await Caller(url, endpoints["keys"]["warehouse"], said).ask("POST", "/v1/stock-reports", stock)
    began = time.monotonic()
    asking = asyncio.create_task(_ask_all(operator, endpoints["ask"], options))
    sending: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        if os.access(STOP, os.F_OK):
            break
        task = asyncio.create_task(_order(channel, said, endpoints["listing"], number, options))
        sending.add(task)
        task.add_done_callback(sending.discard)
        await asyncio.sleep(max(0.0, began + (number + 1) / options.rate - time.monotonic()))
    await asyncio.gather(*sending)
    asking.cancel()
    lasted = time.monotonic() - began
    open_, lost = await _settle(operator, said.accepted)
    result = {
        "lasted_s": round(lasted, 1),
        "requests": sum(said.requests.values()),
        "by_kind": said.requests,
        "failed": len(said.failures),
        "failures": said.failures[:20],
        "sent_again": said.again,
        "p50_ms": said.took_ms(0.5),
        "p99_ms": said.took_ms(0.99),
        "max_ms": said.took_ms(1.0),
        "orders": len(said.accepted),
        "lost": lost,
        "not_at_a_warehouse": open_,
        "settled_s": round(time.monotonic() - began - lasted, 1),
    }
    print(json.dumps(result), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=10.0, help="orders a second")
    parser.add_argument("--patient", action="store_true")
    return parser.parse_args()


async def _order(
    channel: Caller, said: Said, listing: dict[str, str], number: int, options: argparse.Namespace
) -> None:
    """An order and its payment."""
    now = datetime.now(UTC).isoformat()
    ref = {
        "channel": listing["channel"],
        "shop": listing["shop"],
        "channel_order_no": f"{NAME}-{number}",
    }
    order = ref | {
        "placed_at": now,
        "currency": listing["currency"],
        "lines": [LINE | {"listing": listing["listing"]}],
        "total_minor": LINE["unit_price_minor"],
        "ship_to": {"country": "GB", "city": "London", "postcode": "SE1 1AB", "receiver_token": "load"},
    }
    payment = ref | {
        "payment_no": "1",
        "currency": listing["currency"],
        "amount_minor": LINE["unit_price_minor"],
        "paid_at": now,
    }
    if taken := await channel.ask("POST", "/v1/orders", order, patient=options.patient):
        said.accepted.append(taken["id"])
        await channel.ask("POST", "/v1/payments", payment, patient=options.patient)


async def _ask_all(operator: Caller, paths: list[str], options: argparse.Namespace) -> None:
    """Each service's API in turn, all the time."""
    for path in itertools.cycle(paths):
        await operator.ask("GET", path, patient=options.patient)
        await asyncio.sleep(0.05)


async def _settle(operator: Caller, orders: list[str]) -> tuple[list[str], list[str]]:
    """Orders that stay on the way, with their state, and orders that nobody knows."""
    left, give_up_at = list(orders), time.monotonic() + SETTLE_S
    seen: dict[str, str] = {}
    while left and time.monotonic() < give_up_at:
        for order_id in left:
            seen[order_id] = await _whereabouts(operator.http, order_id)
        left = [order_id for order_id in left if seen[order_id] != "at a warehouse"]
        await asyncio.sleep(1)
    lost = [order_id for order_id in left if seen[order_id] == UNKNOWN]
    return [f"{order_id}: {seen[order_id]}" for order_id in left if order_id not in lost], lost


async def _whereabouts(http: httpx.AsyncClient, order_id: str) -> str:
    order = await http.get(f"/v1/orders/{order_id}")
    if not order.is_success:
        return UNKNOWN if order.status_code == 404 else f"not told: {order.status_code}"
    shipments = await http.get("/v1/shipments", params={"order_id": order_id})
    states = [shipment["state"] for shipment in shipments.json()["items"]] if shipments.is_success else []
    state: str = order.json()["state"]
    return "at a warehouse" if AT_WAREHOUSE & set(states) else f"{state}, shipments {states}"


if __name__ == "__main__":
    asyncio.run(main())
