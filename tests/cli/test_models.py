"""``patclass models``, ``retrain`` and ``loop``, with a tiny model and a new label."""

import re
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from click.testing import CliRunner, Result

from conftest import patent_rows, write_jsonl, write_splits
from helpers import Cli, rewrite_manifest, tiny_run, verified_here
from kept import FolderCache
from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import Registry
from patclass.cli.main import main
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.errors import StoreError, TrainingError
from patclass.data.text import text_sha256
from patclass.inference import Classifier
from patclass.learning.training_data import part_of
from patclass.store.consensus import Feedback
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.history import EventStore, ModelStore
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.purge import purge_text
from patclass.training import run as training
from patclass.training.loop import Fit
from store_rows import ID, prediction

NEW = "loom heald warp weft reed yarn fabric shuttle"


def new_rows(count: int, seed: int) -> list[dict[str, str]]:
    """Rows of a section that the model has never seen, with its own vocabulary."""
    words, random = NEW.split(), torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        picks = torch.randint(len(words), (14,), generator=random).tolist()
        text = "A machine with " + " ".join(words[pick] for pick in picks) + "."
        rows.append({"title": f"The {words[picks[0]]}", "abstract": text, "main_code": "D03D 1/00"})
    return rows


@pytest.fixture(scope="module")
def champion(tiny_bert: Path, folder_cache: FolderCache) -> Path:
    def make(home: Path) -> None:
        write_splits(home)
        write_jsonl(home / "test.jsonl", patent_rows(150, seed=3))  # enough for the gate
        tiny_run(tiny_bert, home, home / "model", epochs=8, learning_rate=1e-2)

    return folder_cache.folder("champion", make) / "model"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which the commands run; new bundles are verified in this process."""
    monkeypatch.chdir(tmp_path)
    with verified_here():
        yield tmp_path


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    found = locate_store(None, {})
    yield found
    found.close()


@pytest.fixture
def registry(home: Path, cli: Cli, champion: Path) -> Registry:
    done = cli("models", "promote", champion)
    assert done.code == 0, done.err
    return Registry(Path("models"))


def give_feedback(
    database: Database, registry: Registry, flip: bool = False, known: int = 120
) -> None:
    """Add a reviewer's feedback on the champion's predictions for a stream with the new section."""
    bundle = read_bundle(registry.champion())
    stream = [*patent_rows(known, seed=7), *new_rows(120, seed=8)]
    predictions = Classifier(bundle, "cpu").classify(stream)
    wrong = {"A": "H", "C": "A", "H": "C", "D": "C"}
    for number, (row, predicted) in enumerate(zip(stream, predictions, strict=True)):
        y_true = row["main_code"][0]
        y_true = wrong[y_true] if flip and number % 3 == 0 else y_true
        is_correct = y_true == predicted.label
        feedback = Feedback(
            *(ID(number), is_correct, None if is_correct else y_true),
            **{
                "reviewer": "Ada",
                "predicted_label": predicted.label,
                "version": bundle.fingerprint,
            },
            **{"text": predicted.text, "text_sha256": text_sha256(predicted.text)},
        )
        FeedbackStore(database).add(f"key-{number}", feedback)


def invoke(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@contextmanager
def copy_of(folder: Path, target: Path) -> Iterator[Path]:
    """Go on in a copy of a folder, where commands run as in ``home``."""
    shutil.copytree(folder, target, symlinks=True, dirs_exist_ok=True)
    with chdir(target), verified_here():
        yield target


# Each of the following folders goes on from the one before it, so that a candidate is trained once.


@pytest.fixture(scope="module")
def interrupted(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training of a candidate was interrupted before its bundle was saved."""
    folder = tmp_path_factory.mktemp("stopped")
    error = TrainingError("stopped before it was finished")
    with chdir(folder), verified_here():
        assert invoke("models", "promote", champion).exit_code == 0
        database = locate_store(None, {})
        give_feedback(database, Registry(Path("models")))
        database.close()
        with patch.object(training, "fit_components", side_effect=error):
            assert isinstance(invoke("retrain").exception, TrainingError)
    return folder


