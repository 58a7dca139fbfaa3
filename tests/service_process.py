"""A real server process for tests: started, called over real sockets, and stopped by its pid."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from helpers import wait_until

TEXT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def plain_client(address: str = "", **options: Any) -> httpx.Client:
    """A client for plain HTTP: reading the certificates of authorities takes 30 ms of a core."""
    return httpx.Client(base_url=address, trust_env=False, verify=False, **options)


def is_available(address: str) -> bool:
    """Whether a server answers at this address."""
    with plain_client(timeout=60) as client:
        try:
            return client.get(address).is_success
        except httpx.HTTPError:
            return False


@dataclass
class Server:
    """A running ``patclass serve``."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return plain_client(self.url, timeout=120, **options)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def megabytes(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def terminate(self, seconds: float = 120) -> int:
        """Stop it as a container runtime would; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def serving(
    folder: Path, *flags: object, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server whose log is in ``folder`` until the block ends."""
    port, log = free_port(), folder / "serve.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "patclass", "serve", "--port", str(port), *map(str, flags)],
            stderr=sink,
            cwd=folder,
            env=os.environ | dict(environment or {}),
        )
    server = Server(process, port, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(60)


def wait_until_ready(server: Server, seconds: float = 300) -> None:
    """Wait for ``/readyz``.

    :raises AssertionError: with the log, if the server exits or never becomes ready.
    """
    with server.client() as client:

        def ready() -> bool:
            if server.process.poll() is not None:
                raise AssertionError(f"it has ended: {server.log.read_text()[-2000:]}")
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, seconds)
