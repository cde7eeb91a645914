"""Where the files of operations are, and Prometheus' own tool to judge them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"

Promtool = Callable[..., str]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Runs promtool and answers what it said. Fails the test when it finds fault."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("PROMTOOL IS MISSING: rules and dashboard are not checked (Debian: apt-get install prometheus)")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([found, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
