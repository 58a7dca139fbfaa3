"""The learning loop played whole, with real processes: service, command line, reviewers' calls.

A model has never seen one section. Patents of it appear in the stream; the alarm rings; people
judge; a candidate is trained, passes the gate and takes over while the service answers. In the
counter-case three verdicts in ten are wrong, and the gate refuses in words.

It is played in two worlds: small, with a tiny model and made-up patents, always; and with the
embedded base and real patents where PATCLASS_WHOLE_LOOP is set (``make test-loop``), as that takes
half an hour on two cores.
"""

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import SHARED, patent_rows
from helpers import verified_here, wait_until
from patclass.bundle import read_bundle
from patclass.bundle.registry import Registry
from patclass.cli.main import main
from patclass.store.database import locate_store
from patclass.store.history import EventStore, ModelStore
from service_process import Server, serving

LOOM = ["loom", "heald", "warp", "weft", "reed", "yarn", "fabric", "shuttle"]
FLIPPED = 0.3  # of the verdicts, in the counter-case

Patent = dict[str, Any]
# Patents of known sections, and of the new one.
Patents = tuple[list[Patent], list[Patent]]


@dataclass(frozen=True)
class World:
    """All patents of the play, and how the first champion is trained.

    :param new: the section that the model has never seen.
    :param window: answers that are looked at together; of the first with the new section it has
        four in ten, later one in ten.
    :param held_out: patents that no model and no reviewer has seen: the test rows by which the
        gate judges, and others, also of the new section.
    """

    data: Path
    sections: str
    new: str
    window: int
    quiet: list[Patent]
    stream: list[Patent]
    held_out: list[Patent]
    flags: tuple[object, ...]


def make_world(
    data: Path, new: str, sizes: Sequence[int], splits: Sequence[Patents], flags: tuple[object, ...]
) -> World:
    """Divide patents.

    :param sizes: training, validation and test rows, a window, and what comes after the first one.
    :param splits: patents to train on and to be asked about, to validate on, to test on.
    """
    train, validation, test, window, later = sizes
    (known, strange), (validated, _), (tested, oov_rate) = splits
    data.mkdir()
    columns = [known[:train], validated[:validation], tested[:test]]
    for name, rows in zip(("train", "validation", "test"), columns, strict=True):
        pq.write_table(pa.Table.from_pylist(rows), data / f"{name}.parquet")
    asked = iter(known[train:])
    quiet = [next(asked) for _ in range(window)]
    stream: list[Patent] = []
    for number, size, share in ((1, window, 0.4), (2, later, 0.1)):
        news = round(share * size)
        part = [strange.pop() for _ in range(news)] + [next(asked) for _ in range(size - news)]
        random.Random(number).shuffle(part)
        stream += part
    sections = "".join(sorted({row["section"] for row in known} | {new}))
    return World(data, sections, new, window, quiet, stream, [*tested, *oov_rate], flags)


def real_patents(split: str, new: str) -> Patents:
    """Shared patents with a section, shuffled."""
    columns = ["id", "title", "abstract", "section"]
    rows = pq.read_table(SHARED / "data" / f"patents-{split}.parquet", columns=columns).to_pylist()
    rows = [row for row in rows if row["section"]]
    random.Random(0).shuffle(rows)
    strange = [row for row in rows if row["section"] == new]
    return [row for row in rows if row["section"] != new], strange


def made_up_patents(known: int, strange: int, seed: int) -> Patents:
    """Patents in words of their section."""
    rows = [row | {"section": row["main_code"][0]} for row in patent_rows(known, seed)]
    chance = random.Random(seed)
    new = [
        {
            "id": f"new-{seed}-{number}",
            "title": f"The {chance.choice(LOOM)}",
            "abstract": f"A machine with {' '.join(chance.choices(LOOM, k=14))}.",
            "section": "D",
        }
        for number in range(strange)
    ]
    return rows, new


def small_world(data: Path, base: Path) -> World:
    splits = [made_up_patents(800, 80, 1), made_up_patents(60, 0, 2), made_up_patents(200, 40, 3)]
    training = ("--epochs", 8, "--learning-rate", 1e-2, "--batch-tokens", 400)
    flags = ("--base", base, "--max-tokens", 64, *training)
    return make_world(data, "D", (90, 60, 150, 100, 200), splits, flags)


def real_world(data: Path) -> World:
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared patents are not on this machine")
    splits = [real_patents(split, "E") for split in ("train", "validation", "test")]
    flags = ("--max-tokens", 96, "--epochs", 2, "--learning-rate", 2e-3, "--batch-tokens", 1024)
    return make_world(data, "E", (1000, 500, 2700, 250, 1250), splits, flags)


