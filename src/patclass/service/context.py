"""The state of one request: its id, its start, and the fields of its log line."""

import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID, _FACTS, _BEGAN = "patclass.request_id", "patclass.facts", "patclass.began"


def begin(scope: Scope, client_id: str | None) -> str:
    """Start a request; return its id: that of the client if it is safe to log, else a new one."""
    valid = client_id is not None and _VALID_ID.fullmatch(client_id)
    scope[_ID] = client_id if valid else secrets.token_hex(8)
    scope[_FACTS] = {}
    scope[_BEGAN] = time.monotonic()
    return str(scope[_ID])


def request_id_of(scope: Scope) -> str:
    """The request's id."""
    return str(scope.get(_ID, ""))


def began_at(scope: Scope) -> float:
    """The start of the request, by the monotonic clock."""
    return float(scope[_BEGAN])


def note(scope: Scope, **facts: object) -> None:
    """Add fields to the log line of this request; never a patent's text."""
    scope.setdefault(_FACTS, {}).update(facts)


def facts_of(scope: Scope) -> dict[str, object]:
    """The fields that were added."""
    return dict(scope.get(_FACTS, {}))
