"""``patclass export``: a tiny bundle is exported, or refused with a one-line error."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from conftest import patent_rows, write_jsonl
from helpers import Cli, loaded_by, rewrite_manifest, verified_here
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.export import run as run_module
from patclass.export.openvino import INT8

PATENT = patent_rows(3, seed=8)[2]
TEXT = f"{PATENT['title']}. {PATENT['abstract']}"
HEAVY = {"torch", "transformers", "peft", "sklearn", "scipy", "pandas", "pyarrow", "nncf"}


@pytest.fixture(scope="module")
def patents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough rows for the comparison that are not used for calibration."""
    folder = tmp_path_factory.mktemp("many") / "patents"
    folder.mkdir()
    for split, count, seed in (("train", 60, 41), ("validation", 200, 42), ("test", 800, 43)):
        write_jsonl(folder / f"{split}.jsonl", patent_rows(count, seed))
    return folder


@pytest.fixture
def few_texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compare on forty texts, and verify in this process, which saves seconds."""
    monkeypatch.setattr(run_module, "export", partial(run_module.export, texts=40))
    with verified_here():
        yield


@pytest.fixture(scope="module")
def without_data(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle without its training data."""
    folder = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("bare") / "model"))
    description = json.loads((folder / LAYOUT.description).read_text(encoding="utf-8"))
    description["settings"]["data"]["data"] = "/gone/patents"
    (folder / LAYOUT.description).write_text(json.dumps(description), encoding="utf-8")
    rewrite_manifest(folder)
    return folder


def test_a_bundle_is_exported_in_eight_bits_and_predicts(
    cli: Cli, bundle: Path, patents: Path, tmp_path: Path
):
    """Without replacements: a thousand texts, verified in a new process."""
    target = tmp_path / "models" / "fast"
    outcome = cli("export", bundle, "-o", target, "--data", patents)
    assert outcome.code == 0, outcome.err
    fastest = next(way.name for way in INT8 if not way.lacking())
    *refused, head, _, section, chosen, end = outcome.out.splitlines()
    assert len(refused) == [way.name for way in INT8].index(fastest)
    assert head.startswith(f"{fastest}: 1,000 texts of patents: its validation and test rows; ")
    assert section.startswith("section ")
    assert re.match(rf"chosen: {fastest}, as .* times as fast as the original \(", chosen)
    assert end == f"{target}: {fastest}, verified in a fresh process"

    parity = read_bundle(target).description.engine.parity
    assert parity.texts == 1000
    assert parity.levels["section"].agreement >= 0.98
    assert cli("verify", target).code == 0
    prediction = cli("predict", TEXT, "--model", target)
    assert prediction.code == 0, prediction.err
    assert prediction.out.startswith("H")
    assert not loaded_by("-m", "patclass", "predict", TEXT, "--model", target) & HEAVY
    assert not loaded_by("-m", "patclass", "verify", target) & HEAVY


@pytest.mark.usefixtures("few_texts")
@pytest.mark.parametrize(("form", "kind"), [("openvino-f32", "openvino"), ("merged", "merged")])
def test_the_export_format_can_be_chosen(
    cli: Cli, bundle: Path, tmp_path: Path, form: str, kind: str
):
    outcome = cli("export", bundle, "--output", tmp_path / "out", "--to", form)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""  # its own data are available, so there is no note
    assert outcome.out.startswith(f"float32: 42 texts of {bundle.parent.name}: its validation and")
    assert outcome.out.endswith(f"{tmp_path / 'out'}: float32, verified in a fresh process\n")
    assert read_bundle(tmp_path / "out").description.engine.kind == kind


@pytest.mark.usefixtures("few_texts")
def test_without_its_own_data_the_sample_is_used_and_reported(
    cli: Cli, without_data: Path, tmp_path: Path
):
    outcome = cli("export", without_data, "-o", tmp_path / "out", "--to", "openvino-f32")
    assert outcome.code == 0, outcome.err
    note, warning = outcome.err.splitlines()
    assert note == "note: /gone/patents does not exist; comparing on the sample"
    assert warning.startswith("warning: the sample is small ")
    assert "--data" in warning
    assert read_bundle(tmp_path / "out").description.engine.parity.source.startswith("sample: ")


@pytest.mark.usefixtures("few_texts")
def test_other_data_are_used_without_a_note(
    cli: Cli, without_data: Path, patents: Path, tmp_path: Path
):
    outcome = cli(
        "export", without_data, "-o", tmp_path / "out", "--to", "merged", "--data", patents
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert read_bundle(tmp_path / "out").description.engine.parity.source.startswith("patents: ")


def test_too_little_data_is_refused_with_a_remedy(cli: Cli, bundle: Path, tmp_path: Path):
    outcome = cli("export", bundle, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert re.fullmatch(
        r"error: .* gives 522 texts to compare on; 1,000 are needed\. Name more patents with "
        r"--data; their labels may be missing\.\n",
        outcome.err,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_texts")
def test_an_exported_bundle_is_refused(cli: Cli, bundle: Path, tmp_path: Path):
    assert cli("export", bundle, "-o", tmp_path / "out", "--to", "merged").code == 0
    outcome = cli("export", tmp_path / "out", "-o", tmp_path / "again", "--to", "openvino-f32")
    assert outcome.code == 2
    assert "out was exported before; export the one it was made from" in outcome.err
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("few_texts")
def test_a_target_that_is_not_a_bundle_is_not_replaced(cli: Cli, bundle: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    outcome = cli("export", bundle, "-o", tmp_path / "notes.txt", "--to", "merged")
    assert outcome.code == 2
    assert "notes.txt exists and was not made by patclass" in outcome.err
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "x"


@pytest.mark.usefixtures("few_texts")
def test_a_failed_parity_check_is_reported_and_nothing_is_written(
    cli: Cli, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_module, "objections", lambda parity, limits: ["section: unlike"])
    outcome = cli("export", bundle, "-o", tmp_path / "out", "--to", "openvino-f32")
    assert outcome.code == 2
    assert "refused, float32: section: unlike\n" in outcome.out
    assert outcome.err == f"error: {bundle} was not exported: float32: section: unlike\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--to", "onnx", "-o", "out"], "onnx"),
        ([], "--output"),
        (["-o", "out", "--labels", "nosuch"], "nosuch"),
        (["-o", "out", "--data", "/gone/patents.csv"], "no such data"),
    ],
)
def test_invalid_options_are_named(cli: Cli, bundle: Path, arguments: list[str], named: str):
    outcome = cli("export", bundle, *arguments)
    assert outcome.code == 2
    assert named in outcome.err


def test_help_describes_the_outputs_and_the_refusals(cli: Cli):
    outcome = cli("export", "--help")
    assert outcome.code == 0
    words = " ".join(outcome.out.split())
    for form in run_module.FORMS:
        assert form in words
    assert "[default: openvino-int8]" in words
    assert "at least 1,000 texts" in words
    for limit in ("98 %", "99 %", "0.5 points", "by more than 1 point at any"):
        assert limit in words


@pytest.mark.parametrize("phase", ["run_with_progress", "to_graph", "compare", "write_bundle"])
def test_ctrl_c_ends_an_export_in_any_phase_without_leaving_anything(
    cli: Cli, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
):
    def interrupted(*arguments: object, **settings: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run_module, phase, interrupted)
    monkeypatch.setattr(run_module, "export", partial(run_module.export, texts=40))
    outcome = cli("export", bundle, "-o", tmp_path / "out", "--to", "openvino-f32")
    assert (outcome.code, outcome.err.strip()) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []
