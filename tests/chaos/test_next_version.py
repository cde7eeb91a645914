"""The next version of the contracts is one that may be rolled out beside today's."""

import json
import subprocess
import sys
from pathlib import Path

from . import next_version

READ_BOTH = """
import json
from oms_events import registry
from oms_events.contracts.orders import OrderPlaced, OrderReleased
print(json.dumps({
    "type": OrderReleased.type,
    "today's": registry.current_type("oms.orders.OrderReleased.v1"),
    "upcast": registry.upcast_data("oms.orders.OrderReleased.v1", {"order_id": "x"}),
    "optional": not OrderPlaced.model_fields["sales_region"].is_required(),
    "placed": OrderPlaced.type,
}))
"""


def test_the_next_version_reads_what_today_writes(tmp_path: Path) -> None:
    path = next_version.write(tmp_path / "next")
    said = subprocess.run(
        [sys.executable, "-c", READ_BOTH], env={"PYTHONPATH": str(path)}, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == {
        "type": "oms.orders.OrderReleased.v2",
        "today's": "oms.orders.OrderReleased.v2",
        "upcast": {"order_id": "x", "gift": False},
        "optional": True,
        "placed": "oms.orders.OrderPlaced.v1",
    }
