"""Bounds on a request's body while it arrives: bytes, seconds, values, nesting. Knows ASGI only.

They are checked before the body is read as JSON: one that holds millions of values stops all other
requests while it is read, and takes a hundred times its size of memory.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from patclass.service.context import Scope, began_at

Receive = Callable[[], Awaitable[Any]]

# About what Python's reader of JSON takes; a patent that is nested less has its error in its place.
MAX_NESTING = 950

# Bytes that are counted at once: the rest is not looked at if they exceed a limit.
_SLICE = 65_536

_STRUCTURE, _OPENING = b"[]{}", b"[{"
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))


@dataclass(frozen=True)
class BodyLimits:
    """What a body may be.

    :param seconds: from the start of the request until its body is received.
    :param values: texts, numbers, lists and objects in it.
    """

    bytes: int
    seconds: float
    values: int


def bounded(scope: Scope, receive: Receive, limits: BodyLimits) -> Receive:
    """``receive`` of a request that raises an ``HTTPException`` if its body exceeds a limit."""
    # More digits than a body can have bytes say no more.
    declared = Headers(scope=scope).get("content-length", "")[:20]
    total = int(declared) if declared.isdecimal() else 0
    end = began_at(scope) + limits.seconds
    shape, received, complete = _Shape(limits.values), 0, False

    async def receive_bounded() -> Any:
        nonlocal received, complete
        if complete:  # only the end of the connection is left to come
            return await receive()
        if total > limits.bytes:
            raise _too_large(f"{limits.bytes:,} bytes")
        message = await _before(end, receive, limits.seconds)
        part = message.get("body", b"")
        received += len(part)
        if received > limits.bytes:
            raise _too_large(f"{limits.bytes:,} bytes")
        shape.add(part)
        complete = not message.get("more_body", False)
        return message

    return receive_bounded


async def _before(end: float, receive: Receive, seconds: float) -> Any:
    try:
        async with asyncio.timeout(end - time.monotonic()):
            return await receive()
    except TimeoutError:
        raise HTTPException(408, f"the body was not received within {seconds:g} seconds") from None


def _too_large(limit: str) -> HTTPException:
    return HTTPException(413, f"the body has more than {limit}")


class _Shape:
    """Counts the values and the nesting of JSON in parts, without reading it."""

    def __init__(self, values: int) -> None:
        self._values_left, self._nesting = values, 0
        self._quotes_left = 4 * values + 2  # of a name and of a value
        self._too_many = _too_large(f"{values:,} values")
        self._in_string = False
        self._escape = b""  # a backslash at the end of a part

    def add(self, part: bytes) -> None:
        """Count a part of the body.

        :raises HTTPException: if the parts so far exceed a limit, or are not in UTF-8.
        """
        for begin in range(0, len(part), _SLICE):
            self._add(part[begin : begin + _SLICE])

    def _add(self, part: bytes) -> None:
        if b"\0" in part:  # as in UTF-16, where other characters hold the bytes of quotation marks
            raise HTTPException(400, "the body is not JSON in UTF-8: it holds the byte 0")
        outside = self._outside_strings(part)
        # What is beyond the values left is not looked at, so that this takes no time either.
        self._check_nesting(outside.translate(None, _OTHERS)[: 2 * self._values_left])
        self._values_left -= sum(map(outside.count, (b",", b"[", b"{")))
        if self._values_left < 0:
            raise self._too_many

    def _outside_strings(self, part: bytes) -> bytes:
        plain = (self._escape + part).replace(b"\\\\", b"").replace(b'\\"', b"")
        self._escape = b"\\" if plain.endswith(b"\\") else b""
        self._quotes_left -= plain.count(b'"')
        if self._quotes_left < 0:
            raise self._too_many
        parts = plain.removesuffix(b"\\").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        return outside

    def _check_nesting(self, structure: bytes) -> None:
        for byte in structure:
            self._nesting += 1 if byte in _OPENING else -1
            if self._nesting > MAX_NESTING:
                raise HTTPException(400, f"the body is nested more than {MAX_NESTING} deep")
