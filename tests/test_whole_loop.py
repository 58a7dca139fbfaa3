"""The learning loop played whole, with real processes and real patents.

A model has never seen one section. Patents of it appear in the stream; the alarm rings; people
judge; a candidate is trained, passes the gate and takes over while the service answers. In the
counter-case three verdicts in ten are wrong, and the gate refuses in words.
"""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import SHARED
from patclass.bundle import read_bundle
from patclass.bundle.registry import Registry
from patclass.store.database import locate_store
from patclass.store.events import EventStore
from patclass.store.models import ModelStore
from service_process import Server, serving

# It takes ten minutes on two cores.
pytestmark = pytest.mark.skipif(
    not os.environ.get("PATCLASS_WHOLE_LOOP"), reason="takes long: set PATCLASS_WHOLE_LOOP=1"
)

NEW = "E"
SECTIONS = "ABCDEFGH"
TRAIN, VALIDATION, TEST = 1000, 250, 600
WINDOW = 250
BEFORE, AFTER = 250, 500
SHARE = 0.4  # of the new section, once it appears
FLIPPED = 0.3

Patent = dict[str, Any]


@dataclass(frozen=True)
class World:
    """All patents of the play.

    :param quiet: a stream without the new section, and ``stream`` one in which it appears.
    :param unseen: patents on which accuracy is measured, seen by no model and no reviewer.
    """

    data: Path
    quiet: list[Patent]
    stream: list[Patent]
    unseen: list[Patent]


def patents(split: str) -> tuple[list[Patent], list[Patent]]:
    """Shared patents with a section: of the known ones, and of the new one; shuffled."""
    columns = ["id", "title", "abstract", "section"]
    rows = pq.read_table(SHARED / "data" / f"patents-{split}.parquet", columns=columns).to_pylist()
    rows = [row for row in rows if row["section"]]
    random.Random(0).shuffle(rows)
    new = [row for row in rows if row["section"] == NEW]
    return [row for row in rows if row["section"] != NEW], new


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared patents are not on this machine")
    data = tmp_path_factory.mktemp("loop") / "data"
    data.mkdir()
    (train, new), (validation, _), (test, unseen) = map(patents, ("train", "validation", "test"))
    for name, rows in (
        ("train", train[:TRAIN]),
        ("validation", validation[:VALIDATION]),
        ("test", test[:TEST]),
    ):
        pq.write_table(pa.Table.from_pylist(rows), data / f"{name}.parquet")
    later = train[TRAIN:]
    appearing = round(SHARE * AFTER)
    stream = [*new[:appearing], *later[BEFORE : BEFORE + AFTER - appearing]]
    random.Random(1).shuffle(stream)
    return World(data, later[:BEFORE], stream, [*test[TEST:][:1500], *unseen])


