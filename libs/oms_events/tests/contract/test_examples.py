"""Examples that a release has never change; adding one is one command."""

import json
from pathlib import Path

import pytest

from oms_events.codec import decode
from oms_events.registry import current_type, events
from oms_events.schema import baseline, examples
from oms_events.schema.examples import BadExample, Example

PAID = "oms.orders.OrderPaid.v1"


def everything(_: str) -> bool:
    return True


def nothing(_: str) -> bool:
    return False


def only_paid(type_: str) -> bool:
    return type_ == PAID


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contracts folder with one example, listed."""
    examples.add(tmp_path, PAID, "in-full")
    assert examples.lock(tmp_path, only_paid) == ["examples/orders/OrderPaid/v1/in-full.json"]
    return tmp_path


def path_of(folder: Path, name: str = "in-full") -> Path:
    return folder / "examples" / "orders" / "OrderPaid" / "v1" / f"{name}.json"


def said(folder: Path) -> list[str]:
    return list(examples.problems(folder, only_paid))


def test_an_example_in_order_is_no_problem(folder: Path) -> None:
    assert said(folder) == []


def test_a_changed_example_is_refused_by_name(folder: Path) -> None:
    path_of(folder).write_text(path_of(folder).read_text().replace("EUR", "USD"))
    [problem] = said(folder)
    assert problem.startswith("examples/orders/OrderPaid/v1/in-full.json was changed")


def test_a_deleted_example_is_refused_by_name(folder: Path) -> None:
    path_of(folder).unlink()
    assert any("in-full.json was deleted" in problem for problem in said(folder))


def test_listing_again_does_not_heal_a_changed_example(folder: Path) -> None:
    path_of(folder).write_text(path_of(folder).read_text().replace("EUR", "USD"))
    assert examples.lock(folder, only_paid) == []
    assert "was changed" in said(folder)[0]


def test_a_new_example_of_a_released_event_must_be_listed(folder: Path) -> None:
    examples.add(folder, PAID, "in-part")
    assert said(folder) == [
        "examples/orders/OrderPaid/v1/in-part.json is not in examples.sha256: run `oms-events export`"
    ]
    assert examples.lock(folder, only_paid) == ["examples/orders/OrderPaid/v1/in-part.json"]
    assert said(folder) == []


def test_an_example_of_an_event_that_was_not_released_is_free(folder: Path) -> None:
    path = examples.add(folder, "oms.orders.OrderCompleted.v1", "early")
    assert examples.lock(folder, only_paid) == []
    path.write_text(path.read_text().replace("2026", "2027"))
    assert said(folder) == []


def test_a_released_event_needs_an_example(folder: Path) -> None:
    problems = list(examples.problems(folder, lambda type_: type_ in {PAID, "oms.orders.OrderCancelled.v1"}))
    assert problems == [
        "oms.orders.OrderCancelled.v1 has no example: `oms-events example oms.orders.OrderCancelled.v1 NAME`"
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ("{}", "order_id, the key of oms.orders.order.v1, is missing"),
        ('{"order_id": "x"}', "breaks its contract: order_id: uuid_parsing"),
        (
            '{"order_id": "8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11", "currency": "XXE", "paid_minor": 1, "paid_at": 0}',
            "breaks its contract: currency: value_error",
        ),
    ],
)
def test_an_example_that_nobody_can_read_is_refused(folder: Path, content: str, problem: str) -> None:
    path_of(folder, "bad").write_text(content)
    assert any(problem in found and "bad.json" in found for found in said(folder))


def test_an_example_of_no_event_is_refused(folder: Path) -> None:
    path = folder / "examples" / "orders" / "OrderForgotten" / "v1" / "x.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert any("no event has the type oms.orders.OrderForgotten.v1" in found for found in said(folder))


@pytest.mark.parametrize("type_", list(events()))
def test_plausible_data_is_there_for_every_event_and_is_read_by_it(tmp_path: Path, type_: str) -> None:
    path = examples.add(tmp_path, type_, "first")
    [example] = examples.read(tmp_path)
    assert example.path == str(path.relative_to(tmp_path))
    read = decode(examples.record_of(example))
    assert read.event.type == current_type(type_)
    assert json.loads(read.event.model_dump_json()).keys() == example.data.keys()


def test_an_example_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(BadExample, match="give the new one another name"):
        examples.add(folder, PAID, "in-full")


def test_data_that_the_event_would_not_read_is_not_written(folder: Path) -> None:
    with pytest.raises(BadExample, match="currency"):
        examples.add(folder, PAID, "odd", {"order_id": "8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11", "currency": "XXX"})
    assert not path_of(folder, "odd").exists()


def test_every_committed_example_is_read_by_our_codec(example: Example) -> None:
    read = decode(examples.record_of(example))
    assert read.meta.type == example.type
    assert read.event.type == current_type(example.type)
    assert read.meta.subject == str(example.data[read.event.topic.key])


def test_committed_examples_are_in_order(contracts: Path) -> None:
    assert list(examples.problems(contracts, baseline.load(contracts).covers)) == []
