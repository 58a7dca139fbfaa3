"""Distillation: what is learnt from a teacher, and where its answers are kept."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import patent_rows
from helpers import tiny_run
from patclass.bundle import Bundle, read_bundle
from patclass.core.errors import TrainingError
from patclass.training import teacher as teacher_module
from patclass.training.teacher import read_teacher, soft_labels

TEXTS = [row["abstract"] for row in patent_rows(7)]


@pytest.fixture
def teacher(tree_bundle: Path, tmp_path: Path) -> Bundle:
    """A copy, as its answers are stored beside it."""
    return read_bundle(shutil.copytree(tree_bundle, tmp_path / "teacher"))


def parts(teacher: Bundle) -> list[Path]:
    return sorted(teacher.folder.with_name("teacher.soft_labels").rglob("*.npy"))


def test_soft_labels_are_the_teachers_probabilities_in_the_students_order(
    teacher: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(teacher_module, "PART", 3)
    student = replace(teacher.tree, paths=teacher.tree.paths[::-1])
    found = soft_labels(teacher, TEXTS, student, "cpu")
    expected = teacher.load_pipeline("cpu").run(TEXTS).leaves[:, ::-1]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert [path.name for path in parts(teacher)] == [f"{n:08}.npy" for n in (0, 3, 6)]


def test_an_interrupted_teacher_computes_what_is_missing_and_a_finished_one_nothing(
    teacher: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(teacher_module, "PART", 3)
    first = soft_labels(teacher, TEXTS, teacher.tree, "cpu")
    kept = {path.name: path.stat().st_mtime_ns for path in parts(teacher)}
    parts(teacher)[1].unlink()
    np.testing.assert_array_equal(soft_labels(teacher, TEXTS, teacher.tree, "cpu"), first)
    again = {path.name: path.stat().st_mtime_ns for path in parts(teacher)}
    assert [name for name in kept if kept[name] != again[name]] == ["00000003.npy"]
    monkeypatch.setattr(Bundle, "load_pipeline", None)
    np.testing.assert_array_equal(soft_labels(teacher, TEXTS, teacher.tree, "cpu"), first)


def test_a_teacher_of_other_labels_is_refused(teacher: Bundle):
    fewer = replace(teacher.tree, paths=teacher.tree.paths[1:])
    with pytest.raises(TrainingError, match=r"do not have the same labels \(1 differ, such as A/"):
        read_teacher(str(teacher.folder), fewer)


ALONE = {"labels": "cpc", "min_leaf_rows": 5, "epochs": 8, "learning_rate": 1e-2}
ALONE |= {"teacher_share": 1.0, "field_dropout": 0.3, "linear": False}


def raw(bundle: Path) -> np.ndarray:
    """Probabilities of the leaves for new texts, shape (texts, leaves)."""
    texts = [row["abstract"] for row in patent_rows(40, 5)]
    return read_bundle(bundle).load_pipeline("cpu").run(texts).raw


def test_a_student_learns_each_text_from_its_teacher(
    teacher: Bundle, tree_bundle: Path, tiny_bert: Path, tmp_path: Path
):
    taught = ALONE | {"teacher": str(teacher.folder)}
    tiny_run(tiny_bert, tree_bundle.parent, tmp_path / "student", **taught)
    sections = [
        teacher.tree.sums(raw(path), "section").argmax(axis=1)
        for path in (tmp_path / "student", tree_bundle)
    ]
    assert np.mean(sections[0] == sections[1]) > 0.6  # a third by chance
    assert parts(teacher)


def test_of_a_teacher_that_knows_nothing_nothing_is_learnt(
    teacher: Bundle,
    tree_bundle: Path,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    leaves = len(teacher.tree.paths)

    def even(_: object, texts: list[str], *more: object) -> np.ndarray:
        return np.full((len(texts), leaves), 1 / leaves, dtype=np.float16)

    monkeypatch.setattr("patclass.training.setup.soft_labels", even)
    taught = ALONE | {"teacher": str(teacher.folder)}
    tiny_run(tiny_bert, tree_bundle.parent, tmp_path / "student", **taught)
    assert raw(tmp_path / "student").max() < 0.3
