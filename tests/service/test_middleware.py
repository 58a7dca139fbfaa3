"""What every request passes: HEAD is a GET without a body, and a request names its host."""

import asyncio
from typing import Any

import pytest

from patclass.service.bodies import BodyLimits
from patclass.service.metrics import Metrics
from patclass.service.middleware import RequestMiddleware


async def hello(scope: Any, receive: Any, send: Any) -> None:
    assert scope["method"] == "GET"
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def call(method: str = "GET", hosts: int = 1, version: str = "1.1") -> tuple[int, Any, bytes]:
    """The status, the headers and the body of a response."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "method": method, "path": "/", "http_version": version},
        "headers": [(b"host", b"localhost")] * hosts,
    }
    metrics = Metrics()
    middleware = RequestMiddleware(hello, metrics, BodyLimits(bytes=9, seconds=9, values=9))
    asyncio.run(middleware(scope, None, send))  # type: ignore[arg-type]
    assert metrics.registry.get_sample_value(
        "patclass_requests_total", {"route": "none", "status": str(sent[0]["status"])}
    )
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_head_is_get_without_a_body():
    status, headers, body = call("HEAD")
    assert (status, headers[b"content-length"], body) == (200, b"5", b"")
    assert call("GET")[2] == b"hello"


@pytest.mark.parametrize(
    ("hosts", "version", "status"),
    [(1, "1.1", 200), (0, "1.1", 400), (2, "1.1", 400), (0, "1.0", 200), (2, "1.0", 400)],
)
def test_a_request_names_its_host_once(hosts: int, version: str, status: int):
    found, headers, body = call(hosts=hosts, version=version)
    assert found == status
    assert headers[b"x-frame-options"] == b"DENY"
    assert (b"the header Host" in body) == (status == 400)
