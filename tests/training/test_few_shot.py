"""Categories from few examples become ordinary bundles, whatever way they were learnt."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from conftest import patent_rows, write_jsonl
from helpers import Cli, rewrite_manifest, tiny_settings, tiny_train
from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT
from patclass.core.errors import BundleError, DataError, ModelError, TrainingError
from patclass.evaluation.cross_validation import FewShotReport, OutOfFold, read_few_shot
from patclass.inference import load
from patclass.training import few_shot, few_shot_encoder
from patclass.training.few_shot import cross_validate, fit_few_shot

NAMES = {"A": "farming", "C": "none", "H": "circuits"}
DESCRIPTIONS = {"farming": "plough soil crop harvest", "circuits": "circuit voltage transistor"}
ADAPTER = "adapter/adapter_model.safetensors"
ROWS = patent_rows(30, seed=4)
EXAMPLES = [(f"{row['title']}. {row['abstract']}", NAMES[row["main_code"][0]]) for row in ROWS]
TEXTS = ["A plough for soil and crop.", "An alkyl polymer with an acid.", "A circuit with a gate."]


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """A tiny base knows nothing of any text, and no words of real patents."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_shot, "SHARES", (0.9, 0.1))
        patch.setattr(few_shot_encoder, "usual_texts", lambda: [text for text, _ in EXAMPLES])
        yield


@pytest.fixture(scope="module")
def parent(bundle: Path) -> Bundle:
    return read_bundle(bundle)


@pytest.fixture(scope="module")
def report(parent: Bundle) -> FewShotReport:
    return cross_validate(EXAMPLES, parent, DESCRIPTIONS)


