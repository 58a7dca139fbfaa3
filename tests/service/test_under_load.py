"""A real server under overload: nothing breaks, nothing is lost, and it recovers."""

import shutil
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import tree_rows
from helpers import full, wait_until
from patclass.bundle.description import LAYOUT
from patclass.core.files import file_sha256
from patclass.inference import load
from service_process import Server, serving

# The overload ends after this many refusals and seconds; models are reloaded this often; memory is
# measured over four times this many requests.
REFUSALS, OVERLOAD_SECONDS = full(25, 100), full(0, 30)
RELOADS = full(3, 20)
REQUESTS = 1250

TEXTS = [f"{row['title']}. {row['abstract']}" for row in tree_rows(60, seed=3)]


def post_text(client: httpx.Client, text: str, **headers: str) -> httpx.Response:
    return client.post("/predict", json={"text": text}, headers=headers)


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum over all series of a metric with these labels."""
    with server.client() as client:
        families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


Request = Callable[[httpx.Client, int], httpx.Response]


@contextmanager
def load_of(
    server: Server, clients: int, request: Request, pause: float = 0
) -> Iterator[list[httpx.Response]]:
    """Clients that send requests continuously while the block runs, and all their responses."""
    enough, found = Event(), []

    def run_client(number: int) -> None:
        sent = 0
        with server.client() as client:
            while not enough.is_set():
                try:
                    found.append(request(client, number * 1000 + sent))
                    sent += 1
                except httpx.TransportError:
                    if server.process.poll() is None:
                        time.sleep(0.05)  # it accepts no new connections while it stops
                        continue
                    break
                time.sleep(pause)

    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(run_client, number) for number in range(clients)]
        try:
            yield found
        finally:
            enough.set()
            for client in running:
                client.result()


def predict(client: httpx.Client, number: int) -> httpx.Response:
    return post_text(client, TEXTS[number % len(TEXTS)])


def count(responses: Sequence[httpx.Response], status: int) -> int:
    return sum(response.status_code == status for response in tuple(responses))


@pytest.fixture(scope="module")
def shipped(exported_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shipped model, with a queue for a few dozen abstracts; in torch in the full lane."""
    folder, model = tmp_path_factory.mktemp("shipped"), full(exported_shipped, "shipped")
    with serving(folder, "--model", model, "--queue-tokens", 8000) as running:
        yield running


def test_a_tenfold_overload_is_answered_or_refused_and_the_service_recovers(shipped: Server):
    patents = [text * 6 for text in TEXTS[:16]]

    def batch(client: httpx.Client, number: int) -> httpx.Response:
        return client.post("/v1/classify", json={"patents": patents})

    with load_of(shipped, 8, batch, pause=0.02) as responses:
        time.sleep(OVERLOAD_SECONDS)
        wait_until(lambda: count(responses, 429) >= REFUSALS and count(responses, 200), 300)
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) == {200, 429}
    if OVERLOAD_SECONDS:
        assert sum(statuses.values()) >= 10 * statuses[200]
    for response in responses:
        if response.status_code == 429:
            assert int(response.headers["Retry-After"]) >= 1
            assert response.json()["error"]["code"] == "queue_full"
        else:
            assert all(result["error"] is None for result in response.json()["results"])
    with shipped.client() as client:
        assert post_text(client, TEXTS[0]).status_code == 200
    refused = metric(shipped, "patclass_refused_items_total", reason="queue_full")
    assert refused == 16 * statuses[429]  # by patent, not by request
    assert metric(shipped, "patclass_queue_tokens") == 0


