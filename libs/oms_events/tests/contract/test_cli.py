"""`oms-events`: what it prints, what it writes, how it exits."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oms_events.registry import events
from oms_events.schema import baseline
from oms_events.schema.baseline import event_name
from oms_events.schema.cli import main

GET = {"get": {"responses": {"200": {}}}}
ORDER_PAID = "events/orders/OrderPaid.v1.schema.json"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    assert run("export", "--out", str(folder)) == 0
    return folder


@pytest.fixture
def released(out: Path) -> Path:
    """Contracts with an example of each event and a release of all but one."""
    for type_ in events():
        assert run("example", type_, "first", "--out", str(out)) == 0
    assert run("export", "--out", str(out)) == 0
    http = out / "openapi" / "oms.json"
    http.parent.mkdir()
    http.write_text(json.dumps({"paths": {"/v1/a": GET, "/v1/a/{id}": GET, "/v1/ab": GET}}))
    assert run("release", "1.0.0", "--without", "orders/OrderCompleted.v1", "--out", str(out)) == 0
    return out


def rewrite(path: Path, old: str, new: str) -> None:
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new), "utf-8")


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


def test_check_without_a_release_fails_and_says_why(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--out", str(out)) == 1
    assert "COMPATIBILITY NOT CHECKED" in capsys.readouterr().out


def promised_otherwise(released: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let the newest release have promised something else than what the code says."""
    before = baseline.load(released)
    events_then = copy.deepcopy(dict(before.events))
    change(events_then)
    baseline.save(released, replace(before, events=events_then))


def test_what_was_released_and_did_not_change_passes(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--out", str(released)) == 0
    assert "compatible with 1.0.0" in capsys.readouterr().out


def test_check_names_an_event_that_broke(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promised_otherwise(
        released, lambda was: was["orders/OrderPaid.v1"]["properties"]["paid_minor"].update(maximum=1000)
    )
    assert run("check", "--out", str(released)) == 1
    said = capsys.readouterr().out
    assert "incompatible with 1.0.0: orders/OrderPaid.v1 paid_minor: maximum changed from 1000 to" in said


def test_check_names_a_released_event_that_went(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promised_otherwise(released, lambda was: was.update({"orders/OrderForgotten.v1": was["orders/OrderPaid.v1"]}))
    assert run("check", "--out", str(released)) == 1
    assert "orders/OrderForgotten.v1 (as a whole): event removed" in capsys.readouterr().out


def test_check_names_an_http_operation_that_went(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (released / "openapi" / "oms.json").write_text(json.dumps({"paths": {"/v1/a": GET, "/v1/ab": GET}}))
    assert run("check", "--out", str(released)) == 1
    assert "incompatible with 1.0.0: GET /v1/a/{id} (as a whole): path removed" in capsys.readouterr().out


def test_check_without_the_http_api_is_no_proof(released: Path) -> None:
    (released / "openapi" / "oms.json").unlink()
    assert run("check", "--out", str(released)) == 1


def test_check_names_an_example_that_changed(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(released / "examples/orders/OrderPaid/v1/first.json", "EUR", "USD")
    assert run("check", "--out", str(released)) == 1
    assert "examples/orders/OrderPaid/v1/first.json was changed" in capsys.readouterr().out


def test_a_baseline_moved_by_hand_is_refused(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(released / "released" / "events.json", '"maximum": 1000000000000', '"maximum": 1000')
    assert run("check", "--out", str(released)) == 1
    assert "events.json was edited" in capsys.readouterr().out
    assert run("release", "1.1.0", "--out", str(released)) == 1


def test_a_release_promises_more_never_less(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("release", "1.1.0", "--without", "orders/OrderPaid.v1", "--out", str(released)) == 1
    assert "incompatible with 1.0.0: orders/OrderPaid.v1" in capsys.readouterr().out
    assert baseline.load(released).version == "1.0.0"
    assert run("release", "1.1.0", "--out", str(released)) == 0
    assert "listed examples/orders/OrderCompleted/v1/first.json" in capsys.readouterr().out
    assert baseline.load(released).covers("oms.orders.OrderCompleted.v1")
    assert run("check", "--out", str(released)) == 0


def test_what_a_release_leaves_out_may_still_change(released: Path) -> None:
    assert not baseline.load(released).covers("oms.orders.OrderCompleted.v1")
    rewrite(released / "examples/orders/OrderCompleted/v1/first.json", "2026", "2027")
    assert run("export", "--out", str(released)) == 0
    assert run("check", "--out", str(released)) == 0


def test_a_release_can_leave_out_paths_with_all_below_them(out: Path) -> None:
    http = out / "openapi" / "oms.json"
    http.parent.mkdir()
    http.write_text(json.dumps({"paths": {"/v1/a": GET, "/v1/a/{id}": GET, "/v1/a:batch": GET, "/v1/ab": GET}}))
    names = [event_name(type_) for type_ in events()]
    without = [word for name in (*names, "/v1/a") for word in ("--without", name)]
    assert run("release", "1.0.0", *without, "--out", str(out)) == 0
    assert baseline.load(out).http["paths"].keys() == {"/v1/ab"}


def test_a_release_needs_an_example_of_every_event(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("release", "1.0.0", "--out", str(out)) == 1
    assert "oms.orders.OrderPaid.v1 has no example" in capsys.readouterr().out
    assert not (out / "released").exists()


def test_an_example_can_be_given_as_data(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {
        "order_id": "8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11",
        "completed_at": "2026-03-02T09:00:00Z",
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    given = ["oms.orders.OrderCompleted.v1", "given", "--data", str(tmp_path / "data.json"), "--out", str(out)]
    assert run("example", *given) == 0
    path = Path(capsys.readouterr().out.split()[-1])
    assert json.loads(path.read_text()) == data
    assert run("example", *given) == 1
    assert "another name" in capsys.readouterr().err


def test_an_example_of_no_event_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("example", "oms.orders.OrderForgotten.v1", "x", "--out", str(out)) == 1
    assert "no event has the type" in capsys.readouterr().err


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


def test_leaving_out_what_is_not_there_exits_with_2(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("release", "1.1.0", "--without", "orders/OrderForgotten.v1", "--out", str(released)) == 2
    assert "orders/OrderForgotten.v1" in capsys.readouterr().err


def test_topics_says_in_one_line_that_no_broker_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("topics", "--bootstrap", "127.0.0.1:1") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "exit codes" in capsys.readouterr().out
