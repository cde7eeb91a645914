"""Stopping in good order when told to."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from oms_local.supervisor import Report


async def until_told_to_stop(serve: Callable[[], Awaitable[None]], report: Report) -> None:
    """Run `serve` until it ends, or until Ctrl-C, SIGTERM or a closed terminal cancels it.

    Its contexts then stop what they started. A second signal does not cut that short.
    """
    task = asyncio.ensure_future(serve())
    told = False

    def stop() -> None:
        nonlocal told
        report("still stopping" if told else "stopping")
        if not told:
            told = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        report("stopped")