def test_a_megabyte_of_dots_is_refused_before_it_is_read(shipped: Server):
    dots, before = "." * 1_000_000, metric(shipped, "patclass_tokens_total")
    with shipped.client() as client:
        refused = post_text(client, dots)
        assert refused.status_code == 422
        assert "at most 100,000 are accepted" in refused.json()["error"]["message"]
        with load_of(shipped, 1, lambda other, _: post_text(other, dots)) as responses:
            wait_until(lambda: count(responses, 422) >= 3)
            assert post_text(client, TEXTS[0]).status_code == 200  # and other requests succeed
            own = metric(shipped, "patclass_tokens_total") - before
    assert set(Counter(response.status_code for response in responses)) == {422}
    assert metric(shipped, "patclass_tokens_total") - before == own < 1000


@pytest.mark.full
def test_a_megabyte_of_dots_is_refused_immediately_without_delaying_others(shipped: Server):
    dots = "." * 1_000_000
    with shipped.client() as client:

        def seconds(text: str) -> tuple[float, httpx.Response]:
            began = time.monotonic()
            response = post_text(client, text)
            return time.monotonic() - began, response

        alone = statistics.median(seconds(TEXTS[0])[0] for _ in range(20))
        refused = [seconds(dots) for _ in range(20)]
        assert {response.status_code for _, response in refused} == {422}
        assert "at most 100,000 are accepted" in refused[0][1].json()["error"]["message"]
        assert statistics.median(took for took, _ in refused) < 0.05
        with load_of(shipped, 1, lambda other, _: post_text(other, dots), pause=0.05):
            during_load = statistics.median(seconds(TEXTS[0])[0] for _ in range(40))
    assert during_load < 2 * alone + 0.02


def test_a_disconnected_client_frees_its_capacity(shipped: Server):
    texts = ", ".join(f'"{text * 6}"' for text in TEXTS[:32])
    body = f'{{"patents": [{texts}]}}'.encode()
    head = "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", shipped.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: metric(shipped, "patclass_queue_items") > 8)
    wait_until(lambda: metric(shipped, "patclass_queue_items") == 0)
    assert metric(shipped, "patclass_refused_items_total", reason="gone") > 8
    wait_until(lambda: any(line.get("status") == 499 for line in shipped.lines()))


def test_a_deadline_that_cannot_be_met_is_refused_immediately(shipped: Server):
    with shipped.client() as client:
        responses = [post_text(client, TEXTS[0] * 6, **{"X-Deadline-Ms": "1"}) for _ in range(5)]
    assert {response.status_code for response in responses} <= {429, 504}


def test_every_request_accepted_before_sigterm_is_answered(shipped: Server):
    """The last test of this server."""

    def request(client: httpx.Client, number: int) -> httpx.Response:
        return post_text(client, TEXTS[number % 60], **{"X-Request-ID": f"sigterm-{number}"})

    with load_of(shipped, 12, request) as responses:
        wait_until(lambda: count(responses, 200) > 12)
        code = shipped.terminate(60)
    logged = {
        line["request_id"]
        for line in shipped.lines()
        if line["event"] == "request" and line["request_id"].startswith("sigterm-")
    }
    assert code == 0
    assert {response.status_code for response in responses} == {200}
    assert {response.headers["X-Request-ID"] for response in responses} == logged


@pytest.fixture(scope="module")
def versions(exported: Path, exported_flat: Path) -> dict[str, dict[str, Any]]:
    """Two exported bundles by version, with the prediction of each for every text."""
    return {
        file_sha256(folder / LAYOUT.manifest)[:12]: {
            "folder": folder,
            "labels": [prediction.label for prediction in load(folder).classify(TEXTS)],
        }
        for folder in (exported, exported_flat)
    }


@dataclass(frozen=True)
class ReloadableServer:
    """A server and the path of its model, which is a symbolic link."""

    server: Server
    link_path: Path

    def link(self, folder: Path) -> None:
        """Let the link point to another bundle."""
        fresh = self.link_path.with_name("fresh")
        fresh.symlink_to(folder)
        fresh.replace(self.link_path)


