"""The style sheet: every rule is for something that a page has."""

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

CONSOLE = files("oms_console")
STYLE = re.sub(r"/\*.*?\*/", "", CONSOLE.joinpath("static", "console.css").read_text("utf-8"), flags=re.DOTALL)
TEMPLATES = "\n".join(one.read_text("utf-8") for one in CONSOLE.joinpath("templates").iterdir())
CODE = "\n".join(
    one.read_text("utf-8")
    for folder in ("drawing", "pages")
    for one in CONSOLE.joinpath(folder).iterdir()
    if one.name.endswith(".py")
)


def selectors() -> Iterator[str]:
    """What stands before each block of declarations."""
    yield from re.findall(r"([^{}]+)\{[^{}]*\}", STYLE)


CLASSES = sorted({name for selector in selectors() for name in re.findall(r"\.([a-z][\w-]*)", selector)})
PROPERTIES = sorted(set(re.findall(r"(--[\w-]+):", STYLE)))


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_one_of_a_page(name: str) -> None:
    """It is named as a whole, or put together of a prefix and what the code draws by: `tone-{{ part.tone }}`."""
    prefix, _, rest = name.rpartition("-")
    put_together = f"{prefix}-{{{{" in TEMPLATES and (rest.isdigit() or _names(rest, CODE) or _names(rest, TEMPLATES))
    assert put_together or _names(name, TEMPLATES) or _names(name, CODE)


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_is_used(name: str) -> None:
    assert f"var({name})" in STYLE


def _names(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text) is not None
