"""Pages in one piece: style and script stand in the page, and the browser is told to run nothing else."""

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from markupsafe import Markup, escape

from oms_events.templates import environment

_TEMPLATES = files("oms_gateway.pages").joinpath("templates")
_STYLE = _TEMPLATES.joinpath("page.css").read_text("utf-8")
_SCRIPT = _TEMPLATES.joinpath("page.js").read_text("utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": f"default-src 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
}


def prose(text: str) -> Markup:
    """Markdown as far as descriptions use it: paragraphs, `code`, the words of a link. All else is text."""
    unlinked = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text or "")
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", unlinked) if part.strip()]
    return Markup("").join(Markup("<p>{}</p>").format(inline(paragraph)) for paragraph in paragraphs)


def inline(text: str) -> Markup:
    """`code` within a line."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate((text or "").split("`"))
    )


@cache
def _templates() -> Environment:
    templates = environment("oms_gateway.pages")
    templates.filters |= {"prose": prose, "inline": inline}
    templates.globals |= {"style": Markup(_STYLE), "script": Markup(_SCRIPT)}  # noqa: S704 - files of this package
    return templates


@dataclass(frozen=True)
class Page:
    """A page, ready to be sent; compressed, it is a tenth."""

    content: bytes
    compressed: bytes
    tag: str

    def answer(self, request: Request) -> Response:
        """The page, or 304 for who has it."""
        headers = {**_HEADERS, "etag": self.tag}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return HTMLResponse(self.compressed, headers={**headers, "content-encoding": "gzip"})
        return HTMLResponse(self.content, headers=headers)


def render(template: str, context: Mapping[str, Any]) -> Page:
    """A page of a template."""
    content = _templates().get_template(template).render(context).encode()
    return Page(content, gzip.compress(content, mtime=0), f'"{hashlib.sha256(content).hexdigest()[:32]}"')
