import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from oms_local.process import Account, CommandFailed, run, together

# A launcher that starts a child, says its pid and then hangs until it is killed.
LAUNCHER = """
import asyncio, sys
from oms_local.process import Account, spawn

async def main():
    account = Account.for_servers() if sys.argv[1] == "drop" else None
    child = await spawn(["sleep", "60"], stdout=asyncio.subprocess.DEVNULL, account=account)
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_gone(pid: int) -> bool:
    """Gone, or dead and only not yet collected by whoever inherited it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("account", ["keep", pytest.param("drop", id="drop to an unprivileged account")])
def test_a_child_dies_with_a_parent_that_is_killed(account):
    if account == "drop" and os.geteuid() != 0:
        pytest.skip("only root can drop to another account")
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, account], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child = psutil.Process(int(launcher.stdout.readline()))
    if account == "drop":
        assert child.uids().effective != 0
    launcher.kill()
    launcher.wait()
    psutil.wait_procs([child], timeout=5)
    assert is_gone(child.pid)


async def test_a_failed_command_shows_the_end_of_what_it_said():
    with pytest.raises(CommandFailed, match="ended with code 3:\n    no such tariff"):
        await run(["sh", "-c", "echo no such tariff; exit 3"])


async def test_the_first_failure_is_raised_itself_and_cancels_the_rest():
    cancelled = asyncio.Event()

    async def fails() -> None:
        raise CommandFailed("first")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(CommandFailed, match="first"):
        await together(waits(), fails())
    assert cancelled.is_set()


def test_an_account_reaches_a_folder_only_through_open_parents(tmp_path):
    stranger = Account("stranger", uid=54321, gid=54321)
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    parents_are_open = all(parent.stat().st_mode & 0o001 for parent in tmp_path.parents)
    tmp_path.chmod(0o755)
    inner.chmod(0o755)
    (tmp_path / "outer").chmod(0o700)
    assert not stranger.reaches(inner)
    (tmp_path / "outer").chmod(0o711)
    assert stranger.reaches(inner) == parents_are_open


def test_the_owner_reaches_a_private_folder():
    home = Path.home()
    owner = home.stat()
    assert Account("owner", owner.st_uid, owner.st_gid).reaches(home)
