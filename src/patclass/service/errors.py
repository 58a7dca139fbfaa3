"""Every answer that is no result, in one shape. Knows HTTP statuses, no models."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from patclass.service.context import request_id_of

Code = Literal[
    "bad_request",
    "invalid",
    "text_invalid",
    "no_key",
    "wrong_key",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "unknown_model",
    "reload_failed",
    "body_too_large",
    "request_too_large",
    "queue_full",
    "unknown_label",
    "unknown_prediction",
    "no_case",
    "not_yours",
    "text_differs",
    "too_often",
    "key_reused",
    "not_kept",
    "not_ready",
    "deadline_exceeded",
    "internal",
]


class ErrorBody(BaseModel):
    """What went wrong: a code for programs, a sentence for people."""

    code: Code
    message: str = Field(examples=["the queue is full; try again in 2 seconds"])


class ErrorResponse(BaseModel):
    """The body of every answer that is not 2xx."""

    error: ErrorBody
    request_id: str = Field(description="Also in the header X-Request-ID, and in the log.")


class Problem(Exception):  # noqa: N818
    """A refusal with its status."""

    def __init__(
        self, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})


_MEANING = {
    400: "The body is not JSON.",
    401: "A key is needed, or the one given is not known.",
    403: "The key does not allow this.",
    404: "There is no such model, prediction or page, or no case waits.",
    409: "What is there already stands against it; the message says what.",
    413: "The request is larger than is accepted at all.",
    422: "A field is missing, misspelt or out of range, or the text cannot be used.",
    429: "The queue is full, or somebody calls too often; try again after Retry-After seconds.",
    503: "The service is starting, draining, or cannot read its keys or keep feedback.",
    504: "Not answered within the deadline.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the refusals that a route can give."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": ErrorResponse, "description": _MEANING[status]}
    if 429 in found:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        found[429]["headers"] = {"Retry-After": seconds}
    return found


_CODES: dict[int, Code] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


def install(app: FastAPI) -> None:
    """Give ``app`` the handlers that turn every error into the one shape."""
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)


def response(
    request_id: str, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The one shape."""
    told = message.encode(errors="replace").decode()  # it may quote half a surrogate pair
    body = {"error": {"code": code, "message": told}, "request_id": request_id}
    return JSONResponse(body, status, dict(headers or {}))


async def _of_problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    given = (problem.status, problem.code, problem.message, problem.headers)
    return response(request_id_of(request.scope), *given)


async def _of_validation(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    if first["type"] == "json_invalid":
        message = f"the body is not JSON: {first['ctx']['error']}"
        return response(request_id_of(request.scope), 400, "bad_request", message)
    # Of the ways in which a value could have been meant, the one that went furthest.
    nearest = max(problem.errors(), key=lambda error: len(error["loc"]))
    where = ".".join(str(part) for part in nearest["loc"])
    message = f"{where}: {nearest['msg'][:1].lower()}{nearest['msg'][1:]}"
    return response(request_id_of(request.scope), 422, "invalid", message)


async def _of_http(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    code = _CODES.get(problem.status_code, "bad_request")
    message = f"{request.method} {request.url.path}: {str(problem.detail).lower()}"
    headers = problem.headers
    return response(request_id_of(request.scope), problem.status_code, code, message, headers)
