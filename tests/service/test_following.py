"""A service that follows the champion of a registry, and a candidate in its shadow."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from patclass.bundle import read_bundle
from patclass.bundle.registry import Registry
from patclass.errors import BundleError
from patclass.service.following import Follower
from patclass.service.metrics import Metrics
from patclass.service.shadowing import Shadow
from patclass.store.database import locate_store
from patclass.store.predictions import PredictionStore
from patclass.store.shadows import disagreement
from service_process import TEXT, serving
from store_rows import prediction


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def version(client: httpx.Client) -> str:
    return str(client.get("/v1/models").json()["models"][0]["version"])


def test_a_new_champion_takes_over_and_no_request_fails(
    exported: Path, tree_bundle: Path, tmp_path: Path
):
    registry = Registry(tmp_path / "models")
    first, second = registry.add(exported), registry.add(tree_bundle)
    registry.promote(first.name)
    stop, statuses = threading.Event(), []
    with serving(tmp_path, "--model", registry.folder) as server, server.client() as client:

        def ask() -> None:
            while not stop.is_set():
                statuses.append(client.post("/predict", json={"text": TEXT}).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        assert version(client) == read_bundle(first).fingerprint
        registry.promote(second.name)
        wait_for(lambda: version(client) == read_bundle(second).fingerprint)
        registry.roll_back(first.name)
        wait_for(lambda: version(client) == read_bundle(first).fingerprint)
        stop.set()
        asking.join()
    assert set(statuses) == {200}
    assert len(statuses) > 10


class Elsewhere:
    """Models that are to be loaded from another place."""

    ready = True
    place = Path("models/0002")

    def places(self) -> tuple[Path, ...]:
        return (self.place,)

    def loaded(self) -> tuple[object, ...]:
        return (SimpleNamespace(folder=Path("models/0001")),)


@pytest.mark.parametrize("problem", [BundleError("altered"), MemoryError()])
def test_what_cannot_be_loaded_is_tried_once_and_the_follower_goes_on(problem: Exception):
    tried: list[int] = []

    def load() -> None:
        tried.append(1)
        raise problem

    models = Elsewhere()
    follower = Follower(models, load)  # type: ignore[arg-type]
    for _ in range(3):
        follower.look()
    assert tried == [1]
    models.place = Path("models/0001")  # rolled back
    follower.look()
    models.place = Path("models/0002")  # and promoted once more
    follower.look()
    follower.close()
    assert tried == [1, 1]


class Broken:
    """A classifier that fails in a way that nobody has foreseen."""

    tree = SimpleNamespace(levels=("section",))

    def classify(self, texts: list[str], options: object) -> None:
        raise RuntimeError("no memory on the device")


def test_a_shadow_that_fails_goes_on_and_is_not_asked_about_its_own_answers():
    metrics = Metrics()
    shadow = Shadow(None, metrics)  # type: ignore[arg-type]
    shadow.model = SimpleNamespace(version="v2", classifier=Broken())  # type: ignore[assignment]
    shadow.add([prediction(1), prediction(2, version="v2"), prediction(3)], ["a", "b", "c"])
    wait_for(lambda: metrics.shadow.labels("failed")._value.get() == 2)
    shadow.close()
    assert metrics.shadow.labels("left_out")._value.get() == 0


def test_a_champion_that_does_not_verify_is_left_alone(exported: Path, tmp_path: Path):
    registry = Registry(tmp_path / "models")
    first, second = registry.add(exported), registry.add(exported)
    registry.promote(first.name)
    with serving(tmp_path, "--model", registry.folder) as server, server.client() as client:
        (second / "golden.json").write_text("{}")
        registry.promote(second.name)

        def failed() -> int:
            return sum(line["event"] == "models not loaded" for line in server.lines())

        wait_for(lambda: failed() == 1)
        time.sleep(2.5)
        assert failed() == 1  # it is not tried again and again
        assert client.post("/predict", json={"text": TEXT}).status_code == 200
        assert version(client) == read_bundle(first).fingerprint


def test_a_candidate_in_the_shadow_is_compared_with_what_was_answered(
    exported: Path, tree_bundle: Path, tmp_path: Path
):
    flags = ("--model", exported, "--shadow", tree_bundle, "--store", "store.db")
    with serving(tmp_path, *flags) as server, server.client() as client:
        for number in range(5):
            answer = client.post("/predict", json={"text": f"{TEXT} {number}"})
            assert answer.status_code == 200

        def compared() -> float:
            lines = client.get("/metrics").text.splitlines()
            found = [line for line in lines if line.startswith("patclass_shadow_predictions_total")]
            return sum(float(line.split()[-1]) for line in found)

        wait_for(lambda: compared() == 5)
        server.terminate()
    database = locate_store(tmp_path / "store.db", {})
    candidate = read_bundle(tree_bundle).fingerprint
    store = PredictionStore(database)
    assert store.count() == 5
    assert store.count(candidate, shadow=True) == 5
    assert disagreement(database, candidate).rows == 5
    database.close()
