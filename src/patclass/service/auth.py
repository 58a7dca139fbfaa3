"""Authentication by API key, and rate limits. Knows keys and headers, no models."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from patclass.core.errors import ConfigError
from patclass.service.context import note
from patclass.service.errors import ApiError, Code
from patclass.service.keys import KeyFile, Role

# Callers with a bucket; beyond that, buckets unused for a minute are dropped.
_MAX_CALLERS = 10_000


class RateLimiter:
    """A token bucket for each caller, used from one thread."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = per_minute, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def acquire(self, caller: str) -> float:
        """Take a token from the caller's bucket; return 0, or the seconds until there is one."""
        now = self._clock()
        left, since = self._buckets.get(caller, (float(self._capacity), now))
        left = min(float(self._capacity), left + (now - since) * self._capacity / 60)
        if left < 1:
            self._buckets[caller] = (left, now)
            return (1 - left) * 60 / self._capacity
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > _MAX_CALLERS:
            self._buckets = {
                name: bucket for name, bucket in self._buckets.items() if now - bucket[1] < 60
            }
        return 0.0


_HOW_TO_SEND = "send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


Check = Callable[[Request], None]


def guarded_router(keys: KeyFile | None, role: Role, tag: str) -> APIRouter:
    """A router for holders of a key with the role, or for everybody if ``keys`` is None."""
    if keys is None:
        return APIRouter(tags=[tag])
    # The scheme is for the documentation; the route class checks before a body is read.
    scheme = Depends(HTTPBearer(auto_error=False, description="A key of 'patclass keys create'."))
    return APIRouter(
        tags=[tag], route_class=_guarded_route(_key_check(keys, role)), dependencies=[scheme]
    )


def _guarded_route(check: Check) -> type[APIRoute]:
    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                check(request)
                return await inner(request)

            return handle

    return Guarded


def _key_check(keys: KeyFile, role: Role) -> Check:
    def check(request: Request) -> None:
        presented = _presented(request)
        if presented is None:
            raise _unauthorized("no_key", f"an API key is required: {_HOW_TO_SEND}")
        try:
            key = keys.check(presented)
        except ConfigError as error:
            note(request.scope, reason=str(error))
            raise ApiError(503, "not_ready", "the API keys cannot be read; see the log") from error
        if key is None:
            raise _unauthorized("wrong_key", f"this API key is unknown or revoked; {_HOW_TO_SEND}")
        note(request.scope, key=key.name, key_id=key.id)
        if role is Role.ADMIN and key.role is not Role.ADMIN:
            raise ApiError(403, "forbidden", f"this requires a key with the role {role.value}")

    return check


def _presented(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


def _unauthorized(code: Code, message: str) -> ApiError:
    return ApiError(401, code, message, {"WWW-Authenticate": "Bearer"})
