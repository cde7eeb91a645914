"""Every service can be installed alone: it declares what it imports, and builds on the shared library only."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.services import DECLARED, ROOT

OWN = {canonicalize_name(f"oms-{service}") for service in DECLARED} | {"oms-local", "oms-sample"}


def requirements(pyproject: Path, *extras: str) -> dict[str, Requirement]:
    """What a package declares to need, by canonical name."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {canonicalize_name(needed.name): needed for needed in map(Requirement, lines)}


def imported_modules(folder: Path) -> Iterator[str]:
    """Top-level modules that the sources import, anywhere in them."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def undeclared(folder: Path, declared: AbstractSet[str], *, own: str) -> set[str]:
    """Third-party modules that the sources import and that no declared distribution brings."""
    modules = set(imported_modules(folder)) - sys.stdlib_module_names - {own}
    brought = packages_distributions()
    return {module for module in modules if not any(_is_declared(name, declared) for name in brought.get(module, []))}


def _is_declared(distribution: str, declared: AbstractSet[str]) -> bool:
    name = canonicalize_name(distribution)
    return name in declared or FOLLOWS.get(name) in declared


LIBRARY = ROOT / "libs" / "oms_events" / "pyproject.toml"
RUNTIME = requirements(LIBRARY, "runtime").keys()
# Pydantic and FastAPI pin these two to the version that fits: naming them as well would only make room for a clash.
FOLLOWS = {"pydantic-core": "pydantic", "starlette": "fastapi"}


@pytest.mark.parametrize("service", DECLARED)
def test_a_service_declares_what_it_imports(service: str) -> None:
    folder = ROOT / "services" / service
    declared = requirements(folder / "pyproject.toml")
    assert declared["oms-events"].extras == {"runtime"}
    assert undeclared(folder / "src", declared.keys() | RUNTIME, own=f"oms_{service}") == set()


@pytest.mark.parametrize("service", DECLARED)
def test_a_service_needs_no_other_service(service: str) -> None:
    declared = requirements(ROOT / "services" / service / "pyproject.toml")
    assert declared.keys() & OWN == set()


def test_the_library_declares_what_its_runtime_imports() -> None:
    runtime = LIBRARY.parent / "src" / "oms_events" / "runtime"
    assert undeclared(runtime, RUNTIME, own="oms_events") == set()


def test_an_import_that_nobody_declared_is_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("import json\nimport httpx\nfrom sqlalchemy.ext import asyncio\n")
    assert undeclared(tmp_path, {"sqlalchemy"}, own="own") == {"httpx"}
