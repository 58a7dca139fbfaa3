"""Who may call what, and how often. Knows keys and headers, no models."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from patclass.core.errors import ConfigError
from patclass.service.context import note
from patclass.service.errors import Code, Problem
from patclass.service.keys import KeyFile, Role

# Callers that are remembered; beyond them, those that have been quiet are forgotten.
_CALLERS = 10_000


class Rate:
    """A bucket for each caller that fills evenly (token bucket), used from one thread."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = a_minute, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> float:
        """Take one from the caller's bucket; else the seconds until there is one again."""
        now = self._clock()
        left, since = self._buckets.get(caller, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * self._most / 60)
        if left < 1:
            self._buckets[caller] = (left, now)
            return (1 - left) * 60 / self._most
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > _CALLERS:
            minute = {name: seen for name, seen in self._buckets.items() if now - seen[1] < 60}
            self._buckets = minute
        return 0.0


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
