"""The next version of the code: the shared contracts with one event changed the way contracts may change.

`OrderPlaced` gets an optional field, `OrderReleased` becomes version 2 with an upcaster from version 1. Everything else
is today's code. Who starts with the folder first on its path runs the next version.
"""

import shutil
from importlib import import_module
from pathlib import Path

_CHANGES = (
    ("    delivery_tier: str\n    ship_by: Instant | None = None\n", "    sales_region: str | None = None\n", "after"),
    ("@event(ORDER)\nclass OrderReleased(Event):", "@event(ORDER, version=2)\nclass OrderReleased(Event):", "instead"),
    ("    released_at: Instant\n    ship_by: Instant | None = None\n", "    gift: bool = False\n", "after"),
    ("from oms_events.registry import Event, Topic, event", ", upcast", "after"),
)
_UPCASTER = """

@upcast("oms.orders.OrderReleased.v1", "oms.orders.OrderReleased.v2")
def _nobody_asked_for_a_gift(data: dict[str, object]) -> dict[str, object]:
    return {"gift": False, **data}
"""


def write(folder: Path) -> Path:
    """Write the next version below `folder`; answers what goes on the path. Raises LookupError when today's contract
    no longer reads as it did, and the change must be written anew."""
    contract = Path(str(import_module("oms_events.contracts.orders").__file__))
    package = contract.parents[1]
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    text = contract.read_text("utf-8")
    for old, new, where in _CHANGES:
        if text.count(old) != 1:
            raise LookupError(f"{contract.name} has {text.count(old)} times: {old}")
        text = text.replace(old, old + new if where == "after" else new)
    (folder / package.name / "contracts" / contract.name).write_text(text + _UPCASTER, "utf-8")
    return folder