def patclass(folder: Path, *arguments: object, expected: int = 0) -> str:
    """Run a command in a process of its own; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "patclass", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == expected, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def home(world: World) -> Path:
    """A folder with the first champion, trained without the new section."""
    folder = world.data.parent
    settings = (
        "--labels",
        "section",
        "--epochs",
        2,
        "--max-tokens",
        96,
        "--index-rows",
        0,
        "--allow-weak",
    )
    patclass(folder, "train", "--data", world.data, *settings)
    patclass(folder, "models", "promote", "final_model")
    return folder


def ask(client: httpx.Client, rows: Sequence[Patent]) -> list[Any]:
    """What the service answers, 50 patents at a time."""
    answers = []
    for start in range(0, len(rows), 50):
        sent = [
            {"id": row["id"], "title": row["title"], "abstract": row["abstract"]}
            for row in rows[start : start + 50]
        ]
        answer = client.post("/v1/classify", json={"patents": sent})
        assert answer.status_code == 200, answer.text
        answers += answer.json()["results"]
    return answers


def judge(client: httpx.Client, rows: Sequence[Patent], answers: Sequence[Any]) -> None:
    """Have a reviewer say of each answer whether it is right, through the API."""
    for row, answer in zip(rows, answers, strict=True):
        right = answer["label"] == row["section"]
        body = {"prediction_id": answer["prediction_id"], "correct": right, "reviewer": "Ada"}
        if not right:
            body["label"] = row["section"]
        headers = {"Idempotency-Key": f"review-{answer['prediction_id']}"}
        given = client.post("/v1/feedback", json=body, headers=headers)
        assert given.status_code == 201, given.text


def flipped(rows: Sequence[Patent]) -> list[Patent]:
    """The same patents, of which three in ten are said to be of another section."""
    chance = random.Random(2)
    return [
        row | {"section": chance.choice([s for s in SECTIONS if s != row["section"]])}
        if chance.random() < FLIPPED
        else row
        for row in rows
    ]


def accuracies(rows: Sequence[Patent], answers: Sequence[Any]) -> dict[str, float]:
    """The share of right answers by section, in points; sections with 30 patents at least."""
    found = {}
    for section in SECTIONS:
        hits = [
            answer["label"] == section
            for row, answer in zip(rows, answers, strict=True)
            if row["section"] == section
        ]
        if len(hits) >= 30:
            found[section] = 100 * sum(hits) / len(hits)
    return found


def alarms(folder: Path) -> int:
    database = locate_store(folder / "patclass.db", {})
    found = len(EventStore(database).latest("alarm"))
    database.close()
    return found


def wait_for_alarm(folder: Path, seconds: float = 10) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not alarms(folder):
        time.sleep(0.2)
    return alarms(folder)


def version(client: httpx.Client) -> str:
    return str(client.get("/v1/models").json()["models"][0]["version"])


@dataclass
class Asking:
    """Somebody who asks all the time, so that a request that fails is noticed."""

    server: Server
    patent: Patent

    def __enter__(self) -> list[int]:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self.statuses

    def __exit__(self, *problem: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with self.server.client() as client:
            while not self._stop.wait(1):
                text = {"text": self.patent["abstract"]}
                self.statuses.append(client.post("/predict", json=text).status_code)


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[tuple[Server, httpx.Client]]:
    flags = ("--model", "models", "--keep-texts", "--window", WINDOW, "--feedback-rate", 10**6)
    with serving(home, *flags) as server, server.client() as client:
        yield server, client


def test_the_loop_learns_what_the_model_has_never_seen(
    world: World, home: Path, served: tuple[Server, httpx.Client]
):
    server, client = served
    first = version(client)
    ask(client, world.quiet)
    assert wait_for_alarm(home, 5) == 0
    answers = ask(client, world.stream[:WINDOW])
    assert wait_for_alarm(home) > 0
    answers += ask(client, world.stream[WINDOW:])
    before = accuracies(world.unseen, ask(client, world.unseen))
    wait_until_kept(client)
    shutil.copytree(home / "models", home / "flipped" / "models")  # for the other way to go on
    judge(client, world.stream, answers)

    with Asking(server, world.quiet[0]) as statuses:
        told = patclass(home, "loop", "--once", "--window", WINDOW)
        assert "shifted: " in told
        assert "promoted: models/0002" in told
        end = time.monotonic() + 30
        while version(client) == first and time.monotonic() < end:
            time.sleep(0.1)
    assert set(statuses) == {200}
    assert version(client) == read_bundle(Registry(home / "models").champion()).fingerprint != first

    after = accuracies(world.unseen, ask(client, world.unseen))
    gains = {section: after[section] - before[section] for section in before}
    assert gains[NEW] >= 20, gains
    assert min(gains.values()) >= -3, gains


def wait_until_kept(client: httpx.Client) -> None:
    while "patclass_recording_predictions 0.0" not in client.get("/metrics").text:
        time.sleep(0.1)


def test_where_three_verdicts_in_ten_are_wrong_the_gate_refuses(world: World, home: Path):
    folder = home / "flipped"
    flags = ("--model", "models", "--keep-texts", "--feedback-rate", 10**6)
    with serving(folder, *flags) as server, server.client() as client:
        judge(client, flipped(world.stream), ask(client, world.stream))
    told = patclass(folder, "loop", "--once", "--window", WINDOW, expected=1)
    assert "is refused in the place of" in told
    assert "FAILS  people's verdicts cannot be trusted" in told
    assert Registry(folder / "models").champion().name == "0001"
    database = locate_store(folder / "patclass.db", {})
    assert [row.state for row in ModelStore(database).all()] == ["champion", "refused"]
    database.close()
    page = (folder / "models" / "decisions" / "0002.html").read_text()
    assert "Refused" in page
    assert "too many are wrong: have them reviewed" in page
