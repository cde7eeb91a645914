"""`oms-events`: what it prints, what it writes, how it exits."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from oms_events.schema.cli import main

ORDER_PAID = "events/orders/OrderPaid.v1.schema.json"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    assert run("export", "--out", str(folder)) == 0
    return folder


@pytest.fixture
def released(out: Path) -> Path:
    """The contracts, committed and tagged in a repository of their own."""
    git(out.parent, "init", "--quiet")
    git(out.parent, "add", ".")
    git(out.parent, "commit", "--quiet", "-m", "contracts")
    git(out.parent, "tag", "v1.0.0")
    return out


def rewrite(path: Path, old: str, new: str) -> None:
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new), "utf-8")


def release_with(out: Path, old: str, new: str) -> None:
    """Release a contract that differed, and let today's files follow the code again."""
    rewrite(out / ORDER_PAID, old, new)
    git(out.parent, "commit", "--quiet", "-am", "as it was")
    git(out.parent, "tag", "v1.1.0")
    assert run("export", "--out", str(out)) == 0


def test_export_writes_only_what_changed_and_removes_what_is_no_event(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = out / "events" / "orders" / "OrderForgotten.v1.schema.json"
    stale.write_text("{}")
    (out / ORDER_PAID).write_text("{}")
    note = out / "events" / "orders" / "notes.txt"
    note.write_text("kept")
    capsys.readouterr()
    assert run("export", "--out", str(out)) == 0
    assert capsys.readouterr().out.split() == ["events/orders/OrderForgotten.v1.schema.json", ORDER_PAID]
    assert not stale.exists()
    assert note.read_text() == "kept"
    assert json.loads((out / ORDER_PAID).read_text())["title"] == "OrderPaid"


def test_check_names_the_files_that_drifted(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(out / ORDER_PAID, '"title": "OrderPaid"', '"title": "Paid"')
    (out / "asyncapi.yaml").unlink()
    assert run("check", "--out", str(out)) == 1
    said = capsys.readouterr().out
    assert ORDER_PAID in said
    assert "asyncapi.yaml" in said
    assert said.count("drift:") == 2


def test_check_without_a_release_says_loudly_that_it_compared_nothing(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "--out", str(out)) == 0
    assert "COMPATIBILITY NOT CHECKED" in capsys.readouterr().err


def test_check_compares_with_the_newest_tag(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--out", str(released)) == 0
    assert "compatible with v1.0.0" in capsys.readouterr().out
    release_with(released, '"maximum": 1000000000000', '"maximum": 1000')
    capsys.readouterr()
    assert run("check", "--out", str(released)) == 1
    said = capsys.readouterr().out
    assert "incompatible with v1.1.0: orders/OrderPaid.v1 paid_minor: maximum changed from 1000 to" in said
    assert run("check", "--out", str(released), "--base", "v1.0.0") == 0


def test_check_compares_with_a_folder(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tmp_path / "before"
    shutil.copytree(out, before)
    assert run("check", "--out", str(out), "--base", str(before)) == 0
    rewrite(before / ORDER_PAID, '"x-topic": "oms.orders.order.v1"', '"x-topic": "oms.orders.money.v1"')
    assert run("check", "--out", str(out), "--base", str(before)) == 1
    assert "topic changed from oms.orders.money.v1 to oms.orders.order.v1" in capsys.readouterr().out


def test_a_base_without_schemas_is_no_proof(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run("check", "--out", str(out), "--base", str(tmp_path / "empty")) == 0
    assert "COMPATIBILITY NOT CHECKED" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["topics"],
        ["topics", "--bootstrap", "127.0.0.1:1", "--partitions", "0"],
        ["topics", "--bootstrap", "127.0.0.1:1", "--replication", "many"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments) == 2


def test_an_unknown_base_exits_with_2(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--out", str(released), "--base", "no-such-ref") == 2
    assert "no-such-ref" in capsys.readouterr().err


def test_topics_says_in_one_line_that_no_broker_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("topics", "--bootstrap", "127.0.0.1:1") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "exit codes" in capsys.readouterr().out
