"""The complete learning loop: a real service, the command line, reviewers' requests.

A model has never seen one section. Patents of it appear in the stream; an alert is raised;
reviewers give feedback; a candidate is trained, passes the gate and is promoted while the service
is in use. In the counter-case thirty percent of the feedback is wrong, and the gate refuses it.

There are two scenarios: a small one, with a tiny model and synthetic patents, whose commands run
in the process of the tests; and one with the embedded base, real patents and a process for each
command if PATCLASS_WHOLE_LOOP is set (``make test-loop``), which takes half an hour on two cores.
"""

import io
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
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
FLIPPED = 0.3  # of the feedback, in the counter-case

Patent = dict[str, Any]
# Patents of known sections, and of the new section.
Patents = tuple[list[Patent], list[Patent]]


@dataclass(frozen=True)
class Scenario:
    """All patents of a scenario, and how the first champion is trained.

    :param new: the section that the model has never seen.
    :param window: the window size; in the first window with the new section its share is four
        in ten, later one in ten.
    :param held_out: patents that no model and no reviewer has seen: the test rows that the gate
        uses, and others, also of the new section.
    """

    data: Path
    sections: str
    new: str
    window: int
    before_shift: list[Patent]
    stream: list[Patent]
    held_out: list[Patent]
    flags: tuple[object, ...]
    in_process: bool


def make_scenario(
    data: Path,
    new: str,
    sizes: Sequence[int],
    splits: Sequence[Patents],
    flags: tuple[object, ...],
    in_process: bool,
) -> Scenario:
    """Divide patents.

    :param in_process: run commands in this process, which has loaded torch once.
    :param sizes: training, validation and test rows, the window, and the predictions after it.
    :param splits: patents for training and for the stream, for validation, and for testing.
    """
    train, validation, test, window, later = sizes
    (known, new_patents), (validated, _), (tested_known, held_out_new) = splits
    data.mkdir()
    columns = [known[:train], validated[:validation], tested_known[:test]]
    for name, rows in zip(("train", "validation", "test"), columns, strict=True):
        pq.write_table(pa.Table.from_pylist(rows), data / f"{name}.parquet")
    remaining = iter(known[train:])
    before_shift = [next(remaining) for _ in range(window)]
    stream: list[Patent] = []
    for number, size, share in ((1, window, 0.4), (2, later, 0.1)):
        new_count = round(share * size)
        part = [new_patents.pop() for _ in range(new_count)] + [
            next(remaining) for _ in range(size - new_count)
        ]
        random.Random(number).shuffle(part)
        stream += part
    sections = "".join(sorted({row["section"] for row in known} | {new}))
    return Scenario(
        data=data,
        sections=sections,
        new=new,
        window=window,
        before_shift=before_shift,
        stream=stream,
        held_out=[*tested_known, *held_out_new],
        flags=flags,
        in_process=in_process,
    )


def real_patents(split: str, new: str) -> Patents:
    """Shared patents with a section, shuffled."""
    columns = ["id", "title", "abstract", "section"]
    rows = pq.read_table(SHARED / "data" / f"patents-{split}.parquet", columns=columns).to_pylist()
    rows = [row for row in rows if row["section"]]
    random.Random(0).shuffle(rows)
    new_patents = [row for row in rows if row["section"] == new]
    return [row for row in rows if row["section"] != new], new_patents


def made_up_patents(known: int, new_count: int, seed: int) -> Patents:
    """Synthetic patents with the vocabulary of their section."""
    rows = [row | {"section": row["main_code"][0]} for row in patent_rows(known, seed)]
    rng = random.Random(seed)
    new = [
        {
            "id": f"new-{seed}-{number}",
            "title": f"The {rng.choice(LOOM)}",
            "abstract": f"A machine with {' '.join(rng.choices(LOOM, k=14))}.",
            "section": "D",
        }
        for number in range(new_count)
    ]
    return rows, new


def small_scenario(data: Path, base: Path) -> Scenario:
    splits = [made_up_patents(800, 80, 1), made_up_patents(60, 0, 2), made_up_patents(200, 40, 3)]
    training = ("--epochs", 8, "--learning-rate", 1e-2, "--batch-tokens", 400)
    flags = ("--base", base, "--max-tokens", 64, *training)
    return make_scenario(data, "D", (90, 60, 150, 100, 200), splits, flags, True)