@pytest.fixture(scope="module")
def unrecorded(interrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate has been trained, but the process ended before it was recorded in the store."""
    error = StoreError("the process ended here")
    with (
        copy_of(interrupted, tmp_path_factory.mktemp("orphaned")) as folder,
        patch.object(ModelStore, "add", side_effect=[error]),
    ):
        assert isinstance(invoke("retrain").exception, StoreError)
    return folder


@pytest.fixture(scope="module")
def retrained(unrecorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate has been trained and not yet evaluated."""
    with copy_of(unrecorded, tmp_path_factory.mktemp("retrained")) as folder:
        assert invoke("retrain").exit_code == 0
    return folder


def copy_registry(folder: Path, home: Path) -> Registry:
    """Copy the registry and store of another folder."""
    shutil.copytree(folder, home, symlinks=True, dirs_exist_ok=True)
    return Registry(Path("models"))


def states(database: Database) -> list[str]:
    return [row.state for row in ModelStore(database).all()]


def test_the_first_champion_is_promoted_without_a_comparison(
    registry: Registry, cli: Cli, database: Database
):
    assert registry.champion() == Path("models/0001")
    assert states(database) == ["champion"]
    done = cli("models", "list")
    assert re.search(r"^0001 +\w{12} +champion ", done.out, re.MULTILINE)
    assert cli("predict", "soil and seed", "--model", "models").code == 0


def test_retraining_without_feedback_is_refused(registry: Registry, cli: Cli):
    done = cli("retrain")
    assert done.code == 2
    assert "there is no feedback to train on" in done.err
    assert cli("loop", "--once").code == 0  # nothing to do is not an error


def test_the_loop_learns_a_new_section_and_promotes(
    registry: Registry, cli: Cli, database: Database
):
    give_feedback(database, registry)
    done = cli("loop", "--once", "--window", "50")
    assert done.code == 0, done.out + done.err
    assert "drift: fewer than 50 predictions so far" in done.out
    assert "promoted: models/0002" in done.out
    assert states(database) == ["retired", "champion"]
    candidate = read_bundle(registry.champion())
    assert candidate.folder.name == "0002"
    lineage = candidate.lineage
    assert lineage is not None
    assert (lineage.feedback_from, lineage.feedback_until) == (1, 240)
    parent = read_bundle(registry.folder / "0001")
    assert lineage.parent == parent.fingerprint
    kept = pytest.approx(parent.calibration.mixing_weights)
    assert candidate.calibration.mixing_weights == kept
    assert Classifier(candidate, "cpu").predict(new_rows(5, seed=99)) == ["D"] * 5
    page = (registry.folder / "decisions" / "0002.html").read_text()
    assert "Accepted" in page
    assert "better on feedback" in page
    assert {event.kind for event in EventStore(database).latest()} == {"retrained", "promoted"}
    shown = cli("models", "show", "0002")
    assert "may replace" in shown.out
    assert f"retrained from {lineage.parent}" in shown.out
    again = cli("loop", "--once")
    assert "feedback since the last candidate: 0" in again.out
    assert cli("models", "rollback").code == 0
    assert registry.champion().name == "0001"
    assert states(database) == ["champion", "retired"]


def test_wrong_feedback_is_refused_with_a_reason(registry: Registry, cli: Cli, database: Database):
    give_feedback(database, registry, flip=True)
    done = cli("loop", "--once")
    assert done.code == 1
    assert "is refused as a replacement of" in done.out
    assert "FAILED  worse on held-out rows" in done.out
    assert states(database) == ["champion", "refused"]
    assert registry.champion().name == "0001"
    assert "Refused" in (registry.folder / "decisions" / "0002.html").read_text()
    assert cli("models", "promote", "0002").code == 1
    assert cli("models", "promote", "0002", "--force", "we know better").code == 0
    assert registry.champion().name == "0002"
    assert EventStore(database).latest("promoted")[0].details == {"reason": "we know better"}


def test_an_interrupted_candidate_is_resumed(
    home: Path, interrupted: Path, cli: Cli, database: Database
):
    registry = copy_registry(interrupted, home)
    late = Feedback(
        ID(999), True, predicted_label="A", text="soil", text_sha256=text_sha256("soil")
    )
    FeedbackStore(database).add("added-later", late)  # for the next candidate
    done = cli("retrain")
    assert done.code == 0, done.err
    lineage = read_bundle(registry.folder / "0002").lineage
    assert lineage is not None
    assert lineage.feedback_until == 240
    assert not (registry.folder / "retrain.json").exists()


def test_a_candidate_is_not_resumed_when_a_training_text_was_deleted(
    home: Path, interrupted: Path, cli: Cli, database: Database
):
    copy_registry(interrupted, home)
    stored = FeedbackStore(database).all()
    deleted = next(
        text
        for given in stored
        if (text := given.feedback.text_sha256) and part_of(text) == "train"
    )
    purge_text(database, deleted)
    done = cli("retrain")
    assert done.code == 0, done.err
    assert "was trained on other rows; starting again" in done.out


def test_an_unevaluated_candidate_is_evaluated_by_the_next_pass(
    home: Path, retrained: Path, cli: Cli
):
    copy_registry(retrained, home)
    done = cli("loop", "--once")
    assert done.code == 0, done.out + done.err
    assert "not yet evaluated: models/0002" in done.out
    assert "promoted: models/0002" in done.out


def test_a_candidate_missing_from_the_store_is_recorded_by_the_next_pass(
    home: Path, unrecorded: Path, cli: Cli, database: Database
):
    registry = copy_registry(unrecorded, home)
    assert states(database) == ["champion"]
    assert "the candidate was trained before" in cli("retrain").out
    done = cli("loop", "--once")
    assert "not yet evaluated: models/0002" in done.out
    assert "promoted: models/0002" in done.out
    assert [event.kind for event in EventStore(database).latest("retrained")] == ["retrained"]
    assert not (registry.folder / "retrain.json").exists()


def test_a_candidate_missing_from_the_store_keeps_its_lineage_when_promoted_manually(
    home: Path, unrecorded: Path, cli: Cli, database: Database
):
    copy_registry(unrecorded, home)
    assert cli("models", "promote", "0002", "--force", "trust me").code == 0
    assert ModelStore(database).all()[-1].lineage["feedback_until"] == 240
    assert "feedback since the last candidate: 0 " in cli("loop", "--once").out


def test_an_interrupted_retraining_ends_the_loop_and_leaves_no_version(
    registry: Registry, cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
):
    give_feedback(database, registry, known=30)
    finish_epoch = Fit._finish_epoch

    def stop(fit: Fit, *arguments: object) -> None:
        finish_epoch(fit, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Fit, "_finish_epoch", stop)
    done = cli("loop", "--every", "1d", "--min-feedback", "1")
    assert done.code == EXIT_INTERRUPTED
    assert [path.name for path in registry.folders()] == ["0001"]


def test_without_the_store_the_champion_does_not_change(
    registry: Registry, cli: Cli, champion: Path
):
    copy = registry.add(champion)
    assert cli("models", "promote", copy.name, "--force", "another copy").code == 0
    for command in (["rollback"], ["promote", "0001", "--force", "as it was"]):
        with patch.object(ModelStore, "add", side_effect=StoreError("away")):
            assert cli("models", *command).code == 2
        assert registry.champion().name == copy.name


def test_an_unrecorded_promotion_is_recorded_later(
    home: Path, retrained: Path, cli: Cli, database: Database
):
    registry = copy_registry(retrained, home)
    with patch.object(ModelStore, "promote", side_effect=StoreError("away")):
        assert cli("models", "promote", "0002", "--force", "trust me").code == 2
    assert registry.champion().name == "0002"
    assert states(database) == ["champion", "candidate"]
    assert "is the champion already" in cli("models", "promote", "0002").out
    assert states(database) == ["retired", "champion"]
    assert (
        "the reason was not recorded"
        in EventStore(database).latest("promoted")[0].details["reason"]
    )


def test_a_version_is_added_once(registry: Registry, cli: Cli, champion: Path):
    for name in ("models/0001", "0001", champion):
        done = cli("models", "promote", name)
        assert done.out == "models/0001 is the champion already\n"
    assert [path.name for path in registry.folders()] == ["0001"]


def test_a_damaged_version_does_not_hide_others(registry: Registry, cli: Cli):
    copy = registry.add(registry.champion())
    (copy / "manifest.json").write_text("{}")
    done = cli("models", "list")
    assert done.code == 0, done.err
    assert "0002    damaged; see 'patclass verify models/0002'" in done.out
    assert cli("models", "show", "0001").code == 0
    assert cli("models", "show", "0002").code == 2


def test_only_one_pass_runs_at_a_time(registry: Registry, cli: Cli):
    with registry.lock(".retrain.lock"):
        for command in (["loop", "--once"], ["retrain"]):
            done = cli(*command)
            assert done.code == 2
            assert "another 'patclass retrain' or 'patclass loop' is running in models" in done.err


@pytest.mark.parametrize(
    "flags", [[], ["--once", "--every", "1d"], ["--every", "daily"], ["--every", "0h"]]
)
def test_invalid_loop_intervals_are_refused(registry: Registry, cli: Cli, flags: list[str]):
    assert cli("loop", *flags).code == 2


@pytest.mark.parametrize("version", ["0009", "zzz"])
def test_an_unknown_version_is_named(registry: Registry, cli: Cli, version: str):
    done = cli("models", "promote", version)
    assert done.code == 2
    assert f"'{version}' is no version in models; there are 0001" in done.err


def test_without_a_registry_the_error_says_how_to_create_one(home: Path, cli: Cli):
    for command in (["models", "list"], ["retrain"], ["models", "rollback"]):
        done = cli(*command)
        assert done.code == 2
        assert "patclass models promote FOLDER" in done.err


WINDOW = 60


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """The small bundle, beside the data that it was trained on."""
    shutil.copytree(bundle.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / bundle.name


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def typical_prediction(opened: Bundle, number: int) -> PredictionRow:
    """A prediction like those of the reference."""
    reference = opened.reference
    assert reference is not None
    (level,) = reference.levels
    place = number % len(reference.chars)
    label = reference.codes[level][reference.predictions[level][place]]
    share = float(reference.confidences[level][place])
    return prediction(
        number,
        **{"version": opened.fingerprint, "level": level, "label": label, "confidence": share},
        **{"levels": {level: (label, share)}, "chars": int(reference.chars[place])},
        **{name: float(getattr(reference, name)[place]) for name in ("oov_rate", "novelty")},
    )


def store_predictions(store: Path, rows: list[PredictionRow]) -> None:
    database = locate_store(store, {})
    PredictionStore(database).add(rows)
    database.close()


def without_reference(folder: Path) -> Path:
    """The bundle without its drift reference, like those of earlier versions."""
    (folder / "reference.safetensors").unlink()
    rewrite_manifest(folder)
    return folder


def test_a_report_without_drift_exits_with_0(cli: Cli, bundle: Path, store: Path):
    opened = read_bundle(bundle)
    store_predictions(store, [typical_prediction(opened, number) for number in range(WINDOW)])
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW)
    assert done.code == 0
    assert done.out.startswith(f"{WINDOW} predictions from ")
    assert not any(line.endswith("  yes") for line in done.out.splitlines())


def test_a_report_with_drift_names_it_and_exits_with_1(cli: Cli, bundle: Path, store: Path):
    opened = read_bundle(bundle)
    typical_rows = [typical_prediction(opened, number) for number in range(WINDOW)]
    shifted_rows = [
        replace(row, id=ID(WINDOW + number), chars=9000, novelty=40.0)
        for number, row in enumerate(typical_rows)
    ]
    store_predictions(store, [*typical_rows, *shifted_rows])
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW)
    assert done.code == 1
    alerts = [line for line in done.out.splitlines() if line.endswith("  yes")]
    assert [line[:24].strip() for line in alerts] == ["Text length", "Novelty"]


def test_too_few_predictions_are_an_error(cli: Cli, bundle: Path, store: Path):
    store_predictions(
        store, [typical_prediction(read_bundle(bundle), number) for number in range(WINDOW - 1)]
    )
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW)
    assert done.code == 2
    assert "--window 60: the store in" in done.err


@pytest.mark.parametrize("flags", [["--window", "10"], ["--nosuch"]])
def test_invalid_flags_exit_with_2(cli: Cli, bundle: Path, flags: list[str]):
    assert cli("monitor", "report", bundle, *flags).code == 2


def test_a_bundle_without_a_reference_is_an_error(cli: Cli, copy: Path, store: Path):
    done = cli("monitor", "report", without_reference(copy), "--store", store)
    assert done.code == 2
    assert "reference.safetensors" in done.err
