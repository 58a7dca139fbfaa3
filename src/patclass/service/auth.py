"""Who may call: API keys, web pages without keys, rate limits. Knows headers, no models."""

import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from patclass.core.errors import ConfigError
from patclass.offices.settings import hostname_of, on_loopback
from patclass.service.context import note
from patclass.service.errors import ApiError, Code, documented
from patclass.service.keys import KeyFile, Role
from patclass.service.settings import ServiceSettings

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


def guarded_router(
    settings: ServiceSettings, keys: KeyFile | None, role: Role, tag: str
) -> APIRouter:
    """A router for holders of a key with the role.

    :param keys: None admits everybody, on loopback except web pages of others.
    """
    responses = documented(403)
    if keys is None:
        route = _guarded_route(_page_check(settings)) if settings.on_loopback else APIRoute
        return APIRouter(tags=[tag], responses=responses, route_class=route)
    # The scheme is for the documentation; the route class checks before a body is read.
    scheme = Depends(HTTPBearer(auto_error=False, description="A key of 'patclass keys create'."))
    return APIRouter(
        tags=[tag],
        responses=responses,
        route_class=_guarded_route(_key_check(keys, role)),
        dependencies=[scheme],
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


def _page_check(settings: ServiceSettings) -> Check:
    """Only programs of this machine are admitted: pages of others, open in a browser, are not."""

    def check(request: Request) -> None:
        host = request.headers.get("host", "")
        if not _is_here(host, settings.allowed_hosts):
            raise ApiError(
                403,
                "forbidden",
                f"host: {host[:100]} is not this machine; call it as localhost, or list the name "
                "in the setting allowed_hosts",
            )
        admitted = "*" in settings.cors or request.headers.get("origin") in settings.cors
        if _is_of_another_page(request) and not admitted:
            raise ApiError(
                403,
                "forbidden",
                "the request comes from a web page of another origin; list that in the setting "
                "cors to admit it",
            )

    return check


def _is_here(host: str, allowed: Collection[str]) -> bool:
    """Whether a Host header names this machine; a browser always sends one."""
    name = hostname_of(host)
    return not host or (name is not None and (on_loopback(name) or name in allowed))


def _is_of_another_page(request: Request) -> bool:
    """Whether a browser sends this for a page of another origin. No page can set these headers."""
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if site is None:  # no browser, or an old one
        origin = headers.get("origin")
        return origin is not None and origin.partition("://")[2] != headers.get("host")
    followed = headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
    return site not in ("same-origin", "none") and not followed


def _presented(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


def _unauthorized(code: Code, message: str) -> ApiError:
    return ApiError(401, code, message, {"WWW-Authenticate": "Bearer"})
