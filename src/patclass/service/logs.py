"""Structured logs and OpenTelemetry traces. Knows records, no texts."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from patclass.core.errors import ConfigError, StoreError

LOGGER = "patclass.service"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        entry |= getattr(record, "facts", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def reason_of(problem: Exception) -> str:
    """The message of a store error; the representation of any other exception."""
    return str(problem) if isinstance(problem, StoreError) else repr(problem)


def configure() -> None:
    """Send the logs of the service, and warnings of uvicorn, to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name, level in ((LOGGER, logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


SetAttributes = Callable[[Mapping[str, object]], None]
Spans = Callable[[str, Mapping[str, str]], AbstractContextManager[SetAttributes]]


def no_spans(name: str, headers: Mapping[str, str]) -> AbstractContextManager[SetAttributes]:
    """Spans when tracing is off."""
    return nullcontext(lambda facts: None)


def spans_to(exporter: Any = None) -> "RequestSpans":
    """Spans that continue the client's trace, sent to OTEL_EXPORTER_OTLP_ENDPOINT.

    :param exporter: a span exporter to use instead.
    :raises ConfigError: if the libraries are not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as problem:
        raise ConfigError(
            f"trace needs {problem.name}: pip install 'patclass[trace]'.", setting="trace"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "patclass"}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return RequestSpans(provider)


class RequestSpans:
    """Opens a span for a request, as part of the trace in its headers."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer(LOGGER)

    @contextmanager
    def __call__(self, name: str, headers: Mapping[str, str]) -> Iterator[SetAttributes]:
        """Open a span for the duration of the block; yields a setter of its attributes."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        span_context = self._tracer.start_as_current_span(
            name, context=extract(headers), kind=SpanKind.SERVER
        )
        with span_context as span:
            yield lambda facts: span.set_attributes(
                {f"patclass.{fact}": value for fact, value in facts.items()}
            )
