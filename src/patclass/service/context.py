"""What is known of the request at hand: its id, who asks, what the log is to say of it."""

import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID, _FACTS, _BEGAN = "patclass.request_id", "patclass.facts", "patclass.began"


def begin(scope: Scope, given: str | None) -> str:
    """Start a request; its id is the caller's, if that is fit to be written anywhere."""
    fit = given is not None and _GIVEN.fullmatch(given)
    scope[_ID] = given if fit else secrets.token_hex(8)
    scope[_FACTS] = {}
    scope[_BEGAN] = time.monotonic()
    return str(scope[_ID])


def request_id_of(scope: Scope) -> str:
    """The request's id."""
    return str(scope.get(_ID, ""))


def began_at(scope: Scope) -> float:
    """When the request came, by the monotonic clock."""
    return float(scope[_BEGAN])


def note(scope: Scope, **facts: object) -> None:
    """Have the log say something of this request; never a patent's text."""
    scope.setdefault(_FACTS, {}).update(facts)


def facts_of(scope: Scope) -> dict[str, object]:
    """All that was noted."""
    return dict(scope.get(_FACTS, {}))
