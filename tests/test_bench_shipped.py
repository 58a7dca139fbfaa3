"""The benchmark of the shipped model: its figures, and how it reads codes, families and draws."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from patclass.cpc.tree import LabelTree

FOLDER = Path(__file__).resolve().parents[1] / "scripts" / "bench_shipped"
TREE = LabelTree.of_cpc(["A61K", "A61K", "B60R", "B60R"], 1)


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    """The modules of the benchmark, which import each other by their names alone."""
    names = (
        "figures",
        "heads",
        "ours",
        "shared",
        "setfit",
        "patents",
        "landscape",
        "few_shot",
        "run",
    )
    sys.path.insert(0, str(FOLDER))
    yield {name: import_module(name) for name in names}
    sys.path.remove(str(FOLDER))
    for name in names:
        del sys.modules[name]


def test_a_figure_is_compared_with_its_bound(parts: dict[str, ModuleType]):
    figure = parts["figures"].Figure
    above, below = figure("a", 0.81, 100, bound=0.8), figure("b", 0.03, 9, bound=0.02, at_most=True)
    assert (above.reached, below.reached, figure("c", 1.0, 1).reached) == (True, False, None)
    line = parts["figures"].line
    assert line(above) == "| a | 100 | 81.0% |  | ≥ 80.0% | reached |"
    assert line(below) == "| b | 9 | 3.0% |  | ≤ 2.0% | missed |"


def test_the_share_answered_has_an_interval_around_it(parts: dict[str, ModuleType]):
    confidences = np.linspace(1, 0, 200, dtype=np.float32)
    share, interval = parts["figures"].answered(confidences, np.arange(200) < 90)
    assert share == pytest.approx(0.5)
    assert interval.low < share < interval.high


def test_exact_confidences_have_an_error_that_falls_with_the_rows(parts: dict[str, ModuleType]):
    few, many = (
        SimpleNamespace(confidences=np.linspace(0.01, 0.99, rows)) for rows in (300, 30_000)
    )
    error = parts["figures"].ece_if_calibrated
    assert error(few, draws=50) > 5 * error(many, draws=50) > 0


def test_f1_is_the_mean_over_draws_and_families_are_drawn_whole(parts: dict[str, ModuleType]):
    y_true = np.array([True, True, False, False])
    y_pred = np.array([[True, True, False, False], [True, False, True, False]])
    found = parts["figures"].f1_of_draws(y_true, y_pred, np.array([0, 0, 1, 2]))
    assert found.value == pytest.approx((1 + 0.5) / 2)
    assert (found.interval.low, found.interval.high) == (0, pytest.approx((1 + 2 / 3) / 2))


def test_accuracy_of_draws(parts: dict[str, ModuleType]):
    correct = np.array([[True] * 50 + [False] * 50, [True] * 100])
    found = parts["figures"].accuracy_of_draws(correct)
    assert found.value == 0.75
    assert found.interval.low < 0.55 < 0.95 < found.interval.high


def test_all_codes_of_a_row_count_whether_the_tree_has_them_or_not(parts: dict[str, ModuleType]):
    nodes = parts["patents"].nodes_of(TREE)
    carried = parts["patents"].Carried.of([["A61K31/00", "Y02A50/30"], ["B60R"]], nodes, 3)
    assert carried.codes == ("A", "B", "A61", "B60", "A61K", "B60R", "Y", "Y02", "Y02A")
    assert carried.depths.tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]
    assert [carried.codes[n] for n in np.flatnonzero(carried.y_true[0])] == [
        *("A", "A61", "A61K", "Y", "Y02", "Y02A")
    ]
    scores = carried.padded(np.full((2, 6), 0.5, dtype=np.float32))
    assert (scores[:, :6] == 0.5).all()
    assert np.isneginf(scores[:, 6:]).all()


@pytest.mark.parametrize(
    ("text", "first"),
    [("A pump. It has a rotor.", "A pump."), ("A pump of 2.5 kW", "A pump of 2.5 kW")],
)
def test_the_first_sentence(text: str, first: str, parts: dict[str, ModuleType]):
    assert parts["patents"].first_sentence(text) == first


def titles(parts: dict[str, ModuleType], families: int = 60) -> Any:
    """Two titles a family, every third family of the subject."""
    numbers = np.repeat(np.arange(families), 2)
    names = [f"title {n}" for n in numbers.tolist()]
    return parts["landscape"].Titles(names, (numbers % 3 == 0).astype(np.intp), numbers)


def test_families_stay_on_one_side(parts: dict[str, ModuleType]):
    found = titles(parts)
    seen, unseen = found.split()
    assert not set(found.families[seen]) & set(found.families[unseen])
    assert len(seen) + len(unseen) == 120
    assert len(unseen) == 36


def test_drawn_examples_are_of_different_families(parts: dict[str, ModuleType]):
    found = titles(parts)
    seen, _ = found.split()
    drawn = parts["landscape"].drawn_from(found, seen, 5, 0)
    assert len(set(found.families[drawn])) == 10
    assert found.labels[drawn].sum() == 5
    assert set(drawn) <= set(seen)


def test_pairs_are_of_equal_and_of_different_labels(parts: dict[str, ModuleType]):
    labels = np.array([0, 0, 1, 1, 2])
    pairs = parts["setfit"].pairs(labels, 20, np.random.default_rng(0))
    # The third label has one example, so no pair of equal ones.
    assert len(pairs) == 5 * 20 * 2 - 20
    assert all((labels[left] == labels[right]) == bool(target) for left, right, target in pairs)
    assert all(left != right for left, right, _ in pairs)


def test_the_labels_of_a_task_are_the_most_frequent_ones(parts: dict[str, ModuleType]):
    seen = [("a", "A61K"), ("b", "A61B"), ("c", "A61K"), ("d", "A61B"), ("e", "A61Q")]
    task = parts["few_shot"].Task.of(seen, [("f", "A61B"), ("g", "A61Q")], labels=2)
    assert (task.texts, task.labels.tolist()) == (["a", "b", "c", "d"], [0, 1, 0, 1])
    assert (task.unseen, task.y_true.tolist()) == (["f"], [1])


def test_a_regression_learns_from_few_examples(parts: dict[str, ModuleType]):
    heads = parts["heads"]
    texts = ["plough soil", "soil harvest"] * 4 + ["wheel brake", "brake pad"] * 4
    features, others = heads.tfidf(texts, ["soil"])
    labels = np.repeat([0, 1], 8)
    assert heads.answers(features, labels, np.arange(16), others).tolist() == [0]


def test_a_part_without_its_files_is_left_out(
    parts: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bench = parts["shared"].Bench("shipped", tmp_path)
    assert parts["run"].measured(bench, "2026") == []
    assert "left out: " in capsys.readouterr().out
