"""Who may call what. Knows keys and headers, no models."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from patclass.errors import ConfigError
from patclass.service.context import note
from patclass.service.keys import KeyFile, Role
from patclass.service.problems import Code, Problem

_WAY = "send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


Check = Callable[[Request], None]


def guarded_router(keys: KeyFile | None, role: Role, tag: str) -> APIRouter:
    """A router for holders of such a key, or for everybody if there are no keys."""
    if keys is None:
        return APIRouter(tags=[tag])
    # The scheme is for the documentation; who may not call is refused before a body is read.
    scheme = Depends(HTTPBearer(auto_error=False, description="A key of 'patclass keys create'."))
    return APIRouter(
        tags=[tag], route_class=_guarded_by(_demand(keys, role)), dependencies=[scheme]
    )


def _guarded_by(check: Check) -> type[APIRoute]:
    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                check(request)
                return await inner(request)

            return handle

    return Guarded


def _demand(keys: KeyFile, role: Role) -> Check:
    def check(request: Request) -> None:
        presented = _presented(request)
        if presented is None:
            raise _unknown("no_key", f"an API key is needed: {_WAY}")
        try:
            key = keys.check(presented)
        except ConfigError as problem:
            note(request.scope, reason=str(problem))
            raise Problem(503, "not_ready", "the keys cannot be read; see the log") from problem
        if key is None:
            raise _unknown("wrong_key", f"this API key is not known, or was revoked; {_WAY}")
        note(request.scope, key=key.name)
        if role is Role.ADMIN and key.role is not Role.ADMIN:
            raise Problem(403, "forbidden", f"this needs a key of the role {role.value}")

    return check


def _presented(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


def _unknown(code: Code, message: str) -> Problem:
    return Problem(401, code, message, {"WWW-Authenticate": "Bearer"})
