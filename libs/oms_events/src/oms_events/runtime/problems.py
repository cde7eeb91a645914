"""Errors of an HTTP API as RFC 9457 problem details that name the field and the rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from oms_events.runtime.retry import is_transient

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available for the moment",
}
_LISTED_ERRORS = 50
_AS_OF_MODELS = {
    "unexpected_keyword_argument": ("extra_forbidden", "Extra inputs are not permitted"),
    "dataclass_type": ("model_type", "Input should be an object"),
}
"""Rules of contracts under the names that pydantic's models give them: whoever posts a document need not know which
class reads it."""


class FieldError(BaseModel):
    """One broken rule."""

    field: str
    rule: str
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    """Raise it in an endpoint to answer with problem details."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.details = ProblemDetails(
            title=_TITLES.get(status, "Error"), status=status, detail=detail, errors=list(errors)
        )
        self.headers = headers

    def response(self) -> Response:
        return JSONResponse(
            self.details.model_dump(exclude_defaults=False),
            self.details.status,
            headers=dict(self.headers or {}),
            media_type=MEDIA_TYPE,
        )


def not_found(what: str) -> Problem:
    """404 for a thing that does not exist."""
    return Problem(404, f"{what} does not exist")


def field_errors(errors: Sequence[ErrorDetails], *, prefix: str = "") -> list[FieldError]:
    """Pydantic's errors as field and rule, without the input: that may be personal data."""
    return [_field_error(error, prefix) for error in errors[:_LISTED_ERRORS]]


def _field_error(error: ErrorDetails, prefix: str) -> FieldError:
    rule, detail = _AS_OF_MODELS.get(error["type"], (error["type"], error["msg"]))
    field = prefix + (".".join(str(part) for part in error["loc"]) or "body")
    return FieldError(field=field, rule=rule, detail=detail)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(OSError, _on_other_error)
    app.add_exception_handler(Exception, _on_other_error)


def _schema() -> dict[str, Any]:
    """The schema in one piece: FastAPI takes documented answers as they are and knows nothing of their `$defs`."""
    schema = ProblemDetails.model_json_schema()
    schema["properties"]["errors"]["items"] = schema.pop("$defs")["FieldError"]
    return schema


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is at fault", "content": {MEDIA_TYPE: {"schema": _schema()}}},
    "5XX": {"description": "The system is at fault or away", "content": {MEDIA_TYPE: {"schema": _schema()}}},
}
"""Documents the error answers of a route in OpenAPI."""


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = field_errors(error.errors())
    return Problem(422, f"{errors[0].field}: {errors[0].detail}", errors=errors).response()


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, str(error.detail), headers=error.headers).response()


async def _on_database_error(request: Request, error: Exception) -> Response:
    state = str(getattr(getattr(error, "orig", None), "sqlstate", "") or "")
    if state.startswith("22"):
        # A value no column can hold, such as a zero byte in a text: the caller's fault, found late.
        return Problem(422, "a value cannot be stored: it is out of range or holds forbidden characters").response()
    return await _on_other_error(request, error)


async def _on_other_error(request: Request, error: Exception) -> Response:
    if is_transient(error):
        return Problem(503, "try again shortly", headers={"retry-after": "2"}).response()
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return Problem(500, "the error has been logged").response()