@pytest.fixture(
    scope="module",
    params=[
        "small",
        pytest.param(
            "real",
            marks=pytest.mark.skipif(
                not os.environ.get("PATCLASS_WHOLE_LOOP"),
                reason="takes half an hour: set PATCLASS_WHOLE_LOOP=1",
            ),
        ),
    ],
)
def world(
    request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> World:
    data = tmp_path_factory.mktemp("loop") / "data"
    return small_world(data, tiny_bert) if request.param == "small" else real_world(data)


def patclass(folder: Path, *arguments: object, expected: int = 0) -> str:
    """Run a command in a process of its own; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "patclass", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == expected, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def home(world: World) -> Path:
    """A folder with the first champion, trained without the new section."""
    folder = world.data.parent
    flags = ("--labels", "section", "--index-rows", 0, "--allow-weak", *world.flags)
    with chdir(folder), verified_here():
        for command in (
            ("train", "--data", world.data, *flags),
            ("models", "promote", "final_model"),
        ):
            main(list(map(str, command)), standalone_mode=False)
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


def flipped(world: World) -> list[Patent]:
    """The stream, of which three patents in ten are said to be of another section."""
    chance = random.Random(2)
    return [
        row | {"section": chance.choice([s for s in world.sections if s != row["section"]])}
        if chance.random() < FLIPPED
        else row
        for row in world.stream
    ]


def accuracies(world: World, answers: Sequence[Any]) -> dict[str, float]:
    """The share of right answers by section, in points; sections with 30 patents at least."""
    rows, found = world.held_out, {}
    for section in world.sections:
        hits = [
            answer["label"] == section
            for row, answer in zip(rows, answers, strict=True)
            if row["section"] == section
        ]
        if len(hits) >= 30:
            found[section] = 100 * sum(hits) / len(hits)
    return found


def alerts(folder: Path) -> int:
    database = locate_store(folder / "patclass.db", {})
    found = len(EventStore(database).latest("alert"))
    database.close()
    return found


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
def served(world: World, home: Path) -> Iterator[tuple[Server, httpx.Client]]:
    window = ("--window", world.window)
    flags = ("--model", "models", "--keep-texts", *window, "--feedback-rate", 10**6)
    with serving(home, *flags) as server, server.client() as client:
        yield server, client


def test_the_loop_learns_a_section_that_the_model_has_never_seen(
    world: World, home: Path, served: tuple[Server, httpx.Client]
):
    server, client = served
    first = version(client)
    ask(client, world.quiet)
    wait_until(lambda: "patclass_drift_psi{" in client.get("/metrics").text)  # it was looked at
    assert alerts(home) == 0
    answers = ask(client, world.stream[: world.window])
    wait_until(lambda: alerts(home))
    answers += ask(client, world.stream[world.window :])
    before = accuracies(world, ask(client, world.held_out))
    wait_until_kept(client)
    shutil.copytree(home / "models", home / "flipped" / "models")  # for the other way to go on
    judge(client, world.stream, answers)

    with Asking(server, world.quiet[0]) as statuses:
        told = patclass(home, "loop", "--once", "--window", world.window)
        print(told)
        assert "promoted: models/0002" in told
        wait_until(lambda: version(client) != first, 300)
    assert set(statuses) == {200}
    assert version(client) == read_bundle(Registry(home / "models").champion()).fingerprint != first

    after = accuracies(world, ask(client, world.held_out))
    gains = {section: after[section] - before[section] for section in before}
    print(gains)
    assert gains[world.new] >= 20, gains
    assert min(gains.values()) >= -3, gains


def wait_until_kept(client: httpx.Client) -> None:
    wait_until(lambda: "patclass_recording_predictions 0.0" in client.get("/metrics").text)


@pytest.mark.full  # cli/test_models has such feedback refused in the fast lane
def test_the_gate_refuses_a_candidate_when_thirty_percent_of_feedback_is_wrong(
    world: World, home: Path
):
    folder = home / "flipped"
    flags = ("--model", "models", "--keep-texts", "--feedback-rate", 10**6)
    with serving(folder, *flags) as server, server.client() as client:
        judge(client, flipped(world), ask(client, world.stream))
    told = patclass(folder, "loop", "--once", "--window", world.window, expected=1)
    print(told)
    assert "is refused as a replacement of" in told
    assert "FAILED  feedback is not reliable" in told
    assert Registry(folder / "models").champion().name == "0001"
    database = locate_store(folder / "patclass.db", {})
    assert [row.state for row in ModelStore(database).all()] == ["champion", "refused"]
    database.close()
    page = (folder / "models" / "decisions" / "0002.html").read_text()
    assert "Refused" in page
    assert "too many labels are wrong: have them reviewed" in page
