"""The client of the page, with and without a real service."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers import wait_until
from patclass.core.settings import WINDOW
from patclass.service.keys import KeyFile, Role
from patclass.store.database import locate_store
from patclass.store.feedback import FeedbackStore
from patclass.ui.client import Api, PageError, response_error
from service_process import TEXT, Server, serving


@pytest.fixture(scope="module")
def guarded(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """A service that requires access keys, and a key."""
    folder = tmp_path_factory.mktemp("guarded")
    key = KeyFile(folder / "keys.json").create("page", Role.USER)
    flags = ("--model", exported, "--keys", folder / "keys.json", "--max-chars", 2000)
    flags = (*flags, "--keep-texts")
    with serving(folder, *flags) as server:
        yield server, key


@pytest.fixture
def api(guarded: tuple[Server, str]) -> Iterator[Api]:
    with closing(Api(guarded[0].url, guarded[1])) as api:
        yield api


def request_models(address: str, key: str = "", **options: Any) -> None:
    """Send one request to a service."""
    with closing(Api(address, key, **options)) as api:
        api.models()


def test_models_labels_and_report_are_read(api: Api):
    (model,) = api.models()
    assert (model.name, model.default) == ("default", True)
    assert model.levels == ("section", "class", "subclass")
    labels = api.labels("default")
    assert {label.level for label in labels} == {"section", "class", "subclass"}
    assert str(labels[0]) == f"{labels[0].code} · {labels[0].title}"
    card, report = api.report("default")
    assert card
    assert report is not None


def test_whether_numbers_are_looked_up_is_read(api: Api):
    assert api.accepts_numbers() is False
    (model,) = api.models()
    with pytest.raises(PageError, match="does not look numbers up"):
        api.explain({"number": "EP1000000A1"}, model)


def test_an_office_that_is_busy_is_a_transient_error():
    error = response_error(422, "office_busy", "the EPO is busy. Try again later.")
    assert (error.transient, error.message) == (True, "The EPO is busy. Try again later.")


def test_the_state_of_the_monitor_is_read(api: Api):
    found = api.monitor("default")
    assert (found["monitored"], found["window"], found["windows"]) == (True, WINDOW, [])
    assert set(found["accuracy"]) == {"section", "class", "subclass"}


def test_a_patent_is_explained_in_full(api: Api):
    (model,) = api.models()
    result = api.explain({"title": "T", "abstract": TEXT, "claims": ""}, model)
    assert result["text"].startswith("T.")
    assert list(result["alternatives"]) == list(model.levels)
    assert bool(result["neighbours"]) == model.explains
    assert (result["label_set"] is not None) == model.label_sets
    assert (result["codes"] is not None) == model.all_codes


def test_feedback_sent_twice_is_stored_once(api: Api, guarded: tuple[Server, str]):
    (model,) = api.models()
    feedback = {"prediction_id": api.explain(TEXT, model)["prediction_id"], "correct": True}
    api.feedback(feedback | {"note": "", "reviewer": None})
    api.feedback(feedback)
    stored = FeedbackStore(locate_store(guarded[0].log.parent / "patclass.db", {})).all()
    assert [given.feedback.prediction_id for given in stored] == [feedback["prediction_id"]]


def test_a_disputed_prediction_is_claimed_decided_and_undone(api: Api):
    (model,) = api.models()
    id = api.explain("A loom whose warp is a current.", model)["prediction_id"]
    for name, fields in (("Ada", {"correct": True}), ("Bob", {"correct": False})):
        api.feedback({"prediction_id": id, "reviewer": name} | fields)
    wait_until(lambda: api.review_queue().counts["disputed"])
    case = api.claim("Cleo")
    assert case is not None
    assert (case["prediction_id"], case["text"]) == (id, "A loom whose warp is a current.")
    assert [given["reviewer"] for given in case["feedback"]] == ["Ada", "Bob"]
    feedback = {"reviewer": "Cleo", "correct": False, "label": None, "note": ""}
    api.decide(id, "decision-1", feedback)
    assert api.review_queue().counts["disputed"] == 0
    api.undo(id, "Cleo")
    api.release(id, "Cleo")
    with pytest.raises(PageError, match="no longer assigned to you") as caught:
        api.decide(id, "decision-2", feedback)
    assert caught.value.kind == "not_claimed"


def test_an_empty_queue_returns_no_case(exported: Path, tmp_path: Path):
    with serving(tmp_path, "--model", exported) as server, closing(Api(server.url)) as api:
        assert api.claim("Ada") is None
        assert set(api.review_queue().counts.values()) == {0}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "requires an access key"),
        ("pk_wrong", "is invalid"),
        ("Schlüssel €", "ASCII letters and digits"),
    ],
)
def test_a_missing_or_wrong_key_is_requested(guarded: tuple[Server, str], key: str, message: str):
    with pytest.raises(PageError, match=message) as caught:
        request_models(guarded[0].url, key)
    assert caught.value.kind == "access_key"


@pytest.mark.parametrize(
    ("text", "message"), [("x" * 2001, "The text has 2,001 characters"), (" ", "No text")]
)
def test_an_unusable_text_is_explained(api: Api, text: str, message: str):
    (model,) = api.models()
    with pytest.raises(PageError, match=message) as caught:
        api.explain(text, model)
    assert caught.value.kind == "invalid_input"


def test_a_lone_surrogate_does_not_break_the_client(api: Api):
    (model,) = api.models()
    assert api.explain(f"{TEXT} \ud800", model)["text"].endswith("?")


def test_no_proxy_is_used_for_loopback(
    guarded: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    request_models(guarded[0].url, guarded[1])


class NoEvidenceApi(Api):
    """A service that refuses requests for evidence."""

    def classify(self, patents: Any, model: str, **options: Any) -> Any:
        if options.get("explain"):
            raise PageError("too_large", "The text exceeds the size limit.")
        return super().classify(patents, model, **options)


def test_unsupported_evidence_is_left_out(guarded: tuple[Server, str]):
    with closing(NoEvidenceApi(guarded[0].url, guarded[1])) as api:
        (model,) = api.models()
        result = api.explain(TEXT, replace(model, explains=True))
    assert result["label"]
    assert result["text"] is None


def test_an_unavailable_service_is_a_transient_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with closing(Api(f"http://127.0.0.1:{port}")) as api:
        with pytest.raises(PageError, match="is not responding") as caught:
            api.models()
        assert caught.value.transient
        assert not api.ready()


@pytest.mark.parametrize("address", ["nowhere", "ftp://localhost:9000", "http://[::1"])
def test_an_invalid_address_is_named(address: str):
    with pytest.raises(PageError, match=r"not a valid service address|is not responding"):
        request_models(address)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>", "incompatible"),
        (200, b'{"data": []}', "incompatible"),
        (200, b'{"models": [{"name": "old"}]}', "incompatible"),
        (404, b"<html>", "incompatible"),
        (502, b"<html>", "unavailable"),
        (503, b"<html>", "unavailable"),
        (504, b"", "unavailable"),
    ],
)
def test_another_server_is_not_mistaken_for_the_service(status: int, body: bytes, kind: str):
    class OtherServer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), OtherServer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(PageError) as caught:
            request_models(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert caught.value.kind == kind


def test_a_timeout_is_a_transient_error():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(PageError, match="took too long") as caught:
            request_models(address, timeout=httpx.Timeout(0.2))
    assert caught.value.transient


@pytest.mark.parametrize(
    ("status", "code", "kind", "retry_after"),
    [
        (429, "queue_full", "busy", 3.0),
        (503, "not_ready", "loading", 3.0),
        (504, "deadline_exceeded", "busy", 2.0),
        (503, "not_stored", "busy", 5.0),
        (401, "no_key", "access_key", None),
        (403, "forbidden", "access_key", None),
        (500, "internal", "internal", None),
        (413, "request_too_large", "too_large", None),
        (404, "no_case", "no_case", None),
        (409, "not_claimed", "not_claimed", None),
        (422, "text_invalid", "invalid_input", None),
    ],
)
def test_every_error_response_has_a_readable_message(
    status: int, code: str, kind: str, retry_after: float | None
):
    error = response_error(status, code, "the text has no words", "3")
    assert (error.kind, error.retry_after) == (kind, retry_after)
    assert error.message[0].isupper()
    assert error.message.endswith(".")
    assert not {"queue", "token", "logit", "HTTP"} & set(error.message.split())
