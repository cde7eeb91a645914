"""Who may sign in: the file, the passwords, the command line."""

import io
import json
import stat
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from oms_console import passwords, users
from oms_console.entrypoints.cli import main
from oms_console.roles import Role, role_for

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


def run(*arguments: str, said: str = "", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    main(arguments)


def test_a_password_is_right_or_wrong_and_never_stored() -> None:
    stored = passwords.hash_password(PASSWORD)
    assert passwords.verify(PASSWORD, stored)
    assert not passwords.verify(PASSWORD + "!", stored)
    assert PASSWORD not in stored
    assert passwords.hash_password(PASSWORD) != stored, "the same password twice must not look the same"


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_an_unfit_password_is_refused(password: str) -> None:
    with pytest.raises(passwords.Unfit, match="10 to 256"):
        passwords.hash_password(password)


def test_a_right_password_with_more_behind_its_end_is_wrong() -> None:
    longest = "x" * 256
    assert not passwords.verify(longest + "y", passwords.hash_password(longest))


def test_users_are_added_changed_and_removed(file: Path) -> None:
    users.add(file, name="ann", roles=[Role.OPERATOR, Role.FINANCE, Role.OPERATOR], password=PASSWORD)
    book = users.UserBook(file)
    ann = book.check("ann", PASSWORD)
    assert ann is not None
    assert ann.roles == (Role.OPERATOR, Role.FINANCE)
    assert book.check("ann", "another password") is None
    assert book.check("bob", PASSWORD) is None
    users.set_password(file, name="ann", password="another password")
    changed = users.UserBook(file).check("ann", "another password")
    assert changed is not None
    assert changed.stamp != ann.stamp, "a session of the old password must be worth nothing"
    users.remove(file, name="ann")
    assert users.UserBook(file).find("ann") is None


def test_a_change_of_the_file_is_seen_within_a_second(file: Path) -> None:
    users.add(file, name="ann", roles=[Role.VIEWER], password=PASSWORD)
    now = 0.0
    book = users.UserBook(file, monotonic=lambda: now)
    assert book.find("ann") is not None
    users.remove(file, name="ann")
    now = 1.5
    assert book.find("ann") is None
    assert book.problem() is not None


def test_a_broken_or_missing_file_locks_nobody_out(file: Path) -> None:
    users.add(file, name="ann", roles=[Role.VIEWER], password=PASSWORD)
    now = 0.0
    book = users.UserBook(file, monotonic=lambda: now)
    assert book.find("ann") is not None
    file.write_text("{")
    now = 2.0
    assert book.find("ann") is not None
    file.unlink()
    now = 4.0
    assert book.find("ann") is not None


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 65, "-x"])
def test_a_bad_name_is_refused(file: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        users.add(file, name=name, roles=[Role.VIEWER], password=PASSWORD)


def test_the_command_takes_the_password_from_standard_input(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ("users", "add", "--file", str(file), "--name", "ann", "--role", "finance")
    run(*add, said=f"{PASSWORD}\n", monkeypatch=monkeypatch)
    assert users.UserBook(file).check("ann", PASSWORD) is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run("users", "list", "--file", str(file), monkeypatch=monkeypatch)
    assert json.loads(capsys.readouterr().out) == {"name": "ann", "roles": ["finance"]}


@pytest.mark.parametrize(
    ("arguments", "said", "why"),
    [
        (("add", "--name", "ann", "--role", "viewer"), PASSWORD, "exists"),
        (("add", "--name", "bob", "--role", "viewer"), "short", "10 to 256"),
        (("add", "--name", "b b", "--role", "viewer"), PASSWORD, "name"),
        (("remove", "--name", "bob"), "", "no user is named bob"),
        (("password", "--name", "bob"), PASSWORD, "no user is named bob"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(  # noqa: PLR0917 - fixtures and cases
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
    why: str,
) -> None:
    users.add(file, name="ann", roles=[Role.VIEWER], password=PASSWORD)
    with pytest.raises(SystemExit) as ended:
        run("users", *arguments, "--file", str(file), said=said, monkeypatch=monkeypatch)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert why in printed
    assert printed.count("\n") == 1
    assert PASSWORD not in printed


@pytest.mark.parametrize(
    ("needed", "held", "acts"),
    [
        (Role.VIEWER, [Role.FINANCE], Role.FINANCE),
        (Role.VIEWER, [Role.FINANCE, Role.OPERATOR], Role.OPERATOR),
        (Role.OPERATOR, [Role.VIEWER, Role.FINANCE], None),
        (Role.FINANCE, [Role.OPERATOR], None),
        (Role.FINANCE, [Role.OPERATOR, Role.FINANCE], Role.FINANCE),
        (Role.VIEWER, [], None),
    ],
)
def test_in_which_role_somebody_acts(needed: Role, held: list[Role], acts: Role | None) -> None:
    assert role_for(needed, held) is acts
