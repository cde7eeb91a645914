"""One request of one person: who they are, how things are said to them, and the ways to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from oms_console import i18n, stopwatch
from oms_console.gateway import Api
from oms_console.i18n import Tongue
from oms_console.roles import Role, role_for
from oms_console.sessions import Notice, Session
from oms_console.users import User
from oms_events.values import time_zones

if TYPE_CHECKING:
    from oms_console.console import Console

THEMES = ("auto", "light", "dark")
TOKEN_FIELD = "token"  # noqa: S105 - the name of a field
FRAGMENT = "x-fragment"
"""The header by which our script says that it is not the browser itself that asks."""
FIELD_LIMIT = 4000
FORM_BYTES = 256 * 1024
_YEAR_S = 365 * 86_400
_NOTICE_S = 60


class NotSignedIn(Exception):
    """The page is for people who signed in."""


class NotAllowed(Exception):
    """The page needs a role that the person does not have."""

    def __init__(self, needed: Role) -> None:
        super().__init__(needed)
        self.needed = needed


class Forged(Exception):
    """A form that no page of ours in this session has sent."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What a person chose for themselves; kept in a cookie of its own that outlives sessions."""

    language: str
    theme: str
    zone: str

    @staticmethod
    def read(cookie: str, *, language: str, zone: str) -> "Taste":
        """The choices of a cookie, each replaced by what holds without it where it is none of ours."""
        parts = [*cookie.split("~"), "", "", ""][:3]
        return Taste(
            parts[0] if parts[0] in i18n.LANGUAGES else language,
            parts[1] if parts[1] in THEMES else THEMES[0],
            parts[2] if parts[2] in time_zones() else zone,
        )

    def write(self) -> str:
        """The cookie's value."""
        return "~".join((self.language, self.theme, self.zone))


@dataclass(slots=True)
class Visit:
    """What a page gets: the request and all that belongs to it."""

    console: "Console"
    request: Request
    session: Session
    user: User | None
    taste: Taste
    ended: bool = False
    """Whether there was a session that holds no longer."""
    renew: bool = False
    tongue: Tongue = field(init=False)

    def __post_init__(self) -> None:
        self.tongue = Tongue(self.taste.language, self.taste.zone)

    # who

    def may(self, role: Role) -> bool:
        """Whether the person may do what asks for a role."""
        return self.user is not None and role_for(role, self.user.roles) is not None

    def api(self, role: Role = Role.VIEWER) -> Api:
        """The gateway's API in a role of the person. Raises NotSignedIn, NotAllowed."""
        if self.user is None:
            raise NotSignedIn
        acting = role_for(role, self.user.roles)
        if acting is None:
            raise NotAllowed(role)
        return self.console.apis.of(acting)

    @property
    def name(self) -> str:
        """Who acts, for what the system remembers of it."""
        assert self.user is not None
        return self.user.name

    # what was asked

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address, without blanks around it."""
        return self.request.query_params.get(name, default).strip()[:FIELD_LIMIT]

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    async def form(self, *, largest_bytes: int = FORM_BYTES) -> FormData:
        """The form, once it is proven to be ours. Raises Forged, and HTTPException for one that is too large or does
        not tell its length."""
        length = self.request.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            raise HTTPException(411)
        if int(length) > largest_bytes:
            raise HTTPException(413)
        form = await self.request.form(max_files=1, max_fields=600, max_part_size=64 * 1024)
        token = form.get(TOKEN_FIELD)
        if not isinstance(token, str) or not self.console.seal.is_token(self.session, token):
            raise Forged
        return form

    # how to answer

    def show(self, template: str, status: int = 200, **context: Any) -> Response:  # noqa: ANN401 - for the template
        """A page."""
        notice = self.console.seal.read_notice(self.request.cookies.get(self.console.cookie("notice"), ""))
        with stopwatch.current.get().rendering():
            content = self.console.templates.render(template, visit=self, notice=notice, **context)
        answer = HTMLResponse(content, status)
        if notice is not None:
            self._forget(answer, "notice")
        if self.renew or self.ended or not self.request.cookies.get(self.console.cookie("session")):
            self.write_session(answer)
        return answer

    def fragment(self, template: str, **context: Any) -> Response:  # noqa: ANN401
        """A part of a page, for a script of ours that puts it in its place. It does not renew the session."""
        with stopwatch.current.get().rendering():
            return HTMLResponse(self.console.templates.render(template, visit=self, notice=None, **context))

    def go(self, path: str, notice: Notice | None = None) -> Response:
        """To another page of ours, which then shows the notice."""
        path = local_path(path)
        if FRAGMENT in self.request.headers:  # a script asks: it shall see where to, not what is there
            answer = Response(status_code=204, headers={"x-location": path})
        else:
            answer = RedirectResponse(path, 303)
        if notice is not None:
            self._write(answer, "notice", self.console.seal.write_notice(notice), _NOTICE_S)
        return answer

    def write_session(self, answer: Response) -> None:
        """Send the session's cookie, which is young again."""
        self._write(answer, "session", self.console.seal.write(self.session), None)

    def write_taste(self, answer: Response) -> None:
        """Send the cookie of the person's choices."""
        self._write(answer, "taste", self.taste.write(), _YEAR_S)

    def with_(self, **changes: str) -> Taste:
        """The person's choices with some replaced."""
        return replace(self.taste, **changes)

    @property
    def token(self) -> str:
        """What a form must send back."""
        return self.console.seal.token(self.session)

    @property
    def here(self) -> str:
        """Path and query of this page."""
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    def address(self, path: str, **query: str | int | None) -> str:
        """A path with a query; parameters without a value are left out."""
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{path}?{urlencode(asked)}" if asked else path

    def _write(self, answer: Response, cookie: str, value: str, max_age: int | None) -> None:
        answer.set_cookie(
            self.console.cookie(cookie),
            value,
            max_age=max_age,
            path="/",
            secure=self.console.settings.console_secure_cookies,
            httponly=True,
            samesite="lax",
        )

    def _forget(self, answer: Response, cookie: str) -> None:
        self._write(answer, cookie, "", 0)


def local_path(path: str) -> str:
    """The path if it is one of ours, or that of the first page: never another host, whatever a form says."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if ours and all(character.isprintable() for character in path) else "/"


def text_of(form: Mapping[str, str | UploadFile], name: str, *, longest: int = FIELD_LIMIT) -> str:
    """A text of a form, without blanks around it."""
    value = form.get(name, "")
    return value.strip()[:longest] if isinstance(value, str) else ""


def texts_of(form: FormData, name: str) -> Sequence[str]:
    """All texts of a form by that name."""
    return [value for value in form.getlist(name) if isinstance(value, str)]
