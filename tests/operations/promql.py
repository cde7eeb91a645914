"""What a PromQL expression asks for: metrics, and the labels it names with each. Not a parser: promtool is that."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<matchers>[^}]*)\})?")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\((?P<labels>[^)]*)\)")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric by its name in the exposition, and the labels that the expression needs of it."""

    metric: str
    labels: frozenset[str]


def asked(expression: str, prefixes: tuple[str, ...]) -> Iterator[Asked]:
    """Metrics of these prefixes. Labels of a grouping count for every metric of the expression."""
    bare = _STRING.sub('""', expression)
    grouped = {label.strip() for found in _GROUPING.finditer(bare) for label in found["labels"].split(",")}
    for found in _SELECTOR.finditer(_GROUPING.sub(" ", bare)):
        if found["metric"].startswith(prefixes):
            yield Asked(found["metric"], frozenset(grouped | set(_LABEL.findall(found["matchers"] or ""))) - {""})
