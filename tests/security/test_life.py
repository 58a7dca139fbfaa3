"""Signals at bad moments, and a log that nobody reads."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers import wait_until
from patclass.service import app
from patclass.service.app import Service
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings
from service_process import TEXT, free_port, is_available, plain_client

ENDED = 7


def start(*flags: object, stderr: object = None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "patclass", "serve", *map(str, flags)]
    return subprocess.Popen(command, stderr=stderr)  # type: ignore[arg-type]


def test_a_reload_that_is_asked_for_too_early_does_not_end_the_service():
    script = "import sys; sys.argv[1:] = ['serve']; import patclass.cli, signal, os;"
    script += f"os.kill(os.getpid(), signal.SIGHUP); sys.exit({ENDED})"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == ENDED


def test_a_service_that_ends_while_it_loads_does_not_wait_for_its_libraries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    running: list[Service] = []

    def run(server: app._Server) -> None:
        running.append(server._service)
        server._service._loading.acquire()

    class Ended(Exception):
        """The process would have ended."""

    def leave(code: int) -> None:
        assert code == 0
        raise Ended

    monkeypatch.setattr(app._Server, "run", run)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(app.logs, "configure", lambda on_drop: None)
    monkeypatch.setattr(app.sys, "setswitchinterval", lambda seconds: None)
    before = signal.getsignal(signal.SIGHUP)
    try:
        with pytest.raises(Ended):
            app.serve(ServiceSettings(store=tmp_path / "store.db"), Models({"default": "nosuch"}))
    finally:
        signal.signal(signal.SIGHUP, before)
        running[0].close()


@pytest.mark.full
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4, 0.6])
def test_sigterm_while_loading_ends_the_service_in_order(
    exported: Path, delay: float, tmp_path: Path
):
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = start("--model", exported, "--port", port, stderr=log)
    try:
        wait_until(lambda: is_available(f"http://127.0.0.1:{port}/livez"))
        threading.Event().wait(delay)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
    assert "terminate called" not in (tmp_path / "log").read_text()


@pytest.mark.full
def test_a_log_that_nobody_reads_stops_no_request(exported: Path):
    port = free_port()
    process = start("--model", exported, "--port", port, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_available(f"{url}/readyz"))
        with plain_client(url, timeout=10) as client:
            for _ in range(1000):  # three times what a pipe holds
                assert client.get("/livez").status_code == 200
            assert client.post("/predict", json={"text": TEXT}).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        assert process.stderr is not None
        process.stderr.close()
