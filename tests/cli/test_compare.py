"""Two bundles on the same rows: which is better, or that the data do not tell."""

import json
from pathlib import Path

import pytest

from conftest import patent_rows, tree_rows, write_jsonl
from helpers import Cli, tiny_run
from patclass.evaluation.compare import Comparison


@pytest.fixture(scope="module")
def weak(tiny_bert: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same labels that is hardly trained."""
    target = tmp_path_factory.mktemp("weak") / "model"
    more = {"epochs": 1, "learning_rate": 1e-9, "linear": False}
    tiny_run(tiny_bert, bundle.parent, target, **more)
    return target


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Enough rows to distinguish a good model from a bad one."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for split, count, seed in (("train", 12, 31), ("validation", 30, 32), ("test", 60, 33)):
        write_jsonl(folder / f"{split}.jsonl", tree_rows(count, seed))
    return folder


def compared(cli: Cli, target: Path, *arguments: object) -> Comparison:
    outcome = cli("compare", *arguments, "-o", target)
    assert outcome.code == 0, outcome.err
    found = Comparison.model_validate_json(target.read_text(encoding="utf-8"))
    assert outcome.out == found.text() + "\n"
    return found


def test_a_bundle_is_not_better_than_itself(cli: Cli, bundle: Path, tmp_path: Path):
    found = compared(cli, tmp_path / "out.json", bundle, bundle)
    assert (found.level, found.rows, found.only_a, found.only_b) == ("section", 24, 0, 0)
    assert (found.p, found.accuracy.points) == (1, 0)
    assert found.better is None
    assert found.verdict.startswith("cannot tell: ")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_good_model_is_better_than_a_bad_one_on_either_side(
    cli: Cli, bundle: Path, weak: Path, data: Path, tmp_path: Path, swapped: bool
):
    pair = (weak, bundle) if swapped else (bundle, weak)
    found = compared(cli, tmp_path / "out.json", *pair, "--data", data)
    assert found.rows == 60
    assert found.better == int(swapped)
    assert found.names[found.better] == str(bundle)


def test_another_split_can_be_compared(cli: Cli, bundle: Path, data: Path, tmp_path: Path):
    more = ("--data", data, "--split", "validation")
    assert compared(cli, tmp_path / "out.json", bundle, bundle, *more).rows == 30
    more = ("--data", data, "--test-rows", 12)
    assert compared(cli, tmp_path / "out.json", bundle, bundle, *more).rows == 12


def test_models_of_different_trees_are_compared_at_a_common_level(
    cli: Cli, bundle: Path, tree_bundle: Path, data: Path, tmp_path: Path
):
    found = compared(cli, tmp_path / "out.json", bundle, tree_bundle, "--data", data)
    assert (found.level, found.rows) == ("section", 60)
    assert min(found.accuracy.a, found.accuracy.b) > 0.9


@pytest.mark.parametrize("level", ["class", "subclass"])
def test_a_finer_level_is_compared_on_the_rows_whose_code_is_known(
    cli: Cli, tree_bundle: Path, data: Path, tmp_path: Path, level: str
):
    more = ("--data", data, "--level", level)
    found = compared(cli, tmp_path / "out.json", tree_bundle, tree_bundle, *more)
    rare = sum(row["main_code"].startswith("C07") for row in tree_rows(60, 33))
    assert (found.level, found.rows) == (level, 60 - rare)


@pytest.mark.parametrize(
    ("level", "named"), [("class", "has section"), ("auto", "section"), ("group", "section")]
)
def test_a_level_unknown_to_one_model_is_refused(
    cli: Cli, bundle: Path, tree_bundle: Path, tmp_path: Path, level: str, named: str
):
    target = tmp_path / "out.json"
    outcome = cli("compare", tree_bundle, bundle, "--level", level, "-o", target)
    assert outcome.code == 2
    assert f"level {level}" in outcome.err
    assert named in outcome.err
    assert not target.exists()


def test_models_without_a_label_in_common_are_refused(
    cli: Cli, tiny_bert: Path, bundle: Path, tmp_path: Path
):
    kinds = [row | {"label": f"kind {row['main_code'][0]}"} for row in patent_rows(60, seed=1)]
    write_jsonl(tmp_path / "rows.jsonl", kinds)
    tiny_run(tiny_bert, tmp_path / "rows.jsonl", tmp_path / "model", epochs=1)
    outcome = cli("compare", bundle, tmp_path / "model")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err


def test_the_figures_are_readable_json(cli: Cli, bundle: Path, tmp_path: Path):
    compared(cli, tmp_path / "out" / "figures.json", bundle, bundle)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert {"level", "names", "rows", "accuracy", "macro_f1", "p"} <= set(figures)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["figures.json"]
