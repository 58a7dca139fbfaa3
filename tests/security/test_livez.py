"""``/livez`` stays fast during every attack on the service. By the clock, so only with --full."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service_process import TEXT, Server, serving

P99_SECONDS = 0.1
JSON = {"Content-Type": "application/json"}
HOST = b"Host: localhost\r\n"

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), "--model", exported) as running:
        yield running


class Probe(threading.Thread):
    """Asks for ``/livez`` fifty times a second and keeps the latencies, in seconds."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._ending = port, threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        while not self._ending.wait(0.02):
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            connection.request("GET", "/livez")
            assert connection.getresponse().status == 200
            connection.close()
            self.seconds.append(time.perf_counter() - began)

    def end(self) -> float:
        """The 99th percentile."""
        self._ending.set()
        self.join()
        return sorted(self.seconds)[int(0.99 * len(self.seconds))]


@contextmanager
def probed(server: Server, rounds: int = 300) -> Iterator[Probe]:
    probe = Probe(server.port)
    probe.start()
    yield probe
    while len(probe.seconds) < rounds:
        time.sleep(0.05)
    assert probe.end() < P99_SECONDS, sorted(probe.seconds)[-10:]


def post(path: str, body: str) -> Callable[[Server], object]:
    def attack(server: Server) -> object:
        with server.client() as client:
            return client.post(path, content=body, headers=JSON)

    return attack


def raw(*parts: bytes) -> Callable[[Server], object]:
    def attack(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            with suppress(OSError):  # it is cut off
                for part in parts:
                    client.sendall(part)
            with suppress(OSError):
                client.recv(65_536)

    return attack


def reloads(server: Server) -> None:
    reload = post("/v1/models/reload", "")
    threads = [threading.Thread(target=reload, args=(server,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def patents(*items: object) -> str:
    return json.dumps({"patents": items})


ATTACKS = {
    "a million patents": post("/v1/classify", patents(*[0] * 1_300_000)),
    "empty patents": post("/v1/classify", patents(*[{}] * 900_000)),
    "unknown keys": post("/predict", json.dumps({f"k{number}": 1 for number in range(250_000)})),
    "fewer unknown keys": post("/predict", json.dumps(dict.fromkeys(map(str, range(60_000)), 1))),
    "patents of unknown keys": post(
        "/v1/classify", patents(*[dict.fromkeys(map(str, range(900)), 1)] * 64)
    ),
    "quotation marks": post("/predict", '"' * 3_900_000),
    "backslashes": post("/predict", '"' + "\\" * 3_900_000),
    "nesting": post("/v1/classify", '{"patents":' + "[" * 3_900_000),
    "lists in lists": post("/v1/classify", patents(*[{"claims": [[["a"]] * 300]}] * 64)),
    "a long text": post("/predict", json.dumps({"text": "a" * 3_900_000})),
    "long texts": post("/v1/classify", patents(*["<p>a drill &amp; bit</p> " * 2000] * 64)),
    "literals": post("/v1/classify", patents(*[str(["a"] * 12_000)] * 64)),
    "a header": raw(b"GET /livez HTTP/1.1\r\n", HOST, b"X: ", *[b"a" * 65_536] * 1000),
    "headers": raw(b"GET /livez HTTP/1.1\r\n", HOST, *[b"a: b\r\n" * 10_000] * 100),
    "a path": raw(b"GET /", *[b"a" * 65_536] * 1000),
    "trailers": raw(
        b"POST /predict HTTP/1.1\r\n",
        HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n",
        *[b"a: b\r\n" * 10_000] * 100,
    ),
    "reloads": reloads,
    "nothing": lambda server: time.sleep(1),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_livez_is_answered_during_an_attack(server: Server, name: str):
    with probed(server):
        for _ in range(3):
            ATTACKS[name](server)
    with server.client() as client:
        assert client.post("/predict", json={"text": TEXT}).status_code == 200


def test_livez_is_answered_while_requests_are_half_sent(server: Server):
    head = b"POST /predict HTTP/1.1\r\nContent-Length: 9\r\n" + HOST
    address = ("127.0.0.1", server.port)
    halves = [socket.create_connection(address, 60) for _ in range(200)]
    try:
        with probed(server):
            for number, half in enumerate(halves):
                half.sendall(head + (b"" if number % 2 else b"\r\na"))
    finally:
        for half in halves:
            half.close()
