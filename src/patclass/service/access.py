"""Who may call what. Knows keys and headers, no models."""

from collections.abc import Callable

from fastapi import Request

from patclass.errors import ConfigError
from patclass.service.context import note
from patclass.service.keys import KeyFile, Role
from patclass.service.problems import Problem

_WAY = "send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


def demand(keys: KeyFile | None, role: Role) -> Callable[[Request], None]:
    """A dependency that lets holders of such a key through, or everybody if there are no keys."""

    def check(request: Request) -> None:
        if keys is None:
            return
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


def _unknown(code: str, message: str) -> Problem:
    headers = {"WWW-Authenticate": "Bearer"}
    if code == "no_key":
        return Problem(401, "no_key", message, headers)
    return Problem(401, "wrong_key", message, headers)
