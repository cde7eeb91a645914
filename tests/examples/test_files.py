"""The folders of the subscribers are whole, and their locks hold wherever they are installed from."""

import json
import re

import pytest

from .languages import EXAMPLES, LANGUAGES, Language, ToolMissing

LOCKS = ("python/requirements.txt", "node/package-lock.json", "go/go.sum")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry(lock: str) -> None:
    assert "://" not in (EXAMPLES / lock).read_text("utf-8")


def test_every_dependency_is_pinned_by_its_content() -> None:
    python = (EXAMPLES / "python/requirements.txt").read_text("utf-8")
    assert re.findall(r"^[a-z-]+==\S+ \\\n +--hash=sha256:", python, flags=re.MULTILINE)
    node = json.loads((EXAMPLES / "node/package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, package in node.items() if name and "integrity" not in package] == []


def test_every_folder_is_a_language_and_stands_in_the_readme() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == {language.name for language in LANGUAGES}
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    for language in LANGUAGES:
        assert f"| [{language.name}]({language.name}/{language.sources[0]}) |" in readme


def test_a_language_that_the_machine_lacks_is_said_loudly() -> None:
    cobol = Language("cobol", ("no-such-compiler",), (), lambda _: None, lambda _: [])
    with pytest.raises(ToolMissing, match="COBOL IS MISSING: no-such-compiler not found"):
        cobol.ready()
