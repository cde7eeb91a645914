"""The lock that images are built from: all that our programs declare, at the versions that are tested."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "libs" / "oms_events", *sorted(path.parent for path in (ROOT / "services").glob("*/pyproject.toml"))]
PIN = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>\S+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins(text: str) -> dict[str, str]:
    """Versions by canonical name."""
    return {canonicalize_name(found["name"]): found["version"] for found in PIN.finditer(text)}


def declared(project: dict[str, Any]) -> Iterable[Requirement]:
    """What a package needs, of its runtime extra too where it has one."""
    extras = project.get("optional-dependencies", {})
    return map(Requirement, [*project["dependencies"], *extras.get("runtime", []), *extras.get("schema", [])])


RUN = (ROOT / "requirements-run.lock").read_text("utf-8")
ALL = (ROOT / "requirements.lock").read_text("utf-8")


def test_images_get_the_versions_that_are_tested() -> None:
    tested = pins(ALL)
    assert pins(RUN)
    assert {
        name: (version, tested.get(name)) for name, version in pins(RUN).items() if tested.get(name) != version
    } == {}


def test_every_pin_has_hashes() -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", RUN)
    assert [block.split()[0] for block in blocks if not HASH.search(block)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_images_have_what_a_package_declares(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    ours = {needed for needed in map(str, declared(project)) if needed.startswith("oms-events")}
    there = pins(RUN)
    lacking = {
        str(needed)
        for needed in declared(project)
        if str(needed) not in ours and not needed.specifier.contains(there.get(canonicalize_name(needed.name), "0"))
    }
    assert lacking == set()
