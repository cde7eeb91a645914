"""Records what the gateway of a running system answers to the console: `python -m services.console.tests.record .run`.

Asks each page of the table of contents through the console's own code, keeps what the
gateway answered, cut to a few items, and writes it beside this file. The tests' gateway plays it back.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from .fake import ANSWERS, key_of, started_console

PATHS = (
    "/",
    "/orders",
    "/orders/{order}",
    "/holds",
    "/stock",
    "/stock/{sku}",
    "/settlement",
    "/settlement/differences",
    "/settlement/statements",
    "/settlement/books",
    "/profit",
    "/dead-letters",
)
_ITEMS = 3


class Recorder(httpx.AsyncBaseTransport):
    """Asks the real gateway and remembers what it answered."""

    def __init__(self) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self.answers: dict[str, Any] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._real.handle_async_request(request)
        content = json.loads(await answer.aread())
        self.answers[key_of(request)] = {"status": answer.status_code, "content": _cut(content)}
        return httpx.Response(answer.status_code, json=content)


def _cut(content: Any) -> Any:
    """The first of every long list: enough to draw a page of."""
    if isinstance(content, dict):
        return {name: _cut(value) for name, value in content.items()}
    return [_cut(item) for item in content[: _ITEMS * 8]] if isinstance(content, list) else content


async def main(run_dir: Path) -> None:
    endpoints = json.loads((run_dir / "endpoints.json").read_text())
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        keys = json.loads((run_dir / "console-keys.json").read_text())
        async with started_console(Path(folder), recorder, url=endpoints["services"]["gateway"], keys=keys) as client:
            await client.enter("ann")
            orders = (await client.get("/orders")).text
            order = orders.partition('<a href="/orders/')[2][:36]
            sku = (await client.get(f"/orders/{order}")).text.partition('<a href="/stock/')[2].partition('"')[0]
            for path in PATHS:
                assert (await client.get(path.format(order=order, sku=sku))).status_code == 200, path
    ANSWERS.write_text(json.dumps({"order": order, "sku": sku, "answers": recorder.answers}, indent=1))
    print(f"{len(recorder.answers)} answers in {ANSWERS}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
