"""Work with the store beside the event loop."""

import threading

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from patclass.service import storing
from patclass.service.problems import install
from patclass.service.storing import in_store, store_threads


def test_the_store_has_threads_of_its_own():
    """A store that hangs holds them, and not those that read long texts."""
    app = FastAPI()
    app.state.store_threads = store_threads()

    @app.get("/")
    async def where(request: Request, word: str) -> list[str]:
        return await in_store(request, lambda said: [said, threading.current_thread().name], word)

    answer = TestClient(app).get("/", params={"word": "here"}).json()
    app.state.store_threads.shutdown()
    assert answer[0] == "here"
    assert answer[1].startswith("store")


def test_who_asks_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storing, "SECONDS", 0.1)
    app, go_on = FastAPI(), threading.Event()
    app.state.store_threads = store_threads()
    install(app)

    @app.get("/")
    async def hang(request: Request) -> bool:
        return await in_store(request, go_on.wait, 60)

    answer = TestClient(app).get("/")
    go_on.set()
    app.state.store_threads.shutdown()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "not_kept"
