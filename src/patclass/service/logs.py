"""Structured logs and OpenTelemetry traces. Knows records, no texts."""

import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from io import FileIO
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


MAX_CHARS_WAITING = 10_000_000
_GATHER_SECONDS = 0.02
_END_SECONDS = 1.0


class LineWriter(logging.Handler):
    """Writes lines in a thread, so that nothing waits for whoever reads them."""

    def __init__(
        self, file: FileIO, on_drop: Callable[[], object], max_chars: int = MAX_CHARS_WAITING
    ) -> None:
        """Start the thread.

        :param on_drop: called for each line that is dropped, because ``max_chars`` wait.
        """
        super().__init__()
        self.setFormatter(_JsonLines())
        self._file, self._on_drop, self._max_chars = file, on_drop, max_chars
        self._waiting: deque[str] = deque()
        self._chars = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or drop it."""
        line = self.format(record) + "\n"
        with self._changed:
            if self._chars + len(line) <= self._max_chars:
                self._waiting.append(line)
                self._chars += len(line)
                self._changed.notify_all()
                return
        self._on_drop()

    def flush(self) -> None:
        """Wait until all lines are written, at most for a second."""
        with self._changed:
            self._changed.wait_for(lambda: not self._chars, _END_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            time.sleep(_GATHER_SECONDS)  # few writes of many lines cost least
            with self._changed:
                lines = "".join(self._waiting)
                self._waiting.clear()
            with suppress(OSError):  # nobody will ever read them
                self._write(lines.encode(errors="replace"))
            with self._changed:
                self._chars -= len(lines)
                self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]


def configure(on_drop: Callable[[], object]) -> None:
    """Send the logs of the service, and warnings of its libraries, to standard error as JSON lines.

    :param on_drop: called for each line that is dropped, because nobody reads them.
    """
    # Unbuffered, as a buffer has a lock that the end of the interpreter would wait for.
    handler = LineWriter(FileIO(sys.stderr.fileno(), "w", closefd=False), on_drop)
    warnings = ((name, logging.WARNING) for name in ("uvicorn", "asyncio"))
    for name, level in ((LOGGER, logging.INFO), *warnings):
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