@pytest.fixture(scope="module")
def reloadable(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReloadableServer]:
    """One server for all tests that reload its model."""
    home = tmp_path_factory.mktemp("exchanged")
    (home / "live").symlink_to(exported)
    with serving(home, "--model", home / "live") as server:
        yield ReloadableServer(server, home / "live")


def test_model_reloads_under_load_lose_and_mix_nothing(
    versions: dict[str, dict[str, Any]], reloadable: ReloadableServer
):
    folders = [version["folder"] for version in versions.values()]
    server = reloadable.server

    def classify_batch(client: httpx.Client, number: int) -> httpx.Response:
        return client.post("/v1/classify", json={"patents": TEXTS[:20]})

    with (
        server.client() as admin,
        load_of(server, 2, classify_batch) as batches,
        load_of(server, 2, predict),
    ):
        for turn in range(1, RELOADS + 1):
            reloadable.link(folders[turn % 2])
            response = admin.post("/v1/models/reload")
            assert response.status_code == 200, response.text
            assert response.json()["models"][0]["version"] == list(versions)[turn % 2]
            before = len(batches)
            wait_until(lambda before=before: len(batches) > before + 1)
    assert {response.status_code for response in batches} == {200}
    seen = Counter(response.json()["model_version"] for response in batches)
    assert set(seen) == set(versions)
    for response in batches:
        found = response.json()
        labels = [result["label"] for result in found["results"]]
        assert labels == versions[found["model_version"]]["labels"][:20]


def test_sighup_reloads_models_too(
    versions: dict[str, dict[str, Any]], reloadable: ReloadableServer
):
    with reloadable.server.client() as client:
        before = post_text(client, TEXTS[0]).json()["model_version"]
        (other,) = (version for version in versions if version != before)
        reloadable.link(versions[other]["folder"])
        reloadable.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: post_text(client, TEXTS[0]).json()["model_version"] == other)


def test_a_bundle_with_a_flipped_byte_is_refused_and_the_old_one_stays_in_use(
    exported: Path, reloadable: ReloadableServer, tmp_path: Path
):
    own = tmp_path / "model"
    shutil.copytree(exported, own)
    reloadable.link(own)
    with reloadable.server.client() as client:
        assert client.post("/v1/models/reload").status_code == 200
        before = post_text(client, TEXTS[0]).json()
        weights = own / LAYOUT.engine / "model.bin"
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 1
        weights.write_bytes(data)
        response = client.post("/v1/models/reload")
        assert response.status_code == 409
        assert "engine/model.bin was altered" in response.json()["error"]["message"]
        after = post_text(client, TEXTS[0]).json()
        assert client.get("/readyz").status_code == 200
    assert after | {"prediction_id": ""} == before | {"prediction_id": ""}


def test_a_text_gets_the_same_prediction_alone_and_in_a_mixed_batch(http: httpx.Client):
    texts = [text * (1 + number % 5) for number, text in enumerate(TEXTS)]
    together = http.post("/v1/classify", json={"patents": texts}).json()["results"]
    for text, mixed in zip(texts, together, strict=True):
        alone = http.post("/v1/classify", json={"patents": text}).json()["results"][0]
        assert alone["label"] == mixed["label"]
        assert abs(alone["confidence"] - mixed["confidence"]) < 1e-3


@pytest.mark.full
def test_memory_does_not_grow_over_thousands_of_requests_of_many_lengths(
    exported: Path, tmp_path: Path
):
    words = " ".join(TEXTS).split()
    texts = [" ".join(words[:length]) for length in range(1, 201)]
    # The first window of predictions loads scipy once, which is not growth.
    with serving(tmp_path, "--model", exported, "--window", 10**6) as server:

        def send(count: int) -> None:
            with server.client() as client:
                for number in range(count):
                    assert post_text(client, texts[(7 * number) % 200]).status_code == 200

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(send, [125] * 4))
            first = server.megabytes()
            list(threads.map(send, [REQUESTS - 125] * 4))
        grown = server.megabytes() / first - 1
    assert grown < 0.05
