"""The table of promises names every test, and no test that is not there."""

import re
from pathlib import Path

HERE = Path(__file__).parent
APART = {"test_memory_broker.py", "test_readme.py", "test_together.py"}


def test_every_promise_has_its_test_and_every_test_its_promise() -> None:
    named = re.findall(r"`(test_\w+)`", (HERE / "README.md").read_text())
    written = [
        name
        for path in HERE.glob("test_*.py")
        if path.name not in APART
        for name in re.findall(r"^async def (test_\w+)", path.read_text(), re.MULTILINE)
    ]
    assert sorted(named) == sorted(written)
