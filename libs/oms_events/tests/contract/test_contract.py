"""What events and their parts are made of."""

from dataclasses import FrozenInstanceError
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.registry import Event, events

LINE = {"line_id": "1", "sku": "A", "quantity": 2}


@pytest.mark.parametrize("model", events().values(), ids=lambda model: model.type)
def test_an_event_keeps_nothing_but_its_values(model: type[Event]) -> None:
    assert not hasattr(object.__new__(model), "__dict__")
    assert model.model_fields.keys() == set(model.__slots__)


def test_a_part_is_made_by_name_of_a_dictionary_or_of_json_and_equal_however_it_was_made() -> None:
    line = LineQuantity(line_id="1", sku="A", quantity=2)
    assert line == LineQuantity.model_validate(LINE) == LineQuantity.model_validate_json(line.model_dump_json())
    assert line.model_dump() == LINE
    assert {line: "found"}[LineQuantity.model_validate(LINE)] == "found"


def test_a_part_cannot_be_changed_only_copied_and_the_copy_is_checked() -> None:
    line = LineQuantity(**LINE)  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        line.quantity = 3  # type: ignore[misc]
    assert line.model_copy(update={"quantity": 3}).quantity == 3
    with pytest.raises(ValidationError):
        line.model_copy(update={"quantity": 0})


@pytest.mark.parametrize("extra", [{}, {"colour": "red"}])
def test_fields_that_a_newer_producer_added_are_passed_over_unless_they_are_forbidden(extra: dict[str, Any]) -> None:
    known = {"country": "GB"}
    assert Destination.model_validate(known | extra) == Destination(country="GB")
    if extra:
        with pytest.raises(ValidationError):
            Destination.model_validate_json('{"country": "GB", "colour": "red"}', extra="forbid")


def test_an_id_is_an_id_however_the_event_was_made() -> None:
    (model,) = (model for model in events().values() if model.__name__ == "OrderCompleted")
    said = {"order_id": "0190a1b2-0000-7000-8000-000000000001", "completed_at": "2026-03-02T09:00:00+01:00"}
    assert model.model_validate(said).order_id == UUID(said["order_id"])  # type: ignore[attr-defined]