def real_scenario(data: Path) -> Scenario:
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared patents are not on this machine")
    splits = [real_patents(split, "E") for split in ("train", "validation", "test")]
    flags = ("--max-tokens", 96, "--epochs", 2, "--learning-rate", 2e-3, "--batch-tokens", 1024)
    return make_scenario(data, "E", (1000, 500, 2700, 250, 1250), splits, flags, False)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("small", marks=pytest.mark.full),  # a part of it: cli/test_models
        pytest.param(
            "real",
            marks=pytest.mark.skipif(
                not os.environ.get("PATCLASS_WHOLE_LOOP"),
                reason="takes half an hour: set PATCLASS_WHOLE_LOOP=1",
            ),
        ),
    ],
)
def scenario(
    request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    data = tmp_path_factory.mktemp("loop") / "data"
    return small_scenario(data, tiny_bert) if request.param == "small" else real_scenario(data)


def run_loop(scenario: Scenario, folder: Path, expected: int = 0) -> str:
    """Run one pass of the loop and return its output."""
    arguments = ["loop", "--once", "--window", str(scenario.window)]
    if scenario.in_process:
        output = io.StringIO()
        with chdir(folder), verified_here(), redirect_stdout(output):
            code = main(arguments, standalone_mode=False) or 0
        assert code == expected, output.getvalue()
        return output.getvalue()
    done = subprocess.run(
        [sys.executable, "-m", "patclass", *arguments],
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
def home(scenario: Scenario) -> Path:
    """A folder with the first champion, trained without the new section."""
    folder = scenario.data.parent
    flags = ("--labels", "section", "--index-rows", 0, "--allow-weak", *scenario.flags)
    with chdir(folder), verified_here():
        for command in (
            ("train", "--data", scenario.data, *flags),
            ("models", "promote", "final_model"),
        ):
            main(list(map(str, command)), standalone_mode=False)
    return folder


def classify(client: httpx.Client, rows: Sequence[Patent]) -> list[Any]:
    """The service's predictions, requested for 50 patents at a time."""
    predictions = []
    for start in range(0, len(rows), 50):
        sent = [
            {"id": row["id"], "title": row["title"], "abstract": row["abstract"]}
            for row in rows[start : start + 50]
        ]
        response = client.post("/v1/classify", json={"patents": sent})
        assert response.status_code == 200, response.text
        predictions += response.json()["results"]
    return predictions


def give_feedback(client: httpx.Client, rows: Sequence[Patent], predictions: Sequence[Any]) -> None:
    """Send a reviewer's feedback on each prediction through the API."""
    for row, prediction in zip(rows, predictions, strict=True):
        is_correct = prediction["label"] == row["section"]
        body = {
            "prediction_id": prediction["prediction_id"],
            "correct": is_correct,
            "reviewer": "Ada",
        }
        if not is_correct:
            body["label"] = row["section"]
        headers = {"Idempotency-Key": f"review-{prediction['prediction_id']}"}
        response = client.post("/v1/feedback", json=body, headers=headers)
        assert response.status_code == 201, response.text


def flipped(scenario: Scenario) -> list[Patent]:
    """The stream, with a wrong section for three patents in ten."""
    rng = random.Random(2)
    return [
        row | {"section": rng.choice([s for s in scenario.sections if s != row["section"]])}
        if rng.random() < FLIPPED
        else row
        for row in scenario.stream
    ]


def accuracies(scenario: Scenario, predictions: Sequence[Any]) -> dict[str, float]:
    """The accuracy by section in points, for sections with at least 30 patents."""
    rows, found = scenario.held_out, {}
    for section in scenario.sections:
        correct = [
            prediction["label"] == section
            for row, prediction in zip(rows, predictions, strict=True)
            if row["section"] == section
        ]
        if len(correct) >= 30:
            found[section] = 100 * sum(correct) / len(correct)
    return found


def alerts(folder: Path) -> int:
    database = locate_store(folder / "patclass.db", {})
    found = len(EventStore(database).latest("alert"))
    database.close()
    return found


def version(client: httpx.Client) -> str:
    return str(client.get("/v1/models").json()["models"][0]["version"])


@dataclass
class ContinuousRequests:
    """A client that sends requests continuously, so that failing requests are detected."""

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
def served(scenario: Scenario, home: Path) -> Iterator[tuple[Server, httpx.Client]]:
    window = ("--window", scenario.window)
    flags = ("--model", "models", "--keep-texts", *window, "--feedback-rate", 10**6)
    with serving(home, *flags) as server, server.client() as client:
        yield server, client


def test_the_loop_learns_a_section_that_the_model_has_never_seen(
    scenario: Scenario, home: Path, served: tuple[Server, httpx.Client]
):
    server, client = served
    first = version(client)
    classify(client, scenario.before_shift)
    wait_until(lambda: "patclass_drift_psi{" in client.get("/metrics").text)  # checked
    assert alerts(home) == 0
    predictions = classify(client, scenario.stream[: scenario.window])
    wait_until(lambda: alerts(home))
    predictions += classify(client, scenario.stream[scenario.window :])
    before = accuracies(scenario, classify(client, scenario.held_out))
    wait_until_stored(client)
    shutil.copytree(home / "models", home / "flipped" / "models")  # for the counter-case
    give_feedback(client, scenario.stream, predictions)

    with ContinuousRequests(server, scenario.before_shift[0]) as statuses:
        output = run_loop(scenario, home)
        print(output)
        assert "promoted: models/0002" in output
        wait_until(lambda: version(client) != first, 300)
    assert set(statuses) == {200}
    assert version(client) == read_bundle(Registry(home / "models").champion()).fingerprint != first

    after = accuracies(scenario, classify(client, scenario.held_out))
    gains = {section: after[section] - before[section] for section in before}
    print(gains)
    assert gains[scenario.new] >= 20, gains
    assert min(gains.values()) >= -3, gains


def wait_until_stored(client: httpx.Client) -> None:
    wait_until(lambda: "patclass_recording_predictions 0.0" in client.get("/metrics").text)


@pytest.mark.full  # cli/test_models has such feedback refused in the fast lane
def test_the_gate_refuses_a_candidate_when_thirty_percent_of_feedback_is_wrong(
    scenario: Scenario, home: Path
):
    folder = home / "flipped"
    flags = ("--model", "models", "--keep-texts", "--feedback-rate", 10**6)
    with serving(folder, *flags) as server, server.client() as client:
        give_feedback(client, flipped(scenario), classify(client, scenario.stream))
    output = run_loop(scenario, folder, expected=1)
    print(output)
    assert "is refused as a replacement of" in output
    assert "FAILED  feedback is not reliable" in output
    assert Registry(folder / "models").champion().name == "0001"
    database = locate_store(folder / "patclass.db", {})
    assert [row.state for row in ModelStore(database).all()] == ["champion", "refused"]
    database.close()
    page = (folder / "models" / "decisions" / "0002.html").read_text()
    assert "Refused" in page
    assert "too many labels are wrong: have them reviewed" in page
