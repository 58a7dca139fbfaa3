"""The page: requests of other web pages, other host names, and markup in what is shown."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.testing.v1 import AppTest

from fake_service import LEVELS, SIGNALS, FakeApi, WithKey, case_of, monitor_of, result_of, warning
from patclass.ui import session
from patclass.ui.client import Label, Model, PageError
from patclass.ui.server import LOOPBACK_NAMES, MIDDLEWARE, SCRIPT

Ask = Callable[..., int]

PICTURE = "![p](http://evil.example/p.png)"
# What is compared or counted; everything else in a response is shown as it comes.
KEYS = {"level", "prediction_id", "signal", "signals", "begin", "end", "time", "claimed_until"}


async def _accept(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The status of a WebSocket and of a GET, which are the same; 200 if both are let through."""
    routes = [Route("/", lambda request: PlainTextResponse("")), WebSocketRoute("/", _accept)]

    def run(address: str, *names: str, **headers: str) -> int:
        allowed = [*LOOPBACK_NAMES, *names] if names else []
        options = {"server.address": address, "server.allowedHosts": allowed}
        monkeypatch.setattr(st, "get_option", options.get)
        client = TestClient(Starlette(routes=routes, middleware=MIDDLEWARE))
        status = client.get("/", headers=headers).status_code
        try:
            with client.websocket_connect("/", headers=headers):
                assert status == 200
        except WebSocketDisconnect:
            assert status == 403
        return status

    return run


@pytest.mark.parametrize(
    ("address", "names", "host", "origin", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:8501", None, 200),
        ("127.0.0.1", (), "localhost:8501", "http://localhost:8501", 200),
        ("::1", (), "[::1]:8501", "http://[::1]:8501", 200),
        # DNS rebinding: the name of another host that leads here.
        ("127.0.0.1", (), "evil.example:8501", "http://evil.example:8501", 403),
        ("127.0.0.1", (), "evil.example", None, 403),
        ("127.0.0.1", (), "", None, 403),
        ("127.0.0.1", (), "[", None, 403),
        # Other web pages, on this machine too.
        ("127.0.0.1", (), "127.0.0.1:8501", "https://evil.example", 403),
        ("127.0.0.1", (), "localhost:8501", "http://localhost:3000", 403),
        ("127.0.0.1", (), "localhost:8501", "null", 403),
        ("127.0.0.1", (), "localhost:8501", "http://[", 403),
        # A proxy on this machine, or on another.
        ("127.0.0.1", ("page.example",), "page.example", "https://page.example", 200),
        ("127.0.0.1", ("*.example",), "Page.example", "https://Page.example", 200),
        ("127.0.0.1", ("page.example",), "127.0.0.1:8501", None, 200),
        ("127.0.0.1", ("page.example",), "evil.example", "https://evil.example", 403),
        ("0.0.0.0", (), "page.example", "https://page.example", 200),
        ("0.0.0.0", (), "page.example", "https://evil.example", 403),
        ("0.0.0.0", ("page.example",), "evil.example", None, 403),
    ],
)
def test_the_page_is_used_under_its_own_name_and_by_itself(
    ask: Ask, address: str, names: tuple[str, ...], host: str, origin: str | None, status: int
):
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert ask(address, *names, **headers) == status


def test_no_answer_lets_a_browser_load_from_or_send_to_another_host():
    client = TestClient(Starlette(middleware=MIDDLEWARE), base_url="http://127.0.0.1")
    for path in ("/", "/nosuch"):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'self'"
        assert not re.search(r"https?:|wss?:|\*", headers["content-security-policy"])
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"


def hostile(value: Any, key: str = "") -> Any:
    """A response of the service with a picture of another host in every text."""
    if isinstance(value, dict):
        return {name: hostile(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, key) for inner in value]
    return f"{value} {PICTURE}" if isinstance(value, str) and key not in KEYS else value


class HostileApi(FakeApi):
    """Answers with labels, titles, names and messages that contain pictures."""

    def models(self) -> list[Model]:
        self._raise()
        return [
            Model(f"{name} {PICTURE}", PICTURE, LEVELS, name == "a", True, True, True, True)
            for name in "ab"
        ]

    def labels(self, model: str) -> list[Label]:
        return [Label("section", PICTURE, PICTURE)]

    def explain(self, patent: Any, model: Model) -> Any:
        patented = {"number": "1", "office": "EPO", "title": "", "abstract": "", "codes": ["A"]}
        warnings = [warning("few_words", "Few words")]
        return hostile(result_of("", patent=patented, warnings=warnings))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileApi]:
    fake = HostileApi()
    monkeypatch.setattr(session, "Api", lambda address, key: WithKey(fake, key))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield fake
    st.cache_resource.clear()
    st.cache_data.clear()


def markdown(app: AppTest) -> list[str]:
    """Whatever elements of the page read as Markdown."""
    protos = [node.proto for node in app.main if hasattr(node, "proto")]
    protos = [proto for proto in protos if type(proto).__name__ not in ("Html", "VegaLiteChart")]
    fields = ("body", "label", "help", "text", "placeholder")
    choices = [option.content for p in protos for option in getattr(p, "options", ())
               if hasattr(option, "content")]  # fmt: skip
    return choices + [str(getattr(proto, name, "")) for proto in protos for name in fields]


def view(name: str) -> AppTest:
    code = f"from patclass.ui.views import {name}\n{name}.page()"
    return AppTest.from_string(code, default_timeout=120).run()


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def assert_text_alone(app: AppTest, mentions: int) -> None:
    """No picture is left, and the pictures' words are there: nothing was left out instead."""
    assert not app.exception
    texts = markdown(app)
    assert not [text for text in texts if "![" in text]
    assert sum("evil.example" in text for text in texts) >= mentions


def test_no_part_of_a_prediction_is_markup(api: HostileApi):
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.text_area[0].input("A drill bit.")
    assert_text_alone(button(app, "Classify").click().run(), 6)
    button(app, "Correct").click().run()
    assert_text_alone(app, 7)


def test_no_part_of_a_review_case_is_markup(api: HostileApi):
    feedback = {"correct": True, "label": None, "answer": "E", "reviewer": "a", "note": "b"}
    case = hostile(case_of(1, feedback=[feedback], model=""))
    api.cases = [case | {"claimed_until": "2126-11-24T10:00:00Z"}]
    app = view("review")
    app.text_input[0].input(PICTURE)
    button(app, "Start").click().run()
    assert_text_alone(button(app, "Next case").click().run(), 5)
    assert_text_alone(button(app, "Correct").click().run(), 2)


def test_no_part_of_the_monitor_is_markup(api: HostileApi):
    api.monitoring = hostile(monitor_of(tuple(SIGNALS)))
    assert_text_alone(view("monitor"), 6)


def test_a_card_has_no_pictures(api: HostileApi):
    api.card = f"# A card\n{PICTURE} \\{PICTURE} ![p][q]\n\n[q]: http://evil.example/q.png"
    assert_text_alone(view("model"), 1)


def test_no_message_is_markup(api: HostileApi):
    api.errors = [PageError("invalid_input", f"# {PICTURE}")]
    assert_text_alone(view("monitor"), 1)
