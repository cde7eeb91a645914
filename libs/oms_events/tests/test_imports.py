"""A subscriber needs pydantic and nothing else; the command line needs no runtime."""

import json
import subprocess
import sys

import pytest

_PROBE = """
import importlib.abc, json, sys

allowed = set(json.loads(sys.argv[1])) | set(sys.stdlib_module_names)
refused = set()

class Gate(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and not top.startswith(("__editable__", "_sysconfigdata")):
            refused.add(top)
            raise ModuleNotFoundError(f"{name} is not allowed here", name=name)

sys.meta_path.insert(0, Gate())
exec(sys.argv[2])
print(json.dumps(sorted(refused)))
"""
_PYDANTIC = ["oms_events", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"]


def run(code: str, *more: str) -> list[str]:
    """Run code that can import the standard library and pydantic; answers what else was asked for in vain."""
    command = [sys.executable, "-c", _PROBE, json.dumps([*_PYDANTIC, *more]), code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", ["contracts", "values", "envelope", "registry", "codec"])
def test_the_contracts_and_the_codec_need_pydantic_only(module: str) -> None:
    run(f"import oms_events.{module}")


def test_values_need_the_standard_library_only() -> None:
    run("import sys, oms_events.values; assert 'pydantic' not in sys.modules")


def test_a_subscriber_reads_an_event_with_the_codec_alone() -> None:
    run(
        """
from oms_events.codec import Record, decode
headers = [("ce_id", b"0194c1f0-5d0e-8c3b-9a53-0d6f2a6e7b11"), ("ce_type", b"oms.orders.OrderCancelled.v1"),
           ("ce_source", b"/oms/orders"), ("ce_time", b"2026-03-02T09:00:00Z")]
value = b'{"order_id": "8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11", "reason": "r"}'
assert decode(Record("oms.orders.order.v1", None, value, headers)).event.reason == "r"
"""
    )


def test_the_schema_tools_need_no_runtime() -> None:
    run("import oms_events.schema.diff")
    run("import oms_events.schema.cli", "yaml", "_yaml")


def test_the_gate_of_this_test_is_shut() -> None:
    assert run("try:\n    import sqlalchemy\nexcept ModuleNotFoundError:\n    pass") == ["sqlalchemy"]
