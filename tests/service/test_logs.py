"""Logging: one JSON object per line, never a key, and texts only if enabled."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from helpers import wait_until
from patclass.core.errors import ConfigError
from patclass.service.bodies import BodyLimits
from patclass.service.keys import KeyFile, Role
from patclass.service.logs import LOGGER, LineWriter, _JsonLines, configure, no_spans, spans_to
from patclass.service.metrics import Metrics
from patclass.service.middleware import RequestMiddleware
from service_process import Server, serving

# Words that occur nowhere else in the log.
TITLE, ABSTRACT, ODD = "quagmire turnstile", "an abacus with\nbeads \u2028 of jade", "xylophone"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def key(store: KeyFile) -> str:
    return store.create("search team", Role.USER)


@pytest.fixture(scope="module", params=[False, True], ids=["by default", "with --log-texts"])
def logging_server(
    request: pytest.FixtureRequest,
    exported: Path,
    store: KeyFile,
    key: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, bool]]:
    """A server with keys that has received all kinds of requests, and whether it logs texts."""
    flags = ["--model", exported, "--keys", store.path, *["--log-texts"] * request.param]
    with serving(tmp_path_factory.mktemp("server"), *flags) as server:
        with server.client() as client:
            send_requests(client, key)
        yield server, request.param


def send_requests(client: httpx.Client, key: str) -> None:
    """Send requests of all kinds, valid and invalid, with texts and keys everywhere."""
    bearer, plain = {"Authorization": f"Bearer {key}"}, {"X-API-Key": key}
    patents = [f"{TITLE} machine", {"title": TITLE, "abstract": ABSTRACT}, {"id": ODD}]
    for headers in (bearer, plain, {"X-API-Key": key[:-1]}, {"Authorization": f"Basic {key}"}, {}):
        client.post("/predict", json={"text": f"{TITLE} machine"}, headers=headers)
        client.post("/v1/classify", json={"patents": patents}, headers=headers)
    for body in (
        {"text": TITLE, "more": TITLE},
        {"text": [TITLE]},
        {TITLE: TITLE},
        {"text": ODD + TITLE * 10_000},
    ):
        client.post("/predict", json=body, headers=bearer)
    client.post("/predict", content=f'{{"text": "{TITLE}', headers=bearer)
    client.post("/v1/classify", json={"patents": TITLE, "level": ODD}, headers=bearer)
    client.post("/v1/classify", json={"patents": TITLE, "model": ODD}, headers=bearer)
    client.get("/v1/models", params={"key": key, "text": TITLE}, headers=bearer)
    client.get("/metrics", headers=plain)
    client.post("/v1/models/reload", headers=plain)
    client.get("/livez", headers={"X-Request-ID": "last"})


def lines(server: Server) -> list[dict[str, Any]]:
    """The log lines, after that of the last request."""
    wait_until(lambda: any(line.get("request_id") == "last" for line in server.lines()))
    return server.lines()


def test_no_key_is_logged(logging_server: tuple[Server, bool], key: str):
    server, _ = logging_server
    lines(server)
    secret = key.split("_", 2)[2]
    assert secret[:-1] not in server.log.read_text()


def test_texts_are_logged_only_if_enabled(logging_server: tuple[Server, bool]):
    server, with_texts = logging_server
    texts = [line["texts"] for line in lines(server) if "texts" in line]
    if with_texts:
        one, many = (
            [f"{TITLE} machine"],
            [f"{TITLE} machine", f"{TITLE}. {' '.join(ABSTRACT.split())}"],
        )
        assert texts[:4] == [one, many, one, many]
    else:
        assert texts == []
        log = server.log.read_text()
        for word in (*TITLE.split(), "abacus", "jade", ODD):
            assert word not in log


def test_texts_of_unauthenticated_requests_are_never_logged(logging_server: tuple[Server, bool]):
    server, _ = logging_server
    refused = [line for line in lines(server) if line.get("status") == 401]
    assert len(refused) == 6
    assert not [line for line in refused if "texts" in line or "key" in line]


def test_every_line_is_one_object_with_a_time_a_level_and_an_event(
    logging_server: tuple[Server, bool],
):
    server, _ = logging_server
    lines(server)
    for line in server.log.read_text().splitlines():
        entry = json.loads(line)
        assert entry.keys() >= {"time", "level", "event"}
        assert entry["time"].endswith("+00:00")


def test_a_request_is_one_line_with_caller_and_request(logging_server: tuple[Server, bool]):
    server, _ = logging_server
    requests = [line for line in lines(server) if line["event"] == "request"]
    assert len({line["request_id"] for line in requests}) == len(requests)
    classified = [line for line in requests if line["path"] == "/v1/classify"]
    first = classified[0]
    assert (first["method"], first["status"], first["client"]) == ("POST", 200, "127.0.0.1")
    assert first["key"] == "search team"
    assert (first["model"], first["items"], first["failed"]) == ("default", 3, 1)
    assert first["tokens"] > 0
    assert first["ms"] > 0
    assert len(first["version"]) == 12


def test_a_path_is_logged_without_its_query_string(
    logging_server: tuple[Server, bool],
):
    server, _ = logging_server
    paths = [line["path"] for line in lines(server) if line.get("path", "").endswith("/models")]
    assert paths == ["/v1/models"]


def test_a_model_that_is_loaded_is_logged(logging_server: tuple[Server, bool]):
    server, _ = logging_server
    (loaded,) = [line for line in lines(server) if line["event"] == "model loaded"]
    assert loaded["model"] == "default"
    assert loaded["engine"] == "openvino, float32"
    assert loaded["tokens_per_second"] > 0
    assert loaded["difference"] < 1e-3


def formatted(message: str, **more: Any) -> str:
    record = logging.LogRecord(LOGGER, logging.WARNING, "file.py", 1, message, None, None)
    vars(record).update(more)
    return _JsonLines().format(record)


def test_a_line_break_in_a_fact_is_escaped():
    line = formatted("failed\nbadly", facts={"reason": 'a\nb "quoted"\x1b[2J'})
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == "failed\nbadly"
    assert json.loads(line)["reason"] == 'a\nb "quoted"\x1b[2J'
    assert "\x1b" not in line


def test_values_unknown_to_json_are_written_as_strings():
    assert json.loads(formatted("x", facts={"folder": Path("/model")}))["folder"] == "/model"


def test_a_traceback_is_part_of_its_line():
    try:
        raise ValueError("odd")
    except ValueError:
        line = formatted("failed", exc_info=sys.exc_info())
    assert "ValueError: odd" in json.loads(line)["exception"]
    assert "\n" not in line


@pytest.fixture
def _loggers() -> Iterator[None]:
    """The loggers as they are in a process of their own; restored afterwards.

    Streamlit, where it was imported, logs for uvicorn too.
    """
    names = (LOGGER, "uvicorn", "uvicorn.error", "asyncio")
    named = [logging.getLogger(name) for name in names]
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in named]
    for logger in named:
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.mark.usefixtures("_loggers")
def test_the_service_logs_everything_and_uvicorn_only_warnings(
    capfd: pytest.CaptureFixture[str],
):
    for _ in range(2):
        configure(lambda: None)  # configuring twice duplicates no lines
    logging.getLogger(LOGGER).info("mine")
    logging.getLogger("uvicorn.error").info("hidden")
    logging.getLogger("uvicorn.error").warning("visible")
    for handler in logging.getLogger(LOGGER).handlers:
        handler.flush()
    out, err = capfd.readouterr()
    assert out == ""
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["mine", "visible"]


LIMITS = BodyLimits(bytes=1000, seconds=1, values=10)


def test_lines_beyond_the_limit_are_dropped_while_nobody_reads():
    dropped: list[int] = []
    reader, writer = os.pipe()
    with FileIO(reader) as source, FileIO(writer, "w") as sink:
        lines = LineWriter(sink, lambda: dropped.append(1), max_chars=1_000_000)
        text = "x" * 10_000
        for number in range(1000):
            lines.handle(logging.makeLogRecord({"msg": f"{number} {text}"}))
        written = 1000 - len(dropped)
        assert 50 < written < 200
        found = b""
        while found.count(b"\n") < written:
            found += source.read(65_536)
        lines.flush()
        events = [json.loads(line)["event"] for line in found.splitlines()]
        assert events == [f"{number} {text}" for number in range(written)]
        lines.handle(logging.makeLogRecord({"msg": "read again"}))
        assert b"read again" in source.read(65_536)


def test_lines_are_lost_but_nothing_fails_once_the_reader_is_gone():
    reader, writer = os.pipe()
    os.close(reader)
    with FileIO(writer, "w") as sink:
        lines = LineWriter(sink, lambda: None)
        for _ in range(2):
            lines.handle(logging.makeLogRecord({"msg": "lost"}))
            lines.flush()
        assert lines._chars == 0


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class RecordingExporter(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


async def hello(scope: Any, receive: Any, send: Any) -> None:
    scope["patclass.facts"]["tokens"] = 12
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def call_middleware(middleware: RequestMiddleware) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"h"), (b"traceparent", PARENT.encode()), (b"x-request-id", b"r1")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    asyncio.run(middleware(scope, None, send))  # type: ignore[arg-type]
    return sent


def test_a_request_is_a_span_of_the_callers_trace():
    exporter = RecordingExporter()
    spans = spans_to(exporter)
    call_middleware(RequestMiddleware(hello, Metrics(), LIMITS, spans))
    spans.provider.force_flush()
    (span,) = exporter.spans
    assert span.name == "POST /predict"
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    assert span.attributes["patclass.status"] == 200
    assert span.attributes["patclass.tokens"] == 12
    assert span.attributes["patclass.request_id"] == "r1"


def test_requests_work_without_tracing():
    start, _ = call_middleware(RequestMiddleware(hello, Metrics(), LIMITS, no_spans))
    assert start["status"] == 200


def test_a_missing_tracing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigError, match=r"^trace needs opentelemetry.*patclass\[trace\]"):
        spans_to()
