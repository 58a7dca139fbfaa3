"""Traces go where they are sent, continue the caller's, and hold no text."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from patclass.errors import ConfigError
from patclass.service.metrics import Metrics
from patclass.service.middleware import Watch
from patclass.service.tracing import no_spans, spans_to

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


async def hello(scope: Any, receive: Any, send: Any) -> None:
    scope["patclass.facts"]["tokens"] = 12
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(watch: Watch) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"traceparent", PARENT.encode()), (b"x-request-id", b"r1")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    asyncio.run(watch(scope, None, send))  # type: ignore[arg-type]
    return sent


def test_a_request_is_a_span_of_the_callers_trace():
    kept = Kept()
    spans = spans_to(kept)
    ask(Watch(hello, Metrics(), 1000, spans))
    spans.provider.force_flush()
    (span,) = kept.spans
    assert span.name == "POST /predict"
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    assert span.attributes["patclass.status"] == 200
    assert span.attributes["patclass.tokens"] == 12
    assert span.attributes["patclass.request_id"] == "r1"


def test_without_traces_all_else_is_the_same():
    assert ask(Watch(hello, Metrics(), 1000, no_spans))[0]["status"] == 200


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigError, match=r"--trace needs opentelemetry.*patclass\[trace\]"):
        spans_to()
