"""Errors of the API, all with one body. Knows HTTP statuses, no models."""

from collections.abc import Iterator, Mapping, Sequence
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
    "reload_running",
    "body_too_large",
    "body_too_slow",
    "request_too_large",
    "not_json",
    "queue_full",
    "unknown_label",
    "unknown_prediction",
    "no_case",
    "not_claimed",
    "text_differs",
    "rate_limited",
    "key_reused",
    "not_stored",
    "not_ready",
    "number_invalid",
    "unknown_number",
    "no_text",
    "office_busy",
    "office_unavailable",
    "deadline_exceeded",
    "internal",
]


class ErrorBody(BaseModel):
    """An error: a code for programs, and a message."""

    code: Code
    message: str = Field(examples=["the queue is full; try again in 2 seconds"])


class ErrorResponse(BaseModel):
    """The body of every response that is not 2xx."""

    error: ErrorBody
    request_id: str = Field(description="Also in the header X-Request-ID, and in the log.")


class ApiError(Exception):
    """An error response: status, code, message and headers."""

    def __init__(
        self, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})


_DESCRIPTIONS = {
    400: "The body is not JSON.",
    401: "The API key is missing or not valid.",
    403: "The API key has not the required role. Without keys: the request comes from a web page "
    "of another origin, or names a host that is not this machine.",
    404: "There is no such model, prediction or page, or no case to review.",
    408: "The body was not received before the deadline.",
    409: "The request conflicts with the current state; the message says how.",
    413: "The request exceeds a size limit.",
    415: "The body is not sent as JSON: the header Content-Type: application/json is missing.",
    422: "A field is missing, unknown or out of range, or the text cannot be used.",
    429: "The queue is full or the rate limit is reached; retry after Retry-After seconds.",
    503: "The service is starting or stopping, or its keys or its store are unavailable.",
    504: "The deadline passed before the prediction was ready.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI documentation of a route's error responses."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        responses[status] = {"model": ErrorResponse, "description": _DESCRIPTIONS[status]}
    if 429 in responses:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        responses[429]["headers"] = {"Retry-After": seconds}
    return responses


_CODES: dict[int, Code] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_too_slow",
    413: "body_too_large",
}


def install(app: FastAPI) -> None:
    """Add the handlers to ``app`` that turn every error into an ``ErrorResponse``."""
    app.add_exception_handler(ApiError, _handle_api_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_error)


def response(
    request_id: str, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An ``ErrorResponse``."""
    printable = message.encode(errors="replace").decode()  # may quote half a surrogate pair
    body = {"error": {"code": code, "message": printable}, "request_id": request_id}
    return JSONResponse(body, status, dict(headers or {}))


async def _handle_api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    request_id = request_id_of(request.scope)
    return response(request_id, error.status, error.code, error.message, error.headers)


async def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    request_id, first = request_id_of(request.scope), error.errors()[0]
    if first["type"] == "json_invalid":
        message = f"the body is not JSON: {first['ctx']['error']}"
        return response(request_id, 400, "bad_request", message)
    if isinstance(error.body, bytes):  # it was not read as JSON
        sent = request.headers.get("Content-Type", "")[:100]
        message = (
            f"the body is sent {f'as {sent!r}' if sent else 'without a type'}; expected JSON with "
            "the header Content-Type: application/json. With curl: "
            "-H 'Content-Type: application/json'."
        )
        return response(request_id, 415, "not_json", message)
    # A union reports an error for each of its members; the deepest one is of the member meant.
    nearest = max(error.errors(), key=lambda each: len(each["loc"]))
    kind, *place = nearest["loc"]
    where = ".".join([str(kind), *(_path_in(error.body, place) if kind == "body" else place)])
    return response(request_id, 422, "invalid", f"{where}: {reason_of(nearest)}")


# Characters of a field's name in a message.
_NAME = 100


def _path_in(value: Any, place: Sequence[int | str]) -> Iterator[str]:
    """The fields and positions that lead to an error, without the types that were tried."""
    for number, part in enumerate(place, 1):
        is_position = isinstance(value, list) and isinstance(part, int)
        if is_position or (isinstance(value, dict) and part in value):
            value = value[part]
            yield str(part)[:_NAME]
        elif isinstance(value, dict) and number == len(place):  # a missing field
            yield str(part)


def reason_of(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, without names of types."""
    if error["type"] in ("model_type", "model_attributes_type"):
        return "expected a JSON object with named fields"
    message: str = error["msg"]
    return message[:1].lower() + message[1:]


async def _handle_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "bad_request")
    message = f"{request.method} {request.url.path}: {str(error.detail).lower()}"
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    return response(request_id_of(request.scope), error.status_code, code, message, headers)
