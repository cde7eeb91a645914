"""Starting child processes that cannot outlive their parent."""

import asyncio
import contextlib
import ctypes
import os
import pwd
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from oms_local.errors import LaunchError

_LIBC = ctypes.CDLL(None)  # loaded here: loading a library between fork and exec could deadlock
_PR_SET_PDEATHSIG = 1

_Result = TypeVar("_Result")


class CommandFailed(LaunchError):
    """A one-off command ended with a code other than 0. The message carries the end of its output."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account a server runs under when the launcher is root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_servers(cls) -> "Account | None":
        """The account to drop to, or None when the launcher is not root and has nothing to drop."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = known.get("postgres") or known["nobody"]
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def reaches(self, folder: Path) -> bool:
        """Whether this account may pass through every folder from the root down to `folder`."""
        folder = folder.resolve()
        return all(self._may_enter(step.stat()) for step in (folder, *folder.parents))

    def _may_enter(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & 0o100)
        if folder.st_gid == self.gid:
            return bool(folder.st_mode & 0o010)
        return bool(folder.st_mode & 0o001)


@dataclass(frozen=True, slots=True)
class Program:
    """A long-running child: how to start it, when it counts as ready, how it wants to be told to stop."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the launcher's own environment."""
    account: Account | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends when the launcher dies without stopping it."""
    on_console: bool = True
    """Whether its log also goes to the console."""


async def spawn(
    argv: Sequence[str],
    *,
    stdin: int = DEVNULL,
    stdout: int | IO[bytes],
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    cwd: Path | None = None,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> Process:
    """Start a child in a session of its own, which gets `orphan_signal` if its parent dies, even by kill -9.

    The own session keeps the terminal's Ctrl-C away from it: the launcher alone hears that, and stops its
    children in order. The kernel watches the thread that calls this, not the process: call it from a thread
    that stays.
    """
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": []}
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin,
        stdout=stdout,
        stderr=STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_tie_to(os.getpid(), orphan_signal),
        **identity,
    )


def _tie_to(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    """What the child does before exec. subprocess has changed the user by then; the change would undo the tie."""

    def tie() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, orphan_signal)
        if os.getppid() != parent:  # the parent died before the tie was made: nobody would send the signal
            os._exit(1)

    return tie


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    cwd: Path | None = None,
    told: str | None = None,
) -> str:
    """Run a one-off command to its end and return what it printed. `told` is its standard input. Raises
    CommandFailed."""
    process = await spawn(argv, stdin=DEVNULL if told is None else PIPE, stdout=PIPE, env=env, account=account, cwd=cwd)
    try:
        printed, _ = await process.communicate(None if told is None else told.encode())
    except asyncio.CancelledError:
        send(process, signal.SIGKILL, group=True)
        await process.communicate()  # to its end: a pipe left open would outlive the event loop
        raise
    output = printed.decode(errors="replace")
    if process.returncode != 0:
        raise CommandFailed(f"{Path(argv[0]).name} {describe_exit(process.returncode)}:\n{last_lines(output)}")
    return output


def send(process: Process, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to a child, or to it and all it started, if it is still there.

    Not by `Process.send_signal`: that collects a child which has just died, and its exit code is lost.
    """
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process.pid, number)


def describe_exit(code: int | None) -> str:
    """An exit code in words: a negative one is the signal that ended the process."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def last_lines(text: str, count: int = 15) -> str:
    """The end of a log, indented, for an error message."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-count:])


async def together(*work: Coroutine[Any, Any, _Result]) -> list[_Result]:
    """Run all at once. The first failure cancels the rest and is raised itself, not inside a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
