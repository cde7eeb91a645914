"""Keeps child processes running: started in order, watched, started again when they die, stopped in reverse."""

import asyncio
import contextlib
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NoReturn, Self

from rich.console import Console
from rich.text import Text

from oms_local import probes
from oms_local.errors import LaunchError
from oms_local.process import Program, describe_exit, last_lines, send, spawn, together
from oms_local.run_folder import RunFolder

Report = Callable[[str], None]

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 20.0
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
STEADY_S = 30.0
"""A child that lived this long starts again without the delay that earlier deaths had built up."""

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")


class StartFailed(LaunchError):
    """A child ended, or was not ready in time, at its start. The message carries the end of its log."""


class Supervisor:
    """An async context: leaving it stops every child, the last started first.

    Each child has its log in `logs/<name>.log` of the run folder and its present process in `pids/<name>`.
    """

    def __init__(self, folder: RunFolder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._console = Console(highlight=False, soft_wrap=True)
        self._ranks: list[list[_Child]] = []

    async def __aenter__(self) -> Self:
        self._folder.logs.mkdir(exist_ok=True)
        self._folder.pids.mkdir(exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        for rank in reversed(self._ranks):
            await together(*(child.stop() for child in rank))

    async def start(self, *programs: Program) -> None:
        """Start programs together and return when all are ready. Raises StartFailed; then none is kept waiting."""
        rank = [self._child(program) for program in programs]
        self._ranks.append(rank)
        await together(*(child.start() for child in rank))

    def pids(self) -> dict[str, int]:
        """The live processes by program name."""
        return {child.program.name: child.pid for child in self._children() if child.alive}

    async def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal that ends a child and return when it is gone. It is started again."""
        await self._find(name).kill(with_signal)

    def change(self, name: str, environment: Mapping[str, str], *, once: bool = False) -> None:
        """Start a program with this environment on top of its own from its next start on, or only at that one."""
        self._find(name).change(environment, once=once)

    @contextlib.asynccontextmanager
    async def held_down(self, name: str) -> AsyncIterator[None]:
        """Stop a program in good order; it is started again only at the end of the block."""
        child = self._find(name)
        child.may_start.clear()
        try:
            await child.kill(child.program.stop_signal)
            yield
        finally:
            child.may_start.set()

    async def until_ready(self, name: str, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait for a child to be ready, for instance after `kill`. Raises TimeoutError."""
        await probes.until(self._find(name).ready, timeout)

    def exit_code(self, name: str) -> int | None:
        """How the latest process of a program ended; None while it lives, or if it never did."""
        return next((child.exit_code for child in self._children() if child.program.name == name), None)

    def _child(self, program: Program) -> "_Child":
        colour = _COLOURS[len(self._children()) % len(_COLOURS)]
        prefix = Text(f"{program.name:>10} | ", style=colour)
        return _Child(
            program,
            log=self._folder.logs / f"{program.name}.log",
            pid_file=self._folder.pids / program.name,
            show=lambda line: self._console.print(prefix + line),
            report=self._report,
        )

    def _children(self) -> list["_Child"]:
        return [child for rank in self._ranks for child in rank]

    def _find(self, name: str) -> "_Child":
        for child in self._children():
            if child.program.name == name:
                return child
        raise KeyError(f"no program is called {name}; there are: {', '.join(self.pids())}")


class _Child:
    """One program, its present process and the task that keeps it running."""

    def __init__(
        self, program: Program, *, log: Path, pid_file: Path, show: Callable[[str], None], report: Report
    ) -> None:
        self.program = program
        self._log = log
        self._pid_file = pid_file
        self._show = show
        self._report = report
        self._process: Process | None = None
        self._copier: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._changes: dict[str, str] = {}
        self._changes_once: dict[str, str] = {}
        self.may_start = asyncio.Event()
        self.may_start.set()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.returncode

    async def ready(self) -> bool:
        """A live process that answers. Its own death counts first: another process may answer on its port."""
        return self.alive and await self.program.ready() and self.alive

    async def start(self) -> None:
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))  # the previous run's
        await self._launch()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    def change(self, environment: Mapping[str, str], *, once: bool) -> None:
        (self._changes_once if once else self._changes).update(environment)

    async def kill(self, with_signal: signal.Signals) -> None:
        process = self._running()
        send(process, with_signal)
        await process.wait()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._pid_file.unlink(missing_ok=True)
        if self.alive:
            await self._end(self._running())
        await self._last_words()

    async def _end(self, process: Process) -> None:
        send(process, self.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        except TimeoutError:
            self._report(f"{self.program.name} did not stop within {STOP_GRACE_S:g} s and is killed")
            send(process, signal.SIGKILL, group=True)
            await process.wait()

    async def _keep(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            born = time.monotonic()
            code = await self._running().wait()
            if time.monotonic() - born > STEADY_S:
                delay = FIRST_DELAY_S
            self._report(f"{self.program.name} {describe_exit(code)}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            await self.may_start.wait()
            delay = min(delay * 2, LONGEST_DELAY_S)
            began = time.monotonic()
            try:
                await self._launch()
            except LaunchError as failure:
                self._report(str(failure))
            else:
                self._report(f"{self.program.name} is back ({time.monotonic() - began:.1f} s)")

    async def _launch(self) -> None:
        """Start the process and wait until it is ready. Raises StartFailed."""
        once, self._changes_once = self._changes_once, {}
        with self._log.open("ab", buffering=0) as log:
            self._process = await spawn(
                self.program.argv,
                stdout=PIPE if self.program.on_console else log,
                env={**self.program.env, **self._changes, **once},
                account=self.program.account,
                cwd=self.program.cwd,
                orphan_signal=self.program.orphan_signal,
            )
        if self.program.on_console:
            self._copier = asyncio.create_task(self._copy_output(self._process))
        self._pid_file.write_text(str(self._process.pid))
        try:
            await probes.until(self._ready_or_dead, READY_TIMEOUT_S)
        except TimeoutError:
            await self._fail(f"was not ready within {READY_TIMEOUT_S:g} s")
        if not self.alive:
            await self._fail(describe_exit(self.exit_code))

    async def _ready_or_dead(self) -> bool:
        return not self.alive or await self.ready()

    async def _fail(self, what: str) -> NoReturn:
        await self._last_words()
        end = last_lines(self._log.read_text(errors="replace"))
        raise StartFailed(f"{self.program.name} {what}; the end of {self._log}:\n{end}")

    async def _copy_output(self, process: Process) -> None:
        """From the child's pipe to its log file and, line by line, to the console."""
        assert process.stdout is not None
        unfinished = b""
        with self._log.open("ab", buffering=0) as log:
            while chunk := await process.stdout.read(65_536):
                log.write(chunk)
                *lines, unfinished = (unfinished + chunk).split(b"\n")
                for line in lines:
                    self._show(line.decode(errors="replace"))

    async def _last_words(self) -> None:
        """Wait until what a dead child said is in its log; not for ever, since its own children may hold the pipe."""
        if self._copier is not None:
            await asyncio.wait([self._copier], timeout=1)

    def _running(self) -> Process:
        if self._process is None:
            raise StartFailed(f"{self.program.name} has not been started")
        return self._process
