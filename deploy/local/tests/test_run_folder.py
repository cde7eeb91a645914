import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from oms_local import run_folder
from oms_local.run_folder import AlreadyRunning, RunFolder, throw_away_folder


def test_a_second_launcher_is_turned_away_by_the_pid_of_the_first(folder):
    with folder.held():
        assert folder.holder() == os.getpid()
        with pytest.raises(AlreadyRunning, match=str(os.getpid())), RunFolder(folder.path).held():
            pass
    assert folder.holder() is None


HOLDS_AND_IS_KILLED = """
import os, pathlib, sys
from oms_local.run_folder import RunFolder
with RunFolder(pathlib.Path(sys.argv[1])).held():
    os.kill(os.getpid(), 9)
"""


def test_the_hold_ends_with_its_process(folder):
    killed = subprocess.run([sys.executable, "-c", HOLDS_AND_IS_KILLED, str(folder.path)], check=False)
    assert killed.returncode == -9
    with folder.held():
        assert folder.holder() == os.getpid()


def test_secrets_differ_by_purpose_and_stay(folder):
    first = folder.secret("one")
    assert first != folder.secret("two")
    assert RunFolder(folder.path).secret("one") == first


def test_secrets_differ_by_folder(folder, tmp_path):
    assert folder.secret("one") != RunFolder(tmp_path / "other").secret("one")


def test_what_holds_secrets_is_private(folder):
    folder.secret("one")
    with folder.published({"keys": {}}):
        for path in (folder.path / "secret", folder.endpoints):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not folder.endpoints.exists()


def test_removal_takes_what_was_placed_elsewhere(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "data").touch()
    (folder.path / "postgres").symlink_to(elsewhere)
    folder.remove()
    assert not folder.path.exists()
    assert not elsewhere.exists()


def test_what_a_killed_test_run_left_is_removed_and_a_live_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(run_folder, "_IN_MEMORY", tmp_path / "none")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leftover = tmp_path / f"oms-test-{ended.pid}-abc"
    alive = tmp_path / f"oms-test-{os.getppid()}-abc"
    for path in (leftover, alive):
        path.mkdir()
    with throw_away_folder() as folder:
        assert not leftover.exists()
        assert alive.exists()
        assert folder.path.parent == tmp_path
    assert not folder.path.exists()


def test_data_are_in_memory_where_there_is_room(tmp_path, monkeypatch):
    (memory := tmp_path / "memory").mkdir()
    (disk := tmp_path / "disk").mkdir()
    monkeypatch.setattr(run_folder, "_IN_MEMORY", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    for room, place in ((1, memory), (1 << 60, disk)):
        monkeypatch.setattr(run_folder, "_ROOM_BYTES", room)
        with throw_away_folder(in_memory=True) as folder:
            assert folder.path.parent == place
        with throw_away_folder() as folder:
            assert folder.path.parent == disk
    memory.rmdir()  # empty, and not everywhere is there one
    monkeypatch.setattr(run_folder, "_ROOM_BYTES", 1)
    with throw_away_folder(in_memory=True) as folder:
        assert folder.path.parent == disk


def test_only_its_account_can_list_a_throw_away_folder():
    with throw_away_folder() as folder:
        assert not stat.S_IMODE(Path(folder.path).stat().st_mode) & 0o066