@pytest.fixture(scope="module")
def made(parent: Bundle, report: FewShotReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "model"
    return fit_few_shot(EXAMPLES, report, parent, folder, DESCRIPTIONS)


def test_methods_are_compared(report: FewShotReport):
    assert {each.method for each in report.figures} == {"combined", "embeddings", "names"}
    assert report.figures[0].method == report.method
    assert report.figures[0].accuracy > 0.8
    assert (report.labels, report.examples) == (("circuits", "farming", "none"), (10, 10, 10))
    assert report.notes == ()


def test_the_result_is_an_ordinary_bundle(made: Path, parent: Bundle, report: FewShotReport):
    made_bundle = read_bundle(made)
    assert read_few_shot(made_bundle) == report
    assert read_few_shot(parent) is None
    assert made_bundle.verify("cpu") < 1e-4
    figures = json.loads((made / LAYOUT.report).read_text())
    assert (figures["split"], figures["train_rows"]) == ("cross-validation", 30)
    assert "cross-validation, 30 rows" in (made / LAYOUT.card).read_text()
    adapters = [load_file(folder / ADAPTER) for folder in (parent.folder, made)]
    for name, tensor in adapters[0].items():  # a share of what the adapter adds to the base
        share = report.adapter_share if "lora_B" in name else 1
        assert tensor.mul(share).allclose(adapters[1][name])
    described = made_bundle.description
    assert described.settings.base.base == parent.description.base.name
    assert described.data.rows == {"train": 30, "validation": 0, "test": 0}


def test_it_answers_none_of_these(made: Path):
    predictions = load(made, "cpu").classify(TEXTS)
    assert [p.label for p in predictions] == ["farming", "none", "circuits"]
    assert [p.name for p in predictions] == ["farming", "none of these", "circuits"]


@pytest.mark.parametrize("worse", [0, 1])
def test_the_share_of_the_adapter_with_the_least_loss_is_chosen(
    parent: Bundle, monkeypatch: pytest.MonkeyPatch, worse: int
):
    honest = OutOfFold.loss
    losses: list[float] = []

    def loss(found: OutOfFold, method: str) -> float:
        assert method == "combined"
        losses.append(honest(found, method) + 100 * (len(losses) == worse))
        return losses[-1]

    monkeypatch.setattr(OutOfFold, "loss", loss)
    report = cross_validate(EXAMPLES, parent, DESCRIPTIONS)
    assert report.adapter_share == few_shot.SHARES[1 - worse]
    assert f"encoder: with {report.adapter_share:.0%} of the bundle's adapter" in report.text()


def test_a_report_with_another_share_is_refused(
    parent: Bundle, report: FewShotReport, tmp_path: Path
):
    other = report.model_copy(update={"adapter_share": 0.3})
    with pytest.raises(DataError, match=r"adapter share 0\.3"):
        fit_few_shot(EXAMPLES, other, parent, tmp_path / "model", DESCRIPTIONS)


def test_progress_is_a_rising_share(parent: Bundle):
    shares: list[float] = []
    cross_validate(EXAMPLES[:12], parent, on_progress=shares.append, methods=["embeddings"])
    assert shares == sorted(shares)
    assert len(shares) > 1
    assert shares[-1] == 1


@pytest.mark.parametrize("examples", [[], EXAMPLES[:1]])
def test_without_examples_the_names_decide_and_nothing_is_sure(
    examples: list[tuple[str, str]], parent: Bundle, tmp_path: Path
):
    report = cross_validate(examples, parent, DESCRIPTIONS)
    assert report.figures == ()
    assert "no example" in report.notes[0]
    fit_few_shot(examples, report, parent, tmp_path / "model", DESCRIPTIONS)
    predictions = load(tmp_path / "model", "cpu").classify([TEXTS[0], TEXTS[2]])
    assert [p.label for p in predictions] == ["farming", "circuits"]
    assert not any(p.sure for p in predictions)
    assert not (tmp_path / "model" / LAYOUT.report).exists()


def test_the_encoder_can_be_tuned_as_well(
    parent: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(few_shot, "TUNING", few_shot.TUNING.model_copy(update={"epochs": 1}))
    report = cross_validate(EXAMPLES, parent, methods=["lora"])
    assert [each.method for each in report.figures] == ["lora"]
    fit_few_shot(EXAMPLES, report, parent, tmp_path / "model")
    adapters = [load_file(folder / ADAPTER) for folder in (parent.folder, tmp_path / "model")]
    assert not any(t.equal(adapters[1][name]) for name, t in adapters[0].items() if "_A" in name)
    assert load(tmp_path / "model", "cpu").predict(TEXTS) == ["farming", "none", "circuits"]


def test_a_report_of_other_examples_is_refused(
    parent: Bundle, report: FewShotReport, tmp_path: Path
):
    with pytest.raises(DataError, match="of other examples"):
        fit_few_shot(EXAMPLES[1:], report, parent, tmp_path / "model", DESCRIPTIONS)


def test_an_exported_bundle_has_nothing_to_start_from(exported_flat: Path):
    with pytest.raises(ModelError, match="is exported, and has no adapter"):
        cross_validate(EXAMPLES, read_bundle(exported_flat))


def test_the_command_learns_a_table_and_says_how(bundle: Path, tmp_path: Path, cli: Cli):
    rows = [row | {"label": label} for row, (_, label) in zip(ROWS, EXAMPLES, strict=True)]
    data = write_jsonl(tmp_path / "mine.jsonl", rows)
    names = tmp_path / "names.csv"
    names.write_text("label,description\nfarming,plough soil\nships,hull keel mast\n")
    lines: list[str] = []
    more = {"method": "combined", "descriptions": str(names)}
    settings = tiny_settings(bundle, data, tmp_path / "model", max_tokens=None, **more)
    result = tiny_train(settings, lines.append)
    assert result.few_shot is not None
    assert result.few_shot.labels == ("circuits", "farming", "none", "ships")
    assert any("1 of 4 categories have no example" in line for line in lines)
    # Those of ``tiny_settings``.
    unused = "note: batch_tokens, learning_rate: not used where few examples are learnt"
    assert unused in lines
    classifier = load(tmp_path / "model", "cpu")
    assert classifier.predict(TEXTS) == ["farming", "none", "circuits"]
    assert classifier.bundle.description.text.max_tokens == 64
    assert classifier.classify(["A plough."])[0].neighbours == ()
    assert cli("verify", tmp_path / "model").code == 0
    with pytest.raises(TrainingError, match="nothing to resume"):
        tiny_train(settings.model_copy(), resume=True)


def test_many_rows_are_trained_from_the_bundle_in_the_ordinary_way(bundle: Path, tmp_path: Path):
    data = write_jsonl(tmp_path / "mine.jsonl", [*patent_rows(60)])
    settings = tiny_settings(bundle, data, tmp_path / "model", epochs=1, few_rows=20)
    result = tiny_train(settings)
    assert result.few_shot is None
    assert result.report is not None
    assert result.report.split == "test"
    described = read_bundle(tmp_path / "model").description
    assert described.settings.base.base == described.base.name
    assert load(tmp_path / "model", "cpu").predict(TEXTS) == ["A", "C", "H"]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"r": 3}, r"r 3: the adapter of base .* has 8"), ({"targets": "all-linear"}, "targets")],
)
def test_another_adapter_than_that_of_the_bundle_is_refused(
    more: dict[str, object], message: str, bundle: Path, patents: Path, tmp_path: Path
):
    with pytest.raises(ModelError, match=message):
        tiny_train(tiny_settings(bundle, patents, tmp_path / "model", **more))


def test_descriptions_need_a_bundle(tiny_bert: Path, patents: Path, tmp_path: Path):
    settings = tiny_settings(tiny_bert, patents, tmp_path / "model", descriptions="x.csv")
    with pytest.raises(ModelError, match="name one as base, such as shipped"):
        tiny_train(settings)


def test_no_data_at_all_needs_descriptions_alone(bundle: Path, tmp_path: Path):
    names = tmp_path / "names.csv"
    names.write_text("label,description\nfarming,plough soil\ncircuits,circuit gate\n")
    settings = tiny_settings(bundle, Path("none"), tmp_path / "model", descriptions=str(names))
    assert tiny_train(settings).report is None
    assert load(tmp_path / "model", "cpu").predict([TEXTS[0], TEXTS[2]]) == ["farming", "circuits"]


def test_a_damaged_report_is_named(made: Path, tmp_path: Path):
    folder = Path(shutil.copytree(made, tmp_path / "model"))
    (folder / LAYOUT.few_shot).write_text('{"method": 1}')
    rewrite_manifest(folder)
    with pytest.raises(BundleError, match=r"few_shot.json is damaged at 'method'"):
        read_few_shot(read_bundle(folder))
