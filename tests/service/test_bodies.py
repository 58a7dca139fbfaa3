"""Bounds on a body while it arrives, part by part."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from patclass.service.bodies import MAX_NESTING, BodyLimits, _Shape, bounded
from patclass.service.context import begin


def receive_all(parts: Sequence[bytes], headers: Sequence[Any] = (), **limits: Any) -> list[Any]:
    """What an application receives of a body that arrives in these parts; then nothing more."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def run() -> list[Any]:
        scope: dict[str, Any] = {"headers": list(headers)}
        begin(scope, None)
        most = BodyLimits(**{"bytes": 10_000, "seconds": 60.0, "values": 100} | limits)
        receive_bounded = bounded(scope, receive, most)
        found = [await receive_bounded()]
        while found[-1]["more_body"]:
            found.append(await receive_bounded())
        return found

    return asyncio.run(run())


def refusal_of(parts: Sequence[bytes], **limits: Any) -> tuple[int, str]:
    with pytest.raises(HTTPException) as problem:
        receive_all(parts, **limits)
    return problem.value.status_code, problem.value.detail


def test_what_is_within_the_limits_is_passed_on():
    parts = [b'{"a": [1,', b"2", b"]}"]
    assert [message["body"] for message in receive_all(parts, bytes=12, values=3)] == parts


def test_bytes_are_counted_over_all_parts():
    assert refusal_of([b"a" * 6, b"a" * 6], bytes=11) == (413, "the body has more than 11 bytes")


def test_a_declared_length_is_refused_before_anything_is_received():
    with pytest.raises(HTTPException, match="more than 11 bytes"):
        receive_all([], [(b"content-length", b"12")], bytes=11)


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 21])
def test_a_length_of_many_digits_is_too_large(length: bytes):
    with pytest.raises(HTTPException, match="more than 11 bytes"):
        receive_all([], [(b"content-length", length)], bytes=11)


def test_a_body_that_does_not_arrive_in_time_is_refused():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def run() -> None:
        scope: dict[str, Any] = {"headers": []}
        begin(scope, None)
        scope["patclass.began"] = time.monotonic() - 9.99
        receive_bounded = bounded(scope, receive, BodyLimits(bytes=100, seconds=10.0, values=100))
        await receive_bounded()
        await receive_bounded()

    with pytest.raises(HTTPException, match="not received within 10 seconds") as problem:
        asyncio.run(run())
    assert problem.value.status_code == 408


def count_values(parts: Sequence[bytes], most: int) -> None:
    """Count the values of a body; raises an ``HTTPException`` if there are more than ``most``."""
    shape = _Shape(most)
    for part in parts:
        shape.add(part)


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "body",
    [
        *("[1,2,3]", '["a,b,[{","\\"[,","\\\\",3]', '[["\\\\\\",[",2],3]', '{"a,[": {"b": [1]}}'),
        *('["\u2c2c\u225b\u7b5b", "\u00e9,", 3]', '"' + "\\\\" * 9 + ',,,,,,,"'),
    ],
)
def test_values_in_texts_are_not_counted(body: str, size: int):
    count_values(cut(body.encode(), size), 4)
    assert json.loads(body)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def count(value: Any) -> int:
    """Commas and opening brackets of a value."""
    if not isinstance(value, (list, dict)):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return max(1, len(value)) + sum(map(count, inner))


@given(JSON_VALUES, st.integers(1, 9), st.booleans())
def test_the_count_is_that_of_the_values_however_the_body_is_cut(
    value: Any, size: int, ascii_only: bool
):
    parts = cut(json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace"), size)
    values = count(value)
    count_values(parts, values)
    if values:
        with pytest.raises(HTTPException, match="values"):
            count_values(parts, values - 1)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_nesting_is_bounded(size: int):
    deep = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert receive_all(cut(deep, size), values=2000)
    deeper = b'{"a":' * (MAX_NESTING + 1)
    assert refusal_of(cut(deeper, size), values=2000)[0] == 400


def test_a_body_that_is_not_in_utf_8_is_refused():
    assert refusal_of(['{"a": 1}'.encode("utf-16")])[0] == 400
